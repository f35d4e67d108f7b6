"""Attribution equals captum's where both have a method, and closed forms where there are such."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import captum.attr as captum
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference import torchvision
from striate.data import idx
from striate.nn.build import Network
from striate.visualize.attribution import attribute
from striate.visualize.images import seen
from striate.visualize.watching import undisturbed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")  # it says what it does
Oracle = Callable[[nn.Module, Tensor, Tensor], Tensor]  # of a model, images and their classes
LAYERS = {"lenet": "conv2.act", "resnet": "stage3.2.act", "squeezenet": "body.10.expand.1", "torchvision": "layer4"}
PEERS = ["lenet", "resnet", "squeezenet", "torchvision"]


@pytest.fixture(scope="session")
def subjects(lenet: Network, resnet: Network, squeezenet: Network, shared: Path) -> dict[str, tuple[nn.Module, Tensor]]:
    """Networks, and two real images as they read them."""
    photos = [
        shared / "hymenoptera" / "val" / "bees" / name
        for name in ("1032546534_06907fe3b3.jpg", "10870992_eebeeb3a12.jpg")
    ]
    torch.manual_seed(0)
    foreign = torchvision().models.resnet18(weights=None).eval()
    return {
        "lenet": (lenet, seen(lenet, idx.read(shared / "mnist")[1].pixels[:2]).x),
        "resnet": (resnet, seen(resnet, photos).x),
        "squeezenet": (squeezenet, seen(squeezenet, photos).x),
        "torchvision": (foreign, F.interpolate(seen(resnet, photos).x, 64)),
    }


def smoothed(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """captum's gradients under the same noise: each image's own, drawn in turn."""
    chance, found = torch.Generator().manual_seed(3), []
    for image, which in zip(x, classes, strict=True):
        drawn = torch.stack([torch.randn(image.shape, generator=chance) for _ in range(4)])
        drawn = drawn * (0.15 * (image.max() - image.min()))
        found.append(captum.Saliency(model).attribute(image + drawn, which.expand(4), abs=False).mean(0))
    return torch.stack(found)


def covered(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    tall, wide = x.shape[2] // 3, x.shape[3] // 4
    size, stride = (x.shape[1], tall, wide), (x.shape[1], tall - 2, wide - 1)
    return captum.Occlusion(model).attribute(x, size, stride, 0.5, classes, perturbations_per_eval=8)[:, 0]


def options(method: str, x: Tensor) -> dict[str, Any]:
    tall, wide = x.shape[2] // 3, x.shape[3] // 4
    return {
        "integrated-gradients": {"steps": 3},
        "smooth-grad": {"samples": 4, "seed": 3},
        "occlusion": {"window": (tall, wide), "stride": (tall - 2, wide - 1), "fill": 0.5},
    }.get(method, {})


ORACLES: dict[str, Oracle] = {  # channels, where there are such, else values
    "gradient": lambda m, x, c: captum.Saliency(m).attribute(x, c, abs=False),
    "input-x-gradient": lambda m, x, c: captum.InputXGradient(m).attribute(x, c),
    "guided-backprop": lambda m, x, c: captum.GuidedBackprop(m).attribute(x, c),
    "integrated-gradients": lambda m, x, c: captum.IntegratedGradients(m).attribute(x, 0.0, c, n_steps=3),
    "smooth-grad": smoothed,
    "occlusion": covered,
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("method", ORACLES)
def test_equal_to_captum(method: str, name: str, subjects: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = subjects[name]
    if method == "integrated-gradients":  # in float32, and in an even background, ties go this way or that
        model, x = deepcopy(model).double(), x.double()
        x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    heat = attribute(model, x, method, **options(method, x))
    with undisturbed(model):
        theirs = ORACLES[method](model, x.clone(), heat.targets).detach()
    ours = heat.values if heat.channels is None else heat.channels
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 2e-4 * theirs.abs().max()
    assert theirs.abs().max() > 0
    assert heat.values.shape == (len(x), *x.shape[2:])


@pytest.mark.parametrize("name", PEERS)
def test_grad_cam_is_captum_s(name: str, subjects: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = subjects[name]
    layer = LAYERS[name]
    heat = attribute(model, x, "grad-cam", layer=None if name in ("lenet", "resnet") else layer)
    assert heat.layer == layer
    with undisturbed(model):
        part = "body.10.expand.1.act" if name == "squeezenet" else layer
        cam = captum.LayerGradCam(model, model.get_submodule(part))
        theirs = cam.attribute(x, heat.targets, relu_attributions=True).detach()
        enlarged = captum.LayerAttribution.interpolate(theirs, x.shape[2:], "bilinear")[:, 0]
    assert torch.allclose(heat.cells, theirs[:, 0], atol=1e-4 * float(theirs.max()))
    assert torch.allclose(heat.values, enlarged, atol=1e-4 * float(theirs.max()))
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())
    assert theirs.max() > 0


@pytest.mark.parametrize(("name", "layer"), [("resnet", "stage3.2.act"), ("squeezenet", "conv10.act")])
def test_under_a_mean_nothing_is_gone_back_through(
    name: str, layer: str, subjects: dict[str, tuple[nn.Module, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same map as by gradients, which are taken as soon as anything more lies between."""
    model, x = subjects[name]
    asked = list[str]()
    room = sys.modules["striate.visualize.attribution.cam"]  # its name in the package is the function's
    going_back = room.slope
    monkeypatch.setattr(room, "slope", lambda *of: asked.append("back") or going_back(*of))
    maps = [attribute(model, x, method, 1, layer).cells for method in ("grad-cam", "grad-cam++")]
    assert not asked
    hook = model.get_submodule([node.name for node in model.graph.nodes][-1]).register_forward_hook(lambda *_: None)
    try:
        others = [attribute(model, x, method, 1, layer).cells for method in ("grad-cam", "grad-cam++")]
    finally:
        hook.remove()
    assert asked == ["back"] * 2
    for one, other in zip(maps, others, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
        assert one.max() > 0
