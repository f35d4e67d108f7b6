"""A 3×3 convolution in fewer multiplications: torch's numbers and gradients, and run so only where nobody can tell."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import observed
from observed import trained_on
from striate import build, ledger
from striate.blueprint import BatchNorm, Conv, Linear, Relu, Seq, draft
from striate.data import Splits
from striate.nn import winograd
from striate.nn.fusing import TILES, WIDE, runs
from striate.nn.winograd import conv3x3

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "rows": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every other column": lambda x: x.repeat_interleave(2, 3)[..., ::2],
}


def made(shape: tuple[int, int, int, int], filters: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """An input, a weight and a bias."""
    torch.manual_seed(0)
    shapes = shape, (filters, shape[1], 3, 3), (filters,)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


def plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


def with_gradients(out: Tensor, of: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(1)
    each = torch.autograd.grad(out, of, torch.randn(out.shape, dtype=torch.float64).to(out.dtype))
    return [out.detach(), *each]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 8, 8), (2, 3, 4, 6), (4, 2, 2, 2), (1, 1, 2, 8)])
def test_numbers_and_gradients_are_torch_s(shape: tuple[int, int, int, int], with_bias: bool, layout: str) -> None:
    x, weight, bias = made(shape, 7)
    x = LAYOUTS[layout](x.detach()).requires_grad_()
    of = [x, weight, bias] if with_bias else [x, weight]
    said = bias if with_bias else None
    wanted = with_gradients(plain(x, weight, said), of)
    for ours, theirs in zip(with_gradients(conv3x3(x, weight, said, torch.float64), of), wanted, strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_in_parts_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    of = made((7, 3, 4, 4), 5)
    wanted = with_gradients(plain(*of), of)
    monkeypatch.setattr(winograd, "ROOM", 4 * 3 * 3 * 16)
    assert len(winograd._parts(of[0].permute(0, 2, 3, 1))) > 2
    for ours, theirs in zip(with_gradients(conv3x3(*of, dtype=torch.float64), of), wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_only_the_gradients_that_are_asked_for_are_made() -> None:
    x, weight, bias = made((2, 3, 4, 4), 5)
    conv3x3(x, weight.detach(), bias.detach(), torch.float64).sum().backward()
    assert weight.grad is None
    assert x.grad is not None
    conv3x3(x.detach(), weight, None, torch.float64).sum().backward()
    assert weight.grad is not None


def test_the_gradient_s_gradient_is_torch_s() -> None:
    of = made((2, 3, 4, 4), 5)
    found = []
    for how in (plain, lambda *of: conv3x3(*of, dtype=torch.float64)):
        first = torch.autograd.grad((how(*of) + 1).square().sum(), of, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), of))
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9)


def test_in_bfloat16_it_is_off_by_a_few_roundings() -> None:
    """The plain way by one of each weight and of what comes out: 2^-9 of each at most."""
    of = made((32, 64, 8, 8), 64, torch.float32)
    exact = with_gradients(plain(*[t.double() for t in of]), of)
    ours = with_gradients(conv3x3(*of), of)
    off = [float((mine.double() - wanted).norm() / wanted.norm()) for mine, wanted in zip(ours, exact, strict=True)]
    assert off[0] > 1e-4  # it was in bfloat16
    assert max(off) < 0.01, off


WIDENED = Seq(a=Conv(WIDE, 1), b=Conv(WIDE, 3, padding=1), norm=BatchNorm(), relu=Relu, c=Conv(10, 1), fc=Linear(10))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build(WIDENED, "3x4x4").train()


def images(count: int = TILES // 4, side: int = 4) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(count, 3, side, side).contiguous(memory_format=torch.channels_last)


def goes_through(out: Tensor) -> bool:
    return "Conv3x3Backward" in observed.way_back(out)


IN_PLACE = Seq(
    Conv(WIDE, 1), a=Conv(WIDE, 3, padding=1), relu=Relu, b=Conv(WIDE, 3, padding=1), end=Relu, fc=Linear(10)
)


@pytest.mark.parametrize("net", [WIDENED, IN_PLACE], ids=["a norm behind", "a ReLU in place behind, as in VGG"])
def test_a_training_step_in_bfloat16_is_the_plain_one_s_within_its_rounding(net: Seq) -> None:
    torch.manual_seed(0)
    network = build(net, "3x4x4").train()
    exact, plainly = copy.deepcopy(network), copy.deepcopy(network)
    F.cross_entropy(exact(images()), torch.arange(len(images())) % 10).backward()
    out, ours = trained_on(network, images())
    assert goes_through(out)
    plainly._fused = plainly._steps  # type: ignore[assignment]
    other, theirs = trained_on(plainly, images())
    assert not goes_through(other)
    for name, wanted in exact.named_parameters():
        assert wanted.grad is not None
        off, theirs_off = ((g[name] - wanted.grad).norm() for g in (ours, theirs))
        assert off <= 4 * theirs_off + 1e-3 * wanted.grad.norm(), name


def _in_float32(module: nn.Module) -> Tensor:
    out: Tensor = module(images())
    return out


def _evaluated(module: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        out: Tensor = module.eval()(images())
    return out


def _few(module: nn.Module) -> Tensor:
    return trained_on(module, images(TILES // 4 - 1))[0]


def _looked_on(module: nn.Module) -> Tensor:
    module.get_submodule("b").register_forward_hook(lambda *_: None)
    return trained_on(module, images())[0]


@pytest.mark.parametrize("how", [_in_float32, _evaluated, _few, _looked_on])
def test_elsewhere_the_module_is_run_by_itself(network: nn.Module, how: Callable[[nn.Module], Tensor]) -> None:
    assert not goes_through(how(network))


def test_backward_under_autocast_sums_in_float32_as_without() -> None:
    of = made((32, 64, 8, 8), 64, torch.float32)
    found = []
    for on in (True, False):
        out = conv3x3(*of)
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            found.append(torch.autograd.grad(out.float().square().sum(), of[1])[0])
    assert torch.equal(*found)


def test_a_grid_with_a_side_that_is_odd_is_left_to_torch() -> None:
    network = build(Seq(Conv(WIDE, 3, padding=1), Conv(WIDE, 3, padding=1), Linear(10)), "3x5x6").train()
    torch.manual_seed(0)
    assert not goes_through(trained_on(network, torch.randn(TILES, 3, 5, 6))[0])


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (Conv(WIDE, 3, padding=1), 1),
        (Conv(WIDE - 1, 3, padding=1), 0),
        (Conv(WIDE, 1), 0),
        (Conv(WIDE, 5, padding=2), 0),
        (Conv(WIDE, 3, padding=1, groups=2), 0),
    ],
)
def test_wide_convolutions_are_found(layer: Conv, found: int) -> None:
    assert len(runs(draft(layer, f"{WIDE}x8x8"))) == found


@pytest.mark.parametrize("layer", [Conv(WIDE, 3), Conv(WIDE, 3, 2, 1), Conv(WIDE, 3, padding=2, dilation=2)])
def test_other_convolutions_are_left_to_torch(layer: Conv) -> None:
    network = build(Seq(Conv(WIDE, 1), layer, Linear(10)), "3x8x8").train()
    torch.manual_seed(0)
    assert not goes_through(trained_on(network, torch.randn(TILES, 3, 8, 8))[0])


def test_it_saves_little_more_than_is_foretold(network: nn.Module) -> None:
    """16 numbers for each 9 of a filter's."""
    x = images(64)
    assert goes_through(trained_on(network, x)[0])
    with torch.autocast("cpu", torch.bfloat16):
        kept = observed.kept_by(lambda: network(x), x, *network.parameters())
    told = ledger(WIDENED, "3x4x4", batch=64, training=True, precision="bf16").training
    assert told is not None
    assert told.saved_bytes < kept <= told.saved_bytes + 2 * 16 * WIDE * WIDE


def test_digits_are_learnt_through_it_as_without(digits: Splits) -> None:
    """The same data, weights and order of batches: losses stay together."""
    from striate.training import Step, train

    losses: dict[bool, list[float]] = {}
    for ours in (True, False):
        torch.manual_seed(0)
        network = build(Seq(Conv(WIDE, 2, 2), Relu, Conv(WIDE, 3, padding=1), BatchNorm(), Relu, Linear(10)), "1x8x8")
        if not ours:
            network._fused = network._steps  # type: ignore[assignment]
        events = train(network, digits, epochs=1, precision="bfloat16", threads=1, seed=1)
        losses[ours] = [event.loss for event in events if isinstance(event, Step)]
    assert losses[True] != losses[False]
    assert losses[True][-1] < 0.5 * losses[True][0]
    assert abs(sum(losses[True][-10:]) - sum(losses[False][-10:])) < 0.1 * sum(losses[False][-10:])
