"""Images made to excite a unit excite it, more than any image of the data does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import CannotMake, CannotRead, CannotTrain, NotFound, Refusal
from striate.data import Preprocessing, open_data, read_image
from striate.nn.build import Network
from striate.visualize import made as making
from striate.visualize.images import batches, seen
from striate.visualize.imagine import (
    content,
    direction,
    diversity,
    imagine,
    measured,
    neuron,
    objective,
    style,
    variation,
)
from striate.visualize.imagine import drawn as drawn_as
from striate.visualize.imagine.drawn import _tile, row, sheet
from striate.visualize.imagine.objectives import gram
from striate.visualize.imagine.parametrisation import COLOURS, waves
from striate.visualize.imagine.transformations import applied, shifted, turned, usual
from striate.visualize.units import Unit
from striate.visualize.views import view
from striate.visualize.wanted import Wanted, opened
from striate.visualize.watching import values

PLAIN = Preprocessing(3, (16, 16), (16, 16), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the image as waves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (27, 40), (2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_amplitudes_and_images_there_and_back(size: tuple[int, int], channels: int) -> None:
    ways, images = waves(channels, size), 0.1 + 0.8 * torch.rand(2, channels, *size, generator=draws())
    assert torch.allclose(ways.images(ways.amplitudes(images)), images, atol=1e-4)


def test_waves_are_as_strong_as_they_are_long() -> None:
    ways = waves(3, (32, 32))
    assert torch.isclose(ways.scale[0, 2] / ways.scale[0, 8], torch.tensor(4.0))
    assert torch.isclose(ways.scale[3, 4] * 5, ways.scale[0, 1])
    assert ways.scale.isfinite().all()
    assert torch.isclose(ways.scale.square().mean(), torch.tensor(1.0))


def test_colours_are_those_of_natural_images(shared: Path) -> None:
    sheets = sorted((shared / "cifar10").glob("train_*.webp"))[::10]
    pixels = torch.cat([read_image(path, 3).flatten(1) for path in sheets], 1).double() / 255
    assert pixels.shape == (3, 5 * 1024 * 1000)
    assert torch.allclose(pixels.cov(), torch.tensor(COLOURS).double(), atol=2e-3)
    made = waves(3, (8, 8)).colours.double()
    assert torch.allclose(
        made @ made.T / (made @ made.T)[2, 2], torch.tensor(COLOURS).double() / COLOURS[2][2], atol=1e-5
    )


# --- what happens between the image and the network ------------------------------------------------------------------


def test_changes_leave_the_size_and_follow_the_seed() -> None:
    x = torch.rand(3, 3, 40, 30, generator=draws())
    once, again, other = (applied(usual((40, 30)), x, draws(seed)) for seed in (1, 1, 2))
    assert once.shape == x.shape
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(applied((shifted(0), turned(0)), x, draws()).isclose(x, atol=1e-4), torch.ones_like(x).bool())


def test_a_shift_moves_whole_cells() -> None:
    x = torch.rand(1, 1, 12, 12, generator=draws())
    found = set()
    for seed in range(30):
        moved = shifted(2)(x, draws(seed))
        down, across = next(
            (a, b)
            for a in range(-2, 3)
            for b in range(-2, 3)
            if torch.equal(moved[..., 2:10, 2:10], x.roll((a, b), (2, 3))[..., 2:10, 2:10])
        )
        found.add((down, across))
    assert {a for a, _ in found} == {b for _, b in found} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("grid", [(61, 61), (41, 81)])
def test_a_turn_is_one(grid: tuple[int, int]) -> None:
    """A dot 15 to the right of the middle is, turned by some angle and enlarged by some size, as far away as that says,
    and at that angle, also where the image is no square.
    """
    height, width = grid
    rows, columns = torch.meshgrid(torch.arange(height) - height // 2, torch.arange(width) - width // 2, indexing="ij")
    dot = (-(rows.square() + (columns - 15).square()) / 8.0).exp()[None, None]
    angle, size = torch.rand(2, 1, generator=draws(3)).flatten().tolist()
    angle, size = (2 * angle - 1) * 40, 0.8 + 0.4 * size
    turned_dot = turned(40, 0.8, 1.2)(dot, draws(3))[0, 0]
    row, column = (at.flatten()[turned_dot.argmax()].float() for at in (rows, columns))
    assert torch.isclose((row.square() + column.square()).sqrt(), torch.tensor(15 * size), atol=0.8)
    assert abs(float(torch.atan2(row, column).abs().rad2deg()) - abs(angle)) < 3


# --- objectives ------------------------------------------------------------------------------------------------------


def test_objectives_are_texts_and_add(resnet: Network) -> None:
    x = torch.randn(3, 3, 32, 32, generator=draws())
    found = values(resnet, x, ["stem", "stage2.0.sum", "out"])
    by_hand = found["stem"][:, 3].mean((1, 2)) + 0.5 * found["out"][:, 8] - 2 * found["stage2.0.sum"][:, 1, 4, 5]
    together = objective("stem:3") + 0.5 * objective("out:ship") - objective("stage2.0.sum:1@4,5") * 2
    assert torch.allclose(measured(resnet, x, together), by_hand, atol=1e-5)
    assert torch.allclose(measured(resnet, x, "stem:3 + 0.5 * out:ship - 2*stage2.0.sum:1@4,5"), by_hand, atol=1e-5)
    assert objective(str(together)) == objective("stem:3") + "0.5 * out:ship" - "2 * stage2.0.sum:1@4,5"
    assert [term.weight for term in objective("1e-05 * a - .5*b + -3. * c").terms] == [1e-5, -0.5, -3]
    assert str(together) == "stem:3 + 0.5 * out:ship + -2 * stage2.0.sum:1@4,5"
    assert torch.allclose(measured(resnet, x, "stem"), found["stem"].square().mean((1, 2, 3)))
    assert torch.allclose(measured(resnet, x, neuron("stem:3")), found["stem"][:, 3, 16, 16])


def test_directions_styles_and_differences_by_hand() -> None:
    value = torch.randn(3, 4, 5, 6, generator=draws())
    [[term]] = [direction("a", torch.tensor([1.0, 0, -2, 0])).terms]
    assert torch.allclose(term.score(value, Unit("a")), (value[:, 0] - 2 * value[:, 2]).mean((1, 2)), atol=1e-6)
    [[term]] = [direction("a", torch.tensor([3.0, 0, 0, 0]), cosine=1).terms]
    cosine = (value[:, 0] / value.norm(dim=1)).clamp(min=0.1)
    assert torch.allclose(term.score(value, Unit("a")), (3 * value[:, 0] * cosine).mean((1, 2)), atol=1e-5)
    assert torch.allclose(gram(value)[1, 2, 3], (value[1, 2] * value[1, 3]).mean())
    for make in (content, style):
        [[term]] = [make("a", value[:1]).terms]
        scores = term.score(value, Unit("a"))
        assert scores[0] == 0
        assert (scores[1:] < -0.1).all()
    [[term]] = [diversity("a").terms]
    assert torch.allclose(term.score(value[:1].expand(3, -1, -1, -1), Unit("a")), torch.full((3,), -1.0))
    alone = torch.zeros(2, 2, 3, 3)
    alone[0, 0], alone[1, 1] = 1, 1
    assert torch.equal(term.score(alone, Unit("a")), torch.zeros(2))
    [[term]] = [variation().terms]
    assert torch.allclose(term.score(torch.arange(6.0).reshape(1, 1, 2, 3), Unit("")), torch.tensor([-4.0]))


# --- the ascent ------------------------------------------------------------------------------------------------------


def test_of_a_linear_unit_the_image_is_the_sign_of_its_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 16, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(nn.functional.interpolate(torch.randn(2, 3, 4, 4), (16, 16)))
    made = imagine(model, "0:1", rule=PLAIN, changes=(), steps=100, lr=0.5)
    weight = model[0].weight[1].detach()
    best = (weight.abs() * 2).sum()  # (0 or 1 - 0.5) / 0.25
    assert 0.85 * best < made.reached.item() < best
    strong = weight.abs() > weight.abs().median()
    assert (((made.images[0] > 0.5) == (weight > 0))[strong]).float().mean() > 0.93


@pytest.mark.parametrize("unit", ["conv1.act:2", "conv2.act:3", "conv2.act:11", "fc4.act:16", "out:5"])
def test_lenets_units_are_excited_above_all_digits(lenet: Network, shared: Path, unit: str) -> None:
    digits = seen(lenet, open_data(shared / "mnist").test.pixels[:2000])
    made = imagine(lenet, unit, steps=192)
    assert made.images.shape == (1, 1, 28, 28)
    assert 0 <= made.images.min() < made.images.max() <= 1
    assert made.reached.item() > measured(lenet, digits.x, unit).max()
    again = seen(lenet, (made.images * 255).round().byte())  # as a picture, with zeros around it, and nothing else
    assert torch.allclose(measured(lenet, again.x, unit), made.reached, rtol=0.02)


@pytest.mark.parametrize("unit", ["stage1.2.act:6", "stage3.2.act:4", "out:ship"])
def test_resnets_units_are_excited_above_all_photos(resnet: Network, shared: Path, unit: str) -> None:
    images = read_image(shared / "cifar10" / "test_00.webp", 3).reshape(3, 25, 32, 40, 32).permute(1, 3, 0, 2, 4)
    x = seen(resnet, images.reshape(1000, 3, 32, 32)[:400]).x
    assert imagine(resnet, unit, steps=64).reached.item() > measured(resnet, x, unit).max()


def test_squeezenets_channels_are_excited_above_photos(squeezenet: Network, shared: Path) -> None:
    photos = seen(squeezenet, sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:12])
    told: list[int] = []
    made = imagine(squeezenet, "body.5.expand:100", 64, steps=32, tick=told.append)
    assert made.images.shape == (1, 3, 64, 64)
    assert told == [*range(1, 33)]
    assert made.reached.item() > measured(squeezenet, photos.x, "body.5.expand:100").max()


def test_one_seed_one_result(lenet: Network) -> None:
    state, modes = torch.get_rng_state(), [part.training for part in lenet.modules()]
    once, again, other = (imagine(lenet, "conv2:3", steps=20, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(once.images, again.images)
    assert not torch.equal(once.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in lenet.modules()] == modes
    with torch.inference_mode():
        assert torch.equal(imagine(lenet, "conv2:3", steps=20, seed=3).images, once.images)


def test_sums_reach_both_and_say_each(lenet: Network) -> None:
    alone = imagine(lenet, "out:3", steps=64)
    both = imagine(lenet, "out:3 + out:5", steps=64)
    assert both.parts.keys() == {"out:3", "out:5"}
    assert torch.allclose(both.reached, both.parts["out:3"] + both.parts["out:5"])
    other = measured(lenet, seen(lenet, (alone.images * 255).byte()).x, "out:5")
    assert both.parts["out:5"] > other + 3


def test_diversity_makes_a_batch_of_several_kinds(lenet: Network) -> None:
    plain = imagine(lenet, objective("conv2:3") + 0 * diversity("conv1"), count=3, steps=48)
    apart = imagine(lenet, objective("conv2:3") + 20 * diversity("conv1"), count=3, steps=48)
    name = "diversity of conv1"
    assert plain.images.shape == (3, 1, 28, 28)
    assert apart.parts[name].mean() > plain.parts[name].mean() + 0.05


def test_other_sizes_and_a_start(lenet: Network, resnet: Network) -> None:
    assert imagine(lenet, "conv2:3", (20, 45), steps=2).images.shape == (1, 1, 20, 45)
    start = 0.2 + 0.6 * torch.rand(2, 3, 32, 32, generator=draws())
    kept = imagine(resnet, "stem:3", start=start, steps=0)
    assert torch.allclose(kept.images, start, atol=1e-4)
    changed = imagine(resnet, "stem:3", start=start, steps=10)
    assert (changed.reached > kept.reached).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_of_other_precision(resnet: Network, dtype: torch.dtype) -> None:
    made = imagine(copy.deepcopy(resnet).to(dtype), "stage2.0.act:4", steps=24)
    assert made.images.dtype == made.reached.dtype == torch.float32
    assert torch.isclose(made.reached, imagine(resnet, "stage2.0.act:4", steps=24).reached, rtol=0.1)


class Off(nn.Module):
    """Unit 0 is off on grey and can be put on; 1 has no weights; 2 has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.rounded = nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Identity()
        with torch.no_grad():
            self.conv.weight[0], self.conv.weight[1] = 0.3, 0
            self.conv.bias[0], self.conv.bias[1] = -4, -1

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        return self.rounded(x.detach())


def test_a_unit_that_is_off_at_first_is_found() -> None:
    model = Off()
    assert measured(model, torch.zeros(1, 3, 16, 16), "act:0") == 0
    assert imagine(model, "act:0", rule=PLAIN, steps=64).reached.item() > 1


def test_what_cannot_be_imagined(lenet: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(kind: type[Refusal], says: str, *args: object, **more: object) -> None:
        with pytest.raises(kind) as caught:
            imagine(*args, **more)  # type: ignore[arg-type]
        assert says in str(caught.value)

    off = Off()
    refused(
        Refusal, "Cannot imagine act:1: nothing in the image changes it; its gradient is 0", off, "act:1", rule=PLAIN
    )
    refused(Refusal, "no gradient leads from it to the image", off, "rounded:0", rule=PLAIN)
    refused(NotFound, 'No layer "atc". Near: act', off, "atc:1", rule=PLAIN)
    refused(Refusal, "act has 3 channels, channel 3 is not among them", off, "act:3", rule=PLAIN)
    refused(CannotTrain, "Cannot prepare images for this Off", off, "act:0")
    refused(
        Refusal, "2 has no map", nn.Sequential(off.conv, nn.Flatten(), nn.Linear(588, 4)), neuron("2:3"), rule=PLAIN
    )
    refused(Refusal, "one image is made", lenet, diversity("conv1"))
    refused(CannotRead, "as what an image is made for", lenet, "conv1:1 +  + conv1:3")
    refused(Refusal, "it has 6 channels, the vector 4", lenet, direction("conv1", torch.ones(4)))
    refused(CannotMake, "Cannot imagine 1 image of 5000×5000.\n    Sides of 2 to 2,048", lenet, "conv1:1", 5000)
    refused(CannotMake, "Cannot imagine 100,000 images of 28×28", lenet, "conv1:1", count=100_000)
    refused(CannotMake, "Cannot imagine in 256 steps of -1", lenet, "conv1:1", lr=-1.0)
    refused(CannotMake, "Cannot start from 2×28×28", lenet, "conv1:1", start=torch.rand(2, 28, 28))
    refused(Refusal, "Cannot place conv1.conv: Conv(6, 5, fit='floor') on 1×4×4", lenet, "conv1:1", 4)
    monkeypatch.setattr("striate.data.memory.free", lambda: 10_000_000)
    refused(CannotTrain, "Cannot hold the network on 1,048,576 cells of images in memory", lenet, "conv1:1", 1024)
    broken = Off()
    with torch.no_grad():
        broken.conv.weight[0] = float("nan")
    refused(Refusal, "Cannot imagine act:0: its value, or its gradient, is not a number", broken, "act:0", rule=PLAIN)
    with pytest.raises(CannotRead, match="Cannot weigh conv1:3 by nan"):
        objective("conv1:3") * float("nan")


class Steep(nn.Module):
    """What is infinite on bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.power = nn.Conv2d(3, 1, 1), nn.Identity()
        nn.init.ones_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.power(torch.where(self.conv(x) > 3, float("inf"), self.conv(x)))


def test_an_ascent_that_comes_apart() -> None:
    with pytest.raises(Refusal, match=r"Cannot go on imagining power:0: after \d+ steps? of 256 it is not a number"):
        imagine(Steep(), "power:0", rule=PLAIN, lr=0.5)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_sheet(lenet: Network, golden_picture: Callable[[str, bytes], None]) -> None:
    digits = open_data("digits").test.pixels[:300]
    x = seen(lenet, digits).x
    names = ["conv1:2", "conv2:3", "out:3", "out:5"]
    real = {name: digits[measured(lenet, x, name).topk(4).indices] for name in names}
    best = {name: float(measured(lenet, x, name).max()) for name in names}
    made = {name: imagine(lenet, name, steps=12, lr=0.3, changes=()) for name in names}
    reached = {name: float(one.reached[0]) for name, one in made.items()}
    picture = sheet({name: one.images for name, one in made.items()}, real, reached, best)
    golden_picture("imagined-lenet5", picture)
    tall = _tile(torch.zeros(1, 10, 4))[0, 0]
    assert tall.mean(0).tolist() == [1.0] * 29 + [0.0] * 38 + [1.0] * 29  # 3 of 10 cells on each side
    assert row({"photo": digits[0], "dream": digits[1]}).startswith(b"\x89PNG")


def test_real_images_are_held_against_it_by_the_same_measure(lenet: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by their largest cell: those beside it have the largest mean, and the number is theirs."""
    monkeypatch.setattr(making, "STEPS", 2)
    of = Wanted(lenet, "LeNet-5", data=opened(lenet, "digits"), unit="conv2.act:3", images=60)
    drawn, parts = dict[str, Any](), ("images", "real", "reached", "best")
    monkeypatch.setattr(making, "sheet", lambda *said: drawn.update(zip(parts, said, strict=True)) or b"")
    shown = view("imagine", of)
    x, _, looks = next(batches(lenet, of.some(60), 60))
    most = measured(lenet, x, "conv2.act:3").topk(4)
    assert torch.allclose(drawn["real"]["conv2.act:3"], looks[most.indices])
    assert drawn["best"]["conv2.act:3"] == shown.facts["images"]["conv2.act:3"] == pytest.approx(float(most.values[0]))
    assert drawn["reached"] == shown.facts["reached"]


def test_numbers_stand_over_what_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_as, "png", lambda figure: figure)
    pictures = {"conv1:2": torch.rand(1, 8, 8)}
    figure: Any = sheet(pictures, {"conv1:2": [torch.rand(1, 8, 8)] * 4}, {"conv1:2": 7.475}, {"conv1:2": 1.253})
    assert [axes.get_title() for axes in figure.axes] == ["conv1:2\n7.475", "real\nup to 1.253"]
    assert "In both alike" in figure.get_supxlabel()
    alone: Any = sheet(pictures)
    assert alone.axes[0].get_title() == "conv1:2"


def test_classes_with_signs_in_their_names(lenet: Network) -> None:
    """Alone as they are, in a sum in quotes or by number; who leaves these out is told."""
    kept = lenet.metadata
    x = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    try:
        lenet.metadata = {**kept, "classes": ["salt + pepper", "2 * x", *"cdefghij"]}
        by_number = measured(lenet, x, "out:0")
        assert torch.equal(measured(lenet, x, "out:salt + pepper"), by_number)
        assert torch.equal(measured(lenet, x, 'out:"salt + pepper"'), by_number)
        whole = measured(lenet, x, "out:0 - 0.5 * out:1")
        assert torch.equal(measured(lenet, x, 'out:"salt + pepper" - 0.5 * out:"2 * x"'), whole)
        with pytest.raises(NotFound) as refused:
            measured(lenet, x, "out:salt + pepper - out:3")
        assert refused.value.ways == (
            'A class with a sign in its name is quoted in a sum: out:"salt + pepper"; or its number.'
        )
        assert [str(term) for term in objective('out:"a - b" - 2 * out:"c"').terms] == ['out:"a - b"', '-2 * out:"c"']
    finally:
        lenet.metadata = kept
