"""What excites a unit most is found by hand, too, and its patch alone excites it as much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import CannotRead, CannotTrain, NotFound, Refusal
from striate.data import Images, Streamed, open_data
from striate.data.pictures import File
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.exciting import exciting, patches
from striate.visualize.exciting_drawn import draw_exciting
from striate.visualize.images import seen
from striate.visualize.units import Unit
from striate.visualize.watching import values


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def mnist(shared: Path) -> Images:
    return open_data(shared / "mnist", 32).test[:400]  # type: ignore[return-value]


def test_the_best_of_every_channel_in_one_pass(lenet: Network, mnist: Images) -> None:
    ticks: list[int] = []
    found = exciting(lenet, mnist, "conv2.act", best=7, size=90, tick=ticks.append)
    assert ticks == [90, 180, 270, 360, 400]
    assert found.seen == 400
    whole = values(lenet, preprocessing_of(lenet).normalise(mnist.pixels), ["conv2.act"])["conv2.act"]
    best, images = whole.flatten(2).amax(2).topk(7, dim=0)
    assert torch.allclose(found.values, best.T, atol=1e-5)
    assert torch.equal(found.images, images.T)
    for row, place in ((0, 0), (5, 3), (15, 6)):
        at = found.unit(row, place)
        image = int(found.images[row, place])
        assert at.channel == row
        assert float(at.of(whole)[image]) == pytest.approx(float(found.values[row, place]), abs=1e-5)


def test_a_unit_a_cell_a_class(lenet: Network, mnist: Images) -> None:
    x = preprocessing_of(lenet).normalise(mnist.pixels[:60])
    whole = values(lenet, x, ["conv2.act", "out"])
    one = exciting(lenet, x, "conv2.act:3", size=7)
    every = exciting(lenet, x, "conv2.act")
    assert one.channels.tolist() == [3]
    assert torch.allclose(one.values[0], every.values[3], atol=1e-5)
    assert torch.equal(one.images[0], every.images[3])
    cell = exciting(lenet, x, "conv2.act:3@4,5", best=3)
    best, images = whole["conv2.act"][:, 3, 4, 5].topk(3)
    assert torch.allclose(cell.values[0], best, atol=1e-5)
    assert torch.equal(cell.images[0], images)
    assert cell.unit(0, 0) == Unit("conv2.act", 3, (4, 5))
    four = exciting(lenet, x, "out:4", best=2)
    assert four.images[0].tolist() == whole["out"][:, 4].topk(2).indices.tolist()
    assert four.unit(0, 0) == Unit("out", 4)


def test_the_patch_alone_excites_it_as_much(lenet: Network, mnist: Images) -> None:
    found, rule = exciting(lenet, mnist, "conv2.act", best=3), preprocessing_of(lenet)
    first, second = (lenet.get_submodule(name) for name in ("conv1.conv", "conv2.conv"))
    for row in (0, 4, 9):
        for patch in patches(lenet, mnist, found, row):
            assert patch.pixels.shape == (1, 14, 14)  # LeNet's convolutions read no padding: nothing is cut
            (top, _), (left, _) = patch.rows, patch.columns
            assert torch.equal(patch.around, mnist.pixels[patch.image].float() / 255)
            assert torch.equal(patch.pixels, patch.around[:, top : top + 14, left : left + 14])
            x = rule.normalise((patch.pixels * 255).round().byte()[None])
            with torch.no_grad():
                alone = second(nn.functional.max_pool2d(first(x).relu(), 2)).relu()
            assert float(alone[0, row, 0, 0]) == pytest.approx(patch.value, rel=1e-4)


def test_of_equals_those_that_come_first() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.copy_(torch.tensor([-1.0, 2.0]))
    for size in (1, 3, 10):
        found = exciting(model, torch.randn(10, 1, 4, 4), "1", best=4, size=size)
        assert found.images.tolist() == [[0, 1, 2, 3]] * 2
        assert found.values.tolist() == [[0.0] * 4, [2.0] * 4]


class Decides(nn.Module):
    """No export can follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 5)
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        return self.conv(x) if bool(x.sum() < 1e9) else x


def test_what_nobody_can_follow_is_cut_by_its_gradient() -> None:
    model, x = Decides(), torch.rand(20, 1, 12, 12)
    found = exciting(model, x, "conv", best=2, size=6)
    assert model.largest == 6  # no more than that at once
    assert found.field is None
    for row in range(3):
        for place, patch in enumerate(patches(model, x, found, row)):
            top, left = found.cells[row, place].tolist()
            assert (patch.rows, patch.columns) == ((top, top + 4), (left, left + 4))
            with torch.no_grad():
                alone = model.conv(x[patch.image : patch.image + 1, :, top : top + 5, left : left + 5])
            assert float(alone[0, row, 0, 0]) == pytest.approx(patch.value, abs=1e-5)


def test_files_are_streamed_and_the_unreadable_left_out(resnet: Network, shared: Path, tmp_path: Path) -> None:
    photos = sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:24]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    some = [*photos[:10], broken, *photos[10:]]

    def streamed(files: list[Path]) -> Streamed:
        labels = torch.zeros(len(files), dtype=torch.int64)
        return Streamed(tuple(map(File, files)), labels, ("bees",), "bees", preprocessing_of(resnet))

    ticks: list[int] = []
    found = exciting(resnet, streamed(some), "stage3:5", best=4, size=8, tick=ticks.append)
    assert (found.seen, found.left_out) == (24, 1)
    assert ticks[-1] == 24
    whole = values(resnet, seen(resnet, photos).x, ["stage3"])["stage3"][:, 5].flatten(1).amax(1)
    best, images = whole.topk(4)
    assert torch.allclose(found.values[0], best, atol=1e-4)
    assert found.images[0].tolist() == [i + (i >= 10) for i in images.tolist()]
    assert len(patches(resnet, streamed(some), found)) == 4
    with pytest.raises(CannotRead, match=r"Cannot read 2 of the 4 images of bees, among them .*broken\.jpg"):
        exciting(resnet, streamed([photos[0], broken, broken, photos[1]]), "stage3", size=4)


def test_what_cannot_be_asked(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(NotFound, match="stage9"):
        exciting(resnet, x, "stage9")
    with pytest.raises(Refusal, match="stage3 has 64 channels, channel 64 is not among them"):
        exciting(resnet, x, "stage3:64")
    with pytest.raises(CannotTrain, match="without images"):
        exciting(resnet, x[:0], "stage3")
    with pytest.raises(Refusal, match=r"Cannot see what excites stem\.conv: its values are not finite"):
        exciting(resnet, x * float("nan"), "stem.conv")
    with pytest.raises(Refusal, match="Cannot keep the best 0"):
        exciting(resnet, x, "stage3", best=0)


def test_what_excites_as_pictures(lenet: Network, golden_picture: Callable[[str, bytes], None]) -> None:
    images = open_data("digits", preprocessing=preprocessing_of(lenet)).test
    found = exciting(lenet, images, "conv2.act")
    rows = {f"conv2.act:{row}": patches(lenet, images, found, row) for row in range(4)}
    golden_picture("exciting-lenet5", draw_exciting(rows))
    assert draw_exciting({"conv2.act:4": patches(lenet, images, found, 4)}).startswith(b"\x89PNG")
