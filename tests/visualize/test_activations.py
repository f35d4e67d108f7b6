"""What is said of a layer's values is so: against the values themselves, all at once."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate.blueprint import CannotTrain, NotFound, Refusal
from striate.data import open_data
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.activations import last_by_grid, maps, statistics
from striate.visualize.activations_drawn import draw_maps, draw_statistics
from striate.visualize.images import seen
from striate.visualize.watching import values


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_maps_and_the_strongest_of_them(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    [stem] = maps(resnet, x, ["stem"])
    assert torch.equal(stem.values, values(resnet, x, ["stem"])["stem"])
    assert torch.allclose(stem.strength[1, 5], stem.values[1, 5].abs().mean())
    strengths = stem.strength[0, stem.order[0]].tolist()
    assert strengths == sorted(strengths, reverse=True)
    [scores] = maps(resnet, x, ["out"])
    assert scores.values.shape == (2, 10, 1, 1)


def test_the_last_layer_of_each_grid(resnet: Network, lenet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    assert last_by_grid(resnet, x) == ["stage1.2.act", "stage2.2.act", "stage3.2.act"]
    assert [found.layer for found in maps(resnet, x)] == ["stage1.2.act", "stage2.2.act", "stage3.2.act"]
    assert last_by_grid(lenet, torch.randn(1, 1, 32, 32)) == ["conv1.act", "conv2.act"]
    theirs = torchvision().models.resnet18(weights=None)
    assert last_by_grid(theirs, torch.randn(1, 3, 64, 64)) == ["relu", "layer1", "layer2", "layer3", "layer4"]
    with pytest.raises(Refusal, match="Cannot see maps: no layer of this network gives any"):
        maps(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(1, 3, 2, 2))


def test_statistics_are_those_of_all_values_at_once(resnet: Network) -> None:
    x = torch.randn(7, 3, 32, 32) + 3
    ticks: list[int] = []
    found = {of.layer: of for of in statistics(resnet, x, size=3, tick=ticks.append)}
    assert ticks == [3, 6, 7]
    zeros = {"stage2.0.sum.project.zeros", "stage3.0.sum.project.zeros"}  # channels that are dead by intent
    assert list(found) == [node.name for node in resnet.graph.nodes[1:] if node.name not in zeros]
    assert len(statistics(resnet, x, [*zeros])) == 2
    for name in ("stem.conv", "stage2.0.sum", "stage3.2.act", "fc"):
        whole, of = values(resnet, x, [name])[name], found[name]
        assert of.volume == (*whole.shape[1:], 1, 1)[:3]
        assert of.images == 7
        assert of.mean == pytest.approx(float(whole.mean()), abs=1e-5)
        assert of.deviation == pytest.approx(float(whole.std(correction=0)), rel=1e-5)
        assert of.zeros == pytest.approx(float((whole == 0).float().mean()))
        peaks = whole.abs().amax([axis for axis in range(whole.ndim) if axis != 1])
        assert torch.allclose(of.peaks, peaks, atol=1e-4)  # batches of other sizes are summed in another order


def test_a_part_and_the_layer_that_ends_it_are_both_told(resnet: Network) -> None:
    found = statistics(resnet, torch.randn(2, 3, 32, 32), ["stage2", "stage1.2.act", "stage1"])
    assert [of.layer for of in found] == ["stage1.2.act", "stage1", "stage2"]
    assert found[0].mean == found[1].mean


def test_a_unit_is_dead_where_no_image_moves_it() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, 1.0, -1.0, 0.0]).view(4, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([0.0, -5.0, 0.0, -1.0]))
    x = torch.arange(6.0).view(6, 1, 1, 1)  # the second never gets above 0
    [relu] = statistics(model, x, ["1"], size=2)
    assert relu.dead == (1, 2, 3)
    assert relu.told() == (
        "1 4×1×1: mean 0.625, deviation 1.38, 79% zeros; 3 of 4 channels dead (0 on all 6 images): 1, 2, 3"
    )
    [more] = statistics(model, x + 1, ["1"], size=2)
    assert more.dead == (2, 3)
    assert model[1].inplace


class Again(nn.Module):
    """One ReLU run twice, on as many channels as it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.two(self.relu(self.one(x)))).mean((2, 3))


def test_a_module_that_runs_again_counts_as_it_runs_last() -> None:
    model, x = Again().double(), torch.randn(5, 3, 9, 9).double()
    found = {of.layer: of for of in statistics(model, x, size=2)}
    assert list(found) == ["one", "two", "relu"]
    whole = values(model, x, ["relu"])["relu"]
    assert found["relu"].volume == (6, 5, 5)
    assert found["relu"].mean == pytest.approx(float(whole.mean()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_whatever_the_type_of_the_weights(resnet: Network, dtype: torch.dtype) -> None:
    model, x = deepcopy(resnet).to(dtype), torch.randn(2, 3, 32, 32)
    [theirs], [ours] = maps(model, x, ["stage1"]), maps(resnet, x, ["stage1"])
    assert theirs.values.dtype == torch.float32
    assert torch.allclose(theirs.strength, ours.strength, rtol=0.1, atol=0.05)
    [theirs_], [ours_] = statistics(model, x, ["stage1"]), statistics(resnet, x, ["stage1"])
    assert theirs_.deviation == pytest.approx(ours_.deviation, rel=0.05)


def test_over_a_data_set(lenet: Network, shared: Path) -> None:
    data = open_data(shared / "mnist", 32).test[:300]
    [fc3] = statistics(lenet, data, ["fc3"])
    whole = values(lenet, preprocessing_of(lenet).normalise(data.pixels), ["fc3"])["fc3"]
    assert len(fc3.dead) == int((whole.amax(0) == 0).sum()) > 0
    assert fc3.mean == pytest.approx(float(whole.mean()), rel=1e-4)


def test_what_cannot_be_seen(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(NotFound, match=r'No layer "stage9"'):
        statistics(resnet, x, ["stage9"])
    with pytest.raises(CannotTrain, match="without images"):
        statistics(resnet, x[:0])
    with pytest.raises(Refusal, match=r"Cannot see stem\.conv: its values are not finite\."):
        statistics(resnet, torch.full((1, 3, 32, 32), float("nan")))
    with pytest.raises(Refusal, match=r"Cannot see stage1\.2\.act: its values are not finite\."):
        maps(resnet, torch.full((1, 3, 32, 32), float("nan")))
    spare = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten())
    spare.add_module("spare", nn.Identity())
    spare.forward = lambda x: spare[1](spare[0](x))  # type: ignore[assignment]
    with pytest.raises(Refusal, match="Cannot see spare: it did not run"):
        statistics(spare, x, ["spare"])


def test_activations_as_pictures(
    resnet: Network, lenet: Network, shared: Path, scene: Tensor, golden_picture: Callable[[str, bytes], None]
) -> None:
    look = seen(resnet, scene)
    golden_picture("maps-resnet20", draw_maps(maps(resnet, look.x), look.pixels[0]))
    digits = open_data(shared / "mnist", 32).test[:300]
    golden_picture("statistics-lenet5", draw_statistics(statistics(lenet, digits)))
    assert draw_maps(maps(lenet, torch.randn(1, 1, 32, 32), ["conv1.conv", "out"]), digits.pixels[0])
