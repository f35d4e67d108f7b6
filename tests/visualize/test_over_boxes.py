"""The pointing game over a folder of images with boxes: a network that sees what it should wins it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from striate import build
from striate.blueprint import AvgPool, CannotTrain, Conv, GlobalPool, Refusal, Seq, Volume
from striate.data.preprocessing import Preprocessing
from striate.nn import Network
from striate.visualize.over_boxes import ANYWHERE, MIDDLE
from striate.visualize.pointing_drawn import Pointed, draw_pointing
from striate.visualize.views import view
from striate.visualize.wanted import Wanted

from .test_boxes import xml


def network(*colours: tuple[float, float, float], side: int = 60, classes: tuple[str, ...] = ()) -> Network:
    """A class for each colour: how much of it is in the image, on the mean."""
    net = build(
        Seq(seen=Conv(len(colours), 1), blur=AvgPool(9, 1, 4), mean=GlobalPool()), Volume(3, side, side * 4 // 3)
    )
    grid = (side, side * 4 // 3)
    net.metadata |= {"preprocessing": Preprocessing(3, grid, grid, (0.0,) * 3, (1.0,) * 3).to_json()}
    net.metadata |= {"classes": list(classes)} if classes else {}
    with torch.no_grad():
        net.seen.weight.copy_(torch.tensor(colours).view(-1, 3, 1, 1))  # type: ignore[union-attr, operator]
        net.seen.bias.zero_()  # type: ignore[union-attr, operator]
    return net


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Four images, a red square in each, a blue one in two; the boxes of the last one are where nothing is."""
    places = [(10, 10), (100, 60), (70, 50), (30, 30)]
    for i, (left, top) in enumerate(places):
        picture = Image.new("RGB", (160, 120), (10, 10, 10))
        picture.paste((200, 0, 0), (left, top, left + 20, top + 20))
        things: list[tuple[object, ...]] = [("red", left + 1, top + 1, left + 20, top + 20)]
        if i < 2:
            picture.paste((0, 0, 200), (130, 5, 150, 25))
            things.append(("blue", 131, 6, 150, 25))
        if i == 3:
            things = [("red", 120, 90, 140, 110)]
        picture.save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.xml").write_text(xml(*things, image=f"{i}.png", size=(120, 160)))
    return tmp_path


RED, BLUE = (1.0, -1.0, -1.0), (-1.0, -1.0, 1.0)


def test_hits_are_counted_by_class(squares: Path) -> None:
    net = network(RED, BLUE, classes=("red", "blue"))
    shown = view("pointing", Wanted(net, "squares", boxes=str(squares), method="occlusion"))
    assert shown.facts["by_class"]["occlusion"] == {"red": 0.75, "blue": 1.0}
    assert shown.facts["shares"]["occlusion"] == 0.875
    assert (shown.facts["maps"], shown.facts["images"], shown.facts["margin"]) == (6, 4, 4)
    assert shown.line.startswith("6 maps of 4 images, 2 classes, 4 pixels around boxes\n")
    assert "occlusion hits 88%" in shown.line
    assert shown.facts["by_class"][MIDDLE] == {"red": 0.25, "blue": 0.0}  # it is on the third red one
    around = (10 + 2 * 4) ** 2 / (60 * 80)
    assert shown.facts["by_class"][ANYWHERE]["red"] == pytest.approx(
        (3 * around + (5 + 10 + 4) ** 2 / 4800) / 4, abs=0.02
    )
    blind = view(
        "pointing",
        Wanted(network(BLUE, RED, classes=("red", "blue")), "", boxes=str(squares), layer="blur", method="cam"),
    )
    assert blind.facts["shares"]["cam"] == 0  # it sees the other one


def test_a_target_takes_the_boxes_of_its_name_or_all(squares: Path) -> None:
    net = network(RED, BLUE, classes=("red", "sky"))
    assert (
        view("pointing", Wanted(net, "", boxes=str(squares), layer="blur", method="cam")).facts["maps"] == 4
    )  # sky has no boxes
    for target, maps in (("sky", 4), (0, 4), ("red", 4)):
        facts = view("pointing", Wanted(net, "", boxes=str(squares), layer="blur", method="cam", target=target)).facts
        assert facts["maps"] == maps, target
        assert [*facts["by_class"]["cam"]] == [str(target)]
    with pytest.raises(Refusal, match="Cannot look for class 9"):
        view("pointing", Wanted(net, "", boxes=str(squares), layer="blur", method="cam", target=9))


def test_what_cannot_be_pointed_at_is_told(squares: Path) -> None:
    with pytest.raises(CannotTrain) as strange:
        view("pointing", Wanted(network(RED, classes=("dog",)), "", boxes=str(squares)))
    assert str(strange.value) == (
        f"Cannot point in {squares}: the network knows none of its classes.\n"
        "    It has blue, red; the network knows dog.\n"
        "    --target CLASS takes every box for one of that class."
    )
    with pytest.raises(CannotTrain, match="its file has no classes") as nameless:
        view("pointing", Wanted(network(RED), "", boxes=str(squares)))
    assert nameless.value.ways == "--target CLASS takes every box for one of that class."
    with pytest.raises(Refusal, match="Cannot show pointing without boxes"):
        view("pointing", Wanted(network(RED), ""))
    for path in squares.glob("*.xml"):
        path.write_text(xml(("red", 1, 50, 3, 52), image=f"{path.stem}.png", size=(120, 160)))
    square = network(RED, classes=("red",))
    square.metadata["preprocessing"] = Preprocessing(3, (60, 60), (60, 80), (0.0,) * 3, (1.0,) * 3).to_json()
    with pytest.raises(Refusal, match=r"Cannot point: in 4 images of .* the network sees no box\."):
        view("pointing", Wanted(square, "", boxes=str(squares), layer="blur", method="cam"))


def test_white_cells_are_found_in_real_blood(shared: Path) -> None:
    """Stained, they are the purple in it."""
    net = network((1.0, -2.0, 1.0), (0.0, 1.0, 0.0), side=240, classes=("WBC", "other"))
    found = view("pointing", Wanted(net, "", boxes=str(shared / "bccd"), layer="blur", method="cam", images=12))
    assert found.facts["by_class"]["cam"]["WBC"] >= 0.9
    assert found.facts["by_class"][ANYWHERE]["WBC"] < 0.3


def test_the_picture(scene: torch.Tensor, golden_picture: Callable[[str, bytes], None]) -> None:
    boxes = torch.tensor([[22.0, 12.0, 56.0, 42.0]]).double()
    pointed = [Pointed(scene[0], "disc", boxes, (26, 38), True), Pointed(scene[0], "disc", boxes, (50, 10), False)]
    shares = {"grad-cam": 0.5, "the middle": 1.0, "any place": 0.31}
    golden_picture("pointing", draw_pointing(shares, pointed, "a scene", "grad-cam", ("the middle", "any place")))
