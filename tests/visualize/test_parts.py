"""Parts of a report: found again for the same, and only for the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

import striate
from striate.blueprint import CannotWrite
from striate.data import Images, Preprocessing, Splits, Streamed
from striate.data.pictures import File
from striate.nn.build import Network
from striate.visualize.parts import Parts
from striate.visualize.wanted import Data, Other, View, Wanted

SHOWN = View(b"\x89PNG...", {"a": [1, 2.5, None], "b": {"c": "é"}}, "in a line")


@pytest.fixture
def of(lenet: Network, tmp_path: Path) -> Wanted:
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    some = Images(torch.zeros(3, 1, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 2]), ("0", "1", "2"), "some")
    return Wanted(lenet, "net", str(tmp_path / "a.png"), Data("some", Splits(some, some, None)))  # type: ignore[arg-type]


def test_what_is_kept_comes_back(of: Wanted, tmp_path: Path) -> None:
    parts = Parts.beside(tmp_path / "out.html", of)
    place = parts.of("page", of)
    assert parts.kept(place) is None
    rows = tmp_path / "rows"
    rows.mkdir()
    parts.keep(place, SHOWN._replace(kept=(rows,)))
    assert not rows.exists()
    assert parts.kept(place) == SHOWN
    assert place.parent == tmp_path / "out.parts"
    (place.parent / "theirs").touch()
    parts.done_with([place])
    assert [path.name for path in place.parent.iterdir()] == ["theirs"]
    (place.parent / "theirs").unlink()
    parts.done_with([place])
    assert not place.parent.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"png": 3, "facts": {}, "line": ""}', '{"png": "é", "line": ""}'])
def test_what_cannot_be_read_is_as_if_it_were_not(text: str, of: Wanted, tmp_path: Path) -> None:
    parts = Parts.beside(tmp_path / "out.html", of)
    place = parts.of("page", of)
    place.parent.mkdir()
    place.write_text(text)
    assert parts.kept(place) is None


def test_whatever_is_another_has_another_place(of: Wanted, tmp_path: Path) -> None:
    def place(of: Wanted, view: str = "page") -> Path:
        return Parts.beside(tmp_path / "out.html", of).of(view, of)

    assert of.data
    first = place(of)
    assert place(of) == first
    other = striate.load("lenet5-mnist")
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1
    pixels = of.data.splits.test.pixels.clone()  # type: ignore[union-attr]
    pixels[1, 0, 3, 4] = 1
    changed = Images(pixels, *(getattr(of.data.splits.test, n) for n in ("labels", "classes", "source")))
    data = of.data._replace(splits=Splits(of.data.splits.train, changed, None))  # type: ignore[arg-type]
    changes = [{"model": other}, {"data": data}, {"data": None}, {"unit": "conv1:2"}, {"points": 3}, {"seed": 1}]
    changes += [{"other": Other(of.model, "b")}, {"other": Other(other, "b")}, {"target": 1}, {"name": "n"}]
    places = [place(of._replace(**change)) for change in changes] + [place(of, "filters")]
    for name, value in (("classes", ["a"]), ("preprocessing", {})):
        told = striate.load("lenet5-mnist")
        told.metadata[name] = value
        places.append(place(of._replace(model=told)))
    Image.new("L", (32, 32), 9).save(of.image)
    assert len({first, *places, place(of)}) == len(places) + 2


@pytest.mark.parametrize(("view", "name"), [("pointing", "boxes"), ("trajectory", "along")])
def test_what_a_folder_holds_counts(of: Wanted, view: str, name: str, tmp_path: Path) -> None:
    """For who needs it, and but for what is kept there itself."""
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    of = of._replace(**{name: str(folder)})
    parts = Parts.beside(folder / "out.html", of)
    places = [parts.of(view, of)]
    file = folder / "inside" / "a.xml"
    for text in ("one", "three"):
        file.write_text(text)
        places.append(parts.of(view, of))
    os.utime(file, (1, 1))
    places.append(parts.of(view, of))
    file.rename(folder / "b.xml")
    places.append(parts.of(view, of))
    assert len({*places}) == 5
    parts.keep(places[-1], SHOWN)
    assert parts.of(view, of) == places[-1]
    one = of._replace(**{name: str(folder / "b.xml")})
    before, other = parts.of(view, one), parts.of("filters", one)
    (folder / "b.xml").write_text("another")
    assert (parts.of(view, one) != before, parts.of("filters", one)) == (True, other)


def test_what_cannot_be_kept_is_refused(of: Wanted, tmp_path: Path) -> None:
    parts = Parts.beside(tmp_path / "out.html", of)
    place = parts.of("page", of)
    with pytest.raises(CannotWrite, match="not JSON serializable"):
        parts.keep(place, SHOWN._replace(facts={"a": torch.zeros(1)}))
    assert not parts.folder.exists()
    parts.keep(place, SHOWN._replace(line="\udcff"))  # of a file's name that is no text
    assert (parts.kept(place) or SHOWN).line == "\udcff"
    parts.done_with([place])
    parts.folder.touch()
    with pytest.raises(CannotWrite, match=r"Cannot write .*out\.parts: "):
        parts.keep(place, SHOWN)
    parts.done_with([place])


def test_pictures_that_are_streamed_count_as_their_files_are(of: Wanted, tmp_path: Path) -> None:
    assert of.data
    pictures = tuple(File(tmp_path / f"{i}.png") for i in range(2))
    for picture in pictures:
        Image.new("L", (32, 32)).save(picture.path)
    some = Streamed(pictures, torch.tensor([0, 1]), ("0", "1"), "some", Preprocessing(1, (32, 32), (32, 32)))
    streamed = of._replace(data=of.data._replace(splits=Splits(some, some, None)))  # type: ignore[arg-type]

    def follows() -> str:
        return Parts.beside(tmp_path / "out.html", streamed).follows

    before = follows()
    assert follows() == before
    Image.new("L", (32, 32), 9).save(pictures[1].path)
    os.utime(pictures[1].path, ns=(1, 1))
    assert follows() != before
