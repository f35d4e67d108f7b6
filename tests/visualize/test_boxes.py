"""Boxes are where their files say, also in what a network reads; hostile files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from striate.blueprint import CannotRead
from striate.data.preprocessing import Preprocessing
from striate.visualize.boxes import Boxed, in_pixels, read_boxes
from striate.visualize.images import seen

THING = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def xml(*things: tuple[object, ...], image: str = "a.png", size: tuple[int, int] = (100, 200)) -> str:
    grid = f"<size><height>{size[0]}</height><width>{size[1]}</width></size>"
    return f"<annotation><filename>{image}</filename>{grid}{''.join(THING.format(*one) for one in things)}</annotation>"


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[[str], Path]:
    """A picture of 100×200, black, a white square in it at rows 20 to 39 and columns 120 to 149."""

    def draw(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        picture = Image.new("RGB", (200, 100))
        picture.paste((255, 255, 255), (120, 20, 150, 40))
        picture.save(path)
        return path

    return draw


def test_vocs_boxes_count_from_one(tmp_path: Path, drawn: Callable[[str], Path]) -> None:
    image = drawn("a.png")
    (tmp_path / "a.xml").write_text(xml(("dog", 121, 21, 150, 40), ("cat", 1, 1, 200, 100), ("dog", 5, 5, 4, 9)))
    found = read_boxes(tmp_path)
    assert (found.classes, found.left_out) == (("cat", "dog"), 1)
    [one] = found.images
    assert one.image == image
    torch.testing.assert_close(one.boxes["dog"], torch.tensor([[0.6, 0.2, 0.75, 0.4]]).double())
    torch.testing.assert_close(one.boxes["cat"], torch.tensor([[0.0, 0.0, 1.0, 1.0]]).double())


def test_cocos_boxes_are_corner_and_size(tmp_path: Path, drawn: Callable[[str], Path]) -> None:
    drawn("images/a.png")
    table = {
        "images": [{"id": 7, "file_name": "a.png", "height": 100, "width": 200}, {"id": 8, "file_name": "none.png"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [120, 20, 30, 20]}],
        "categories": [{"id": 3, "name": "dog"}],
    }
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(table))
    for source in (path, tmp_path):
        [one] = read_boxes(source).images
        torch.testing.assert_close(one.boxes["dog"], torch.tensor([[0.6, 0.2, 0.75, 0.4]]).double())


@pytest.mark.parametrize(
    "rule",
    [
        Preprocessing(3, (50, 100), (50, 100), (0.0,) * 3, (1.0,) * 3),
        Preprocessing(3, (64, 64), (64, 64), (0.0,) * 3, (1.0,) * 3),  # the middle square
        Preprocessing(3, (40, 60), (48, 72), (0.0,) * 3, (1.0,) * 3),  # zeros around it
        Preprocessing(3, (48, 48), (48, 48), (0.0,) * 3, (1.0,) * 3, short=56),
    ],
)
def test_a_box_lies_on_its_thing_in_what_the_network_reads(
    rule: Preprocessing, tmp_path: Path, drawn: Callable[[str], Path]
) -> None:
    drawn("a.png")
    (tmp_path / "a.xml").write_text(xml(("square", 121, 21, 150, 40), ("corner", 1, 1, 3, 3)))
    [one] = read_boxes(tmp_path).images
    boxes = in_pixels(one.boxes, one.image, rule)
    white = (seen(torch.nn.Identity(), [one.image], rule).pixels[0, 0] > 127).nonzero()
    (top, left), (bottom, right) = white.amin(0).tolist(), (white.amax(0) + 1).tolist()
    assert boxes["square"][0].tolist() == pytest.approx([left, top, right, bottom], abs=1)
    assert ("corner" in boxes) == (rule.grid == (50, 100))  # what is cut off has no box


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.xml", "<annotation", "Cannot read a.xml: it is no XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "Cannot read a.xml: it declares entities"),
        ("a.xml", xml(("dog", 1, "nan", 3, 4)), "Cannot read a.xml: an object in it has no name, or no box of four"),
        ("a.xml", xml(), "Cannot read boxes of .: there are none."),
        ("a.xml", xml(("dog", 1, 1, 3, 3), image="b.png"), "Cannot find the image b.png that a.xml has boxes of."),
        ("a.xml", xml(("dog", 1, 1, 3, 3), image="../../x.png"), "Cannot find the image ../../x.png that a.xml has"),
        ("a.xml", " " * (1 << 20) + "<a/>", "Cannot read a.xml: 1,048,580 bytes, at most 1,048,576 of boxes."),
        ("a.json", "[]", "Cannot read boxes of a.json: it does not read as COCO's JSON."),
        ("a.json", '{"images": []}', "Cannot read boxes of a.json: 'categories' is not in it."),
        ("a.txt", "", "Cannot read boxes of .: 0 XML files in it."),
    ],
)
def test_what_does_not_say_boxes_is_refused(
    name: str, text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(CannotRead) as refused:
        read_boxes(".")
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("declared", "what"), [('<!ENTITY b "bb">', "entities"), ('<!ENTITY % b "bb">', "entities"),
                           ('<!ATTLIST a b CDATA "bb">', "attributes")],
)  # fmt: skip
def test_what_grows_is_refused_in_any_encoding(declared: str, what: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    said = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [{declared}]><a/>'
    path.write_bytes(said.encode(encoding))
    with pytest.raises(CannotRead) as refused:
        read_boxes(tmp_path)
    assert str(refused.value) == f"Cannot read {path}: it declares {what}, which boxes have no need of."


def test_what_does_not_grow_is_read(tmp_path: Path, drawn: Callable[[str], Path]) -> None:
    drawn("a.png")
    said = xml(("<![CDATA[<!ENTITY]]>", 1, 1, 100, 50))
    for text in (f"<!-- <!ENTITY --><!DOCTYPE annotation>{said}", f"<!DOCTYPE a [<!ELEMENT a ANY>]>{said}"):
        for encoding in ("utf-8", "utf-16"):
            (tmp_path / "a.xml").write_bytes(text.encode(encoding))
            assert read_boxes(tmp_path).classes == ("<!ENTITY",)


def test_real_boxes(shared: Path) -> None:
    """The whole of BCCD: as many images and boxes as its authors count, the two without area left out."""
    found = read_boxes(shared / "bccd")
    counts = {name: sum(len(one.boxes.get(name, ())) for one in found.images) for name in found.classes}
    assert (len(found.images), found.left_out) == (364, 2)
    assert sum(counts.values()) + found.left_out == 4888
    assert counts["WBC"] == 372
    assert all(isinstance(one, Boxed) and one.image.is_file() for one in found.images)
