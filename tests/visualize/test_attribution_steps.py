"""Networks taken apart: what is run in a model's stead gives what the model gives, or is not run."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import captum.attr as captum
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrizations import weight_norm

from reference import torchvision
from striate.nn import winograd4
from striate.nn.build import Network
from striate.nn.winograd4 import Wide
from striate.visualize.attribution import attribute
from striate.visualize.attribution.steps import folded, halves, program, widened
from striate.visualize.watching import undisturbed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


class Straight(torch.autograd.Function):
    """Rounded, with a gradient as if it were not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Net(nn.Module):
    """Convolution, norm, ReLU, twice, and a head, whose forward begins in one way or another."""

    def __init__(self, begin: Callable[[Net, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.again, self.last = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6, affine=False)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
        for norm in (self.norm, self.last):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)
        self.begin = begin or (lambda net, x: net.conv(x))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.begin(self, x)))
        return self.head(self.relu(self.last(self.again(x))))


def without_gradient(net: Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        side = net.conv(x)
    return net.conv(x) * side.tanh()


def hooked(change: Callable[[Net], Any]) -> Net:
    net = Net()
    change(net)
    return net


STRANGE: dict[str, Callable[[], nn.Module]] = {
    "plain": Net,
    "input read twice": lambda: Net(lambda net, x: net.conv(x) * x.mean((1, 2, 3), keepdim=True)),
    "first layer's value read twice": lambda: Net(lambda net, x: (lambda v: v * v.tanh())(net.conv(x))),
    "first layer run twice": lambda: Net(lambda net, x: net.conv(x) + net.conv(x.flip(3))),
    "not linear": lambda: Net(lambda net, x: net.conv(x.tanh())),
    "partly without gradient": lambda: Net(without_gradient),
    "its own gradient": lambda: Net(lambda net, x: net.conv(Straight.apply(x * 4))),
    "a hook": lambda: hooked(lambda net: net.conv.register_forward_hook(lambda _, __, value: value.tanh())),
    "a hook before": lambda: hooked(lambda net: net.norm.register_forward_pre_hook(lambda _, of: (of[0] ** 2,))),
    "a hook on the way back": lambda: hooked(
        lambda net: net.conv.register_full_backward_hook(lambda _, down, __: (down[0] * 3,))
    ),
    "weights made anew": lambda: hooked(lambda net: weight_norm(net.conv)),
    "a forward of its own": lambda: hooked(
        lambda net: vars(net.conv).update(forward=lambda x: x.repeat(1, 2, 1, 1)[:, :, ::2, ::2])
    ),
    "a linear network": lambda: nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, 4)).eval(),
}


@pytest.mark.parametrize("name", STRANGE)
def test_integrated_gradients_are_captum_s(name: str) -> None:
    model = STRANGE[name]().double()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    base = torch.full_like(x, 0.25)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = attribute(model, x, "integrated-gradients", [1, 2], baseline=base, steps=6).channels
    peer = captum.IntegratedGradients(model)
    with undisturbed(model):
        theirs = peer.attribute(x, base, torch.tensor([1, 2]), n_steps=6, internal_batch_size=2)
    assert torch.allclose(found, theirs, rtol=1e-6, atol=1e-9)
    assert found.abs().max() > 1e-3
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_the_linear_start_and_the_rest_are_the_network() -> None:
    foreign = torchvision().models.resnet18(weights=None).eval()
    for model, starts in ((Net(), 1), (foreign, 1), (STRANGE["not linear"](), 0), (STRANGE["a hook"](), 0)):
        x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        with torch.no_grad(), undisturbed(model):
            steps = program(model)
            start, rest = halves(folded(steps))
            assert torch.allclose(rest.run(start.run(x)), model(x), rtol=1e-4, atol=1e-5)
            assert len(start.graph.nodes) == 2 + starts
            assert torch.allclose(start.run(2 * x) - start.run(x), start.run(x) - start.run(0 * x), atol=1e-4)
        left = [module for node in steps.graph.nodes if (module := node.target) and node.op == "call_module"]
        assert not any(isinstance(model.get_submodule(name), nn.BatchNorm2d) for name in left) or starts == 0


def test_wide_convolutions_are_run_by_tiles() -> None:
    model = torchvision().models.resnet18(weights=None).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), undisturbed(model):
        steps = widened(folded(program(model)))
        assert sum(isinstance(node.target, Wide) for node in steps.graph.nodes) == 6  # of 256 and 512 channels, no step
        assert torch.allclose(fx.Interpreter(model, graph=steps.graph).run(x), model(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, Wide) for part in model.modules())


def test_occlusion_runs_wide_convolutions_by_tiles_and_normalises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks that make other methods quicker would keep it from being taken apart."""
    model = torchvision().models.resnet18(weights=None).eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    tiled, normalised = list[int](), list[int]()
    by_tiles, norm = winograd4.conv3x3, nn.BatchNorm2d.forward
    monkeypatch.setattr(winograd4, "conv3x3", lambda x, *how: tiled.append(len(x)) or by_tiles(x, *how))
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda of, x: normalised.append(len(x)) or norm(of, x))
    attribute(model, x, "occlusion", 1, window=8, stride=4)
    assert sum(tiled) >= 6 * 15**2  # each of the windows
    assert len(normalised) == 2 * 20  # of the whole image, and of the window that is tried


def test_a_network_of_ours_in_halves(squeezenet: Network) -> None:
    with torch.no_grad(), undisturbed(squeezenet):
        start, rest = halves(folded(program(squeezenet)))
        x = torch.randn(1, 3, 227, 227, generator=torch.Generator().manual_seed(1)) * 50
        assert len(start.graph.nodes) == 3  # the image, the first convolution, its value
        assert torch.allclose(rest.run(start.run(x)).flatten(1), squeezenet(x), rtol=1e-4, atol=1e-4)


def test_in_single_precision_slopes_are_those_of_double(resnet: Network) -> None:
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    single = attribute(resnet, x, "integrated-gradients", 3).channels
    double = attribute(deepcopy(resnet).double(), x.double(), "integrated-gradients", 3).channels
    assert (single - double).norm() <= 1e-3 * double.norm()
