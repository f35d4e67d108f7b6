"""Networks that hand on rows and columns before channels are read as they are meant."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate.data.preprocessing import Preprocessing
from striate.nn.build import Network
from striate.visualize.activations import last_by_grid, maps, statistics
from striate.visualize.attribution import attribute
from striate.visualize.embedding import features
from striate.visualize.exciting import exciting
from striate.visualize.field import gradients
from striate.visualize.imagine import measured, objective
from striate.visualize.imagine.ascent import imagine
from striate.visualize.units import Unit, channels_first, map_layer
from striate.visualize.watching import values

RULE = Preprocessing(3, (64, 64), (64, 64), (0.0,) * 3, (1.0,) * 3)


@pytest.fixture(scope="module")
def swin() -> nn.Module:
    """Small: 16×16 of 24 channels, then 8×8 of 48."""
    torch.manual_seed(0)
    made: nn.Module = torchvision().models.SwinTransformer([4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=10)
    return made.eval()


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_a_layers_channels_are_its_channels(swin: nn.Module, x: Tensor) -> None:
    raw = values(swin, x, ["features.1", "features.3"])
    for (layer, value), found in zip(raw.items(), maps(swin, x, [*raw]), strict=True):
        assert torch.equal(found.values, value.permute(0, 3, 1, 2)), layer
    early, late = (tuple(value.shape[1:]) for value in raw.values())
    assert (early, late) == ((16, 16, 24), (8, 8, 48))
    assert map_layer(swin, x) == "permute"
    assert {tuple(one.values.shape[2:]) for one in maps(swin, x)} == {(16, 16), (8, 8)}
    assert len(last_by_grid(swin, x)) == 2
    [said] = statistics(swin, x, ["features.1"])
    assert said.volume == (24, 16, 16)
    assert len(said.peaks) == 24
    assert features(swin, x, "features.1").values.shape == (3, 24)
    found = exciting(swin, x, "features.1", 2)
    assert found.grid == (16, 16)
    torch.testing.assert_close(found.values[:, 0], raw["features.1"].flatten(0, 2).amax(0))


def test_a_unit_is_a_channel_of_its_map(swin: nn.Module, x: Tensor) -> None:
    raw = values(swin, x, ["features.1"])["features.1"]
    torch.testing.assert_close(measured(swin, x, "features.1:20"), raw[..., 20].mean((1, 2)))
    made = imagine(swin, objective("features.1:20"), 64, steps=4, rule=RULE)
    assert float(made.reached) > float(measured(swin, torch.full((1, 3, 64, 64), 0.5), "features.1:20"))
    leaf = x[:1].clone().requires_grad_()
    stem = swin.features[0](leaf)  # type: ignore[index, operator]
    stem[0, 5, 7, 3].backward()
    slopes, _ = gradients(swin, x[:1], Unit("features.0", 3, (5, 7)))
    torch.testing.assert_close(slopes[0], leaf.grad[0].abs().sum(0))  # type: ignore[index]
    assert slopes[0].nonzero().amin(0).tolist() == [20, 28]


def test_where_a_layer_is_active(swin: nn.Module, x: Tensor) -> None:
    """Grad-CAM by its definition, of the layer's channels."""
    heat = attribute(swin, x[:1], "grad-cam", 3, layer="features.1")
    value = swin.features[1](swin.features[0](x[:1])).detach().requires_grad_()  # type: ignore[index, operator]
    behind = value
    for part in (*swin.features[2:], swin.norm, swin.permute, swin.avgpool, swin.flatten, swin.head):  # type: ignore[index, misc]
        behind = part(behind)
    behind[0, 3].backward()
    assert value.grad is not None
    cells = (value.grad.mean((1, 2), keepdim=True) * value.detach()).sum(3).relu()
    assert heat.cells is not None
    assert heat.cells.shape == (1, 16, 16)
    torch.testing.assert_close(heat.cells, cells, rtol=1e-3, atol=1e-7)


def test_all_else_is_taken_as_it_is(swin: nn.Module, resnet: Network) -> None:
    """No network without LayerNorms, nothing with channels first, nothing that might be."""
    convnext = torchvision().models.convnext_tiny()
    convolutions = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Flatten(), nn.Linear(512, 10))
    for model, shape in (
        (resnet, (1, 64, 8, 16)), (convolutions, (1, 64, 512, 512)), (swin, (1, 48, 8, 8)), (swin, (1, 24, 24, 24)),
        (convnext, (1, 96, 56, 56)), (convnext, (1, 96, 384, 384)), (swin, (1, 64, 48)),
    ):  # fmt: skip
        value = torch.empty(shape)
        assert channels_first(model, value) is value, shape
    inside = torch.empty(1, 14, 14, 4 * 384)  # of one of its blocks, between two Linears
    assert channels_first(convnext, inside).shape == (1, 1536, 14, 14)
    assert channels_first(swin, torch.empty(1, 48, 48, 24)).shape == (1, 24, 48, 48)
