"""What a window changes, worked out alone, is what whole runs give."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import striate
from reference import torchvision
from striate.nn.build import Network, initialise
from striate.visualize.attribution import attribute
from striate.visualize.attribution.incremental import Box, changed, cut, known
from striate.visualize.attribution.steps import program
from striate.visualize.watching import undisturbed

PROGRAM = "striate.visualize.attribution.occlusion.program"
ROOM = sys.modules["striate.visualize.attribution.occlusion"]  # its name in the package is the function's


@pytest.fixture(autouse=True)
def however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOM, "WORTH", 0)


def lively(model: nn.Module) -> nn.Module:
    """Whose answer depends on the image, and whose norms do something."""
    initialise(model)
    chance = torch.Generator().manual_seed(5)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.running_mean.shape, generator=chance) * 0.1)
            part.running_var.copy_(torch.rand(part.running_var.shape, generator=chance) + 0.5)
    return model.eval()


def foreign(name: str) -> nn.Module:
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    return getattr(torchvision().models, name)(weights=None, **options)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: striate.build("resnet18", "3x64x64"),
    "googlenet": lambda: striate.build("googlenet", "3x96x96"),
    "squeezenet1_1": lambda: striate.build("squeezenet1_1", "3x65x65"),
    "mobilenet_v2": lambda: striate.build("mobilenet_v2", "3x64x64"),
    "densenet121": lambda: striate.build("densenet121", "3x64x64"),
    **{f"torchvision {n}": lambda n=n: foreign(n) for n in ("resnet18", "googlenet", "shufflenet_v2_x0_5")},
    **{f"torchvision {n}": lambda n=n: foreign(n) for n in ("mobilenet_v3_small",)},
}


GATED = {"torchvision mobilenet_v3_small"}  # a gate reads the whole map, from the first block on


def both(model: nn.Module, x: Tensor, **options: Any) -> tuple[Tensor, Tensor, float]:
    """The map as it is made, and by whole runs; the multiplications of the first as a share of the second's."""
    with FlopCounterMode(display=False) as few:
        found = attribute(model, x, "occlusion", 1, **options).values
    with patch(PROGRAM, lambda model: None), FlopCounterMode(display=False) as all_:
        whole = attribute(model, x, "occlusion", 1, **options).values
    return found, whole, few.get_total_flops() / all_.get_total_flops()


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_whole_runs(name: str) -> None:
    torch.manual_seed(0)
    model = lively(NETWORKS[name]())
    x = torch.randn(1, *model.graph.volume) if isinstance(model, Network) else torch.randn(1, 3, 72, 81)
    found, whole, share = both(model, x, window=(13, 11), stride=(13, 11))
    with torch.no_grad():
        size = model(x).abs().max()
    assert (found - whole).abs().max() <= 1e-5 * size
    assert whole.abs().max() >= 1e-3 * size
    assert share < (1.1 if name in GATED else 1.0)  # not by whole runs, then


def test_most_of_squeezenet_is_not_run_again(squeezenet: Network) -> None:
    x = torch.randn(1, 3, 227, 227, generator=torch.Generator().manual_seed(0)) * 50
    found, whole, share = both(squeezenet, x, window=32, stride=32)
    assert (found - whole).abs().max() <= 1e-4 * whole.abs().max()
    assert share < 0.5


@st.composite
def layer(draw: st.DrawFn) -> nn.Module:
    kernel, stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(st.tuples(*[st.integers(1, 3)] * 2))
    padding = draw(st.tuples(*[st.integers(0, side // 2) for side in kernel]))
    dilation = draw(st.tuples(*[st.integers(1, 2)] * 2))
    match draw(st.integers(0, 3)):
        case 0:
            return nn.Conv2d(4, 4, kernel, stride, padding, dilation, groups=draw(st.sampled_from([1, 2])))
        case 1:
            return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=draw(st.booleans()))
        case 2:
            return nn.AvgPool2d(kernel, stride, padding, draw(st.booleans()), draw(st.booleans()))
    return nn.ReLU(inplace=True)


@settings(max_examples=40, deadline=None)
@given(
    layers=st.lists(layer(), min_size=1, max_size=4),
    corner=st.tuples(*[st.integers(0, 18)] * 2),
    seed=st.integers(0, 9),
)
def test_any_layers_on_any_window(layers: list[nn.Module], corner: tuple[int, int], seed: int) -> None:
    torch.manual_seed(seed)
    model, x = nn.Sequential(*layers).eval(), torch.randn(1, 4, 23, 21)
    others = torch.tensor([0, 17])
    top, left = (torch.cat([torch.tensor([at]), others]) for at in corner)
    box = Box(torch.randn(3, 4, 5, 3), top, left)
    images = x.repeat(3, 1, 1, 1)
    for image, values, i, j in zip(images, box.values, top.tolist(), left.tolist(), strict=True):
        image[:, i : i + 5, j : j + 3] = values
    with torch.no_grad(), undisturbed(model):
        try:
            expected = model(images)
        except RuntimeError:  # no cell is left
            return
        found = changed(known(program(model), x), box)
        if isinstance(found, Box):
            found = cut(model(x), found, torch.zeros(3).long(), torch.zeros(3).long(), tuple(expected.shape[2:]))
    assert torch.allclose(found, expected, atol=1e-5)


def test_cells_are_cut_from_map_box_and_beyond() -> None:
    clean = torch.arange(12.0).view(1, 1, 3, 4)
    box = Box(torch.tensor([[[[-1.0, -2.0]]], [[[-3.0, -4.0]]]]), torch.tensor([0, 2]), torch.tensor([1, 2]))
    found = cut(clean, box, torch.tensor([-1, 1]), torch.tensor([0, 2]), (3, 3), outside=99.0)
    assert found[0, 0].tolist() == [[99, 99, 99], [0, -1, -2], [4, 5, 6]]
    assert found[1, 0].tolist() == [[6, 7, 99], [-3, -4, 99], [99, 99, 99]]


class Decides(nn.Module):
    """Its steps depend on values: nobody can write them down beforehand."""

    def __init__(self, hooked: bool = False) -> None:
        super().__init__()
        self.conv, self.hooked = nn.Conv2d(3, 4, 3), hooked

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x)
        if not self.hooked and made.sum() > 1e9:
            return made.amax((2, 3))
        return made.mean((2, 3))


def test_what_cannot_be_known_is_run_whole() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 9, 9)
    assert program(Decides()) is None
    found, whole, share = both(Decides(), x, window=3)
    assert torch.equal(found, whole)
    assert share == 1
    hooked = Decides(hooked=True)  # a hook of somebody's, which boxes would pass by
    hooked.conv.register_forward_hook(lambda _, __, made: made * torch.arange(7.0))
    assert program(hooked) is not None
    found, whole, share = both(hooked, x, window=3)
    assert torch.allclose(found, whole, atol=1e-6)


def test_of_small_images_all_of_them_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = lively(NETWORKS["resnet18"]()), torch.randn(1, 3, 64, 64)
    assert both(model, x, window=20)[2] < 1
    monkeypatch.setattr(ROOM, "WORTH", 1 << 18)
    assert both(model, x, window=20)[2] == 1


def test_one_window_is_the_whole_image() -> None:
    torch.manual_seed(0)
    model, x = Decides(), torch.randn(2, 3, 9, 9)
    kept = x.clone()
    heat = attribute(model, x, "occlusion", 0, window=9)
    with torch.no_grad():
        lost = model(x)[:, 0] - model(torch.zeros_like(x))[:, 0]
    assert torch.allclose(heat.values, lost[:, None, None].expand(2, 9, 9), atol=1e-6)
    assert torch.equal(x, kept)


def test_whole_runs_one_by_one_leave_the_image_as_it_was() -> None:
    torch.manual_seed(0)
    model, x = Decides(), torch.randn(1, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    kept = x.clone()
    one, many = (attribute(model, x, "occlusion", 0, window=4, at_once=few).values for few in (1, 5))
    assert torch.equal(x, kept)
    assert torch.allclose(one, many, atol=1e-6)


def test_names_of_modules_mean_nothing() -> None:
    torch.manual_seed(0)
    parts = {"relu": nn.AvgPool2d(3, 1), "add": nn.Conv2d(2, 3, 3), "cat": nn.AdaptiveAvgPool2d(1), "mul": nn.Flatten()}
    model = nn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    found, whole, share = both(model, torch.randn(1, 2, 40, 40), window=4)
    assert torch.allclose(found, whole, atol=1e-6)
    assert share < 0.5
