"""A convolution, ReLU and a max pool run as one: the same numbers and gradients, and only where nobody can tell."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

import observed
from observed import trained_on
from striate import build, ledger
from striate.blueprint import Activation, AvgPool, BatchNorm, Concat, Conv, Linear, MaxPool, Relu, Seq, Shared, draft
from striate.nn.convpool import KEPT, ROOM, conv_pool
from striate.nn.fusing import FEW, MANY, runs

LENET = "1x32x32"


def plain(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], relu: bool) -> Tensor:
    out = F.conv2d(x, weight, bias, padding=padding)
    return F.max_pool2d(F.relu(out) if relu else out, 2)


def batch_last(x: Tensor) -> Tensor:
    return x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "rows": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "batch last": batch_last,
    "every other column": lambda x: x.repeat_interleave(2, 3)[..., ::2],
}


def gradients(out: Tensor, *of: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    return list(torch.autograd.grad(out, of, torch.randn(out.shape)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("channels", "filters", "grid", "kernel", "padding"),
    [
        (1, 6, (32, 32), (5, 5), (0, 0)),
        (6, 16, (14, 14), (5, 5), (0, 0)),
        (3, 5, (9, 12), (3, 3), (1, 1)),
        (2, 3, (11, 10), (3, 7), (1, 2)),
        (2, 3, (12, 9), (5, 1), (2, 0)),
        (4, 7, (6, 7), (1, 1), (0, 0)),
    ],
)
@pytest.mark.parametrize(("relu", "bias"), [(True, True), (False, True), (True, False)])
def test_numbers_and_gradients_are_torch_s(
    channels: int,
    filters: int,
    grid: tuple[int, int],
    kernel: tuple[int, int],
    padding: tuple[int, int],
    relu: bool,
    bias: bool,
    layout: str,
) -> None:
    """An odd grid's last row and column are read by the convolution and left out by the pool."""
    torch.manual_seed(0)
    x = LAYOUTS[layout](torch.randn(70, channels, *grid)).requires_grad_()
    weight = torch.randn(filters, channels, *kernel, requires_grad=True)
    shift = torch.randn(filters, requires_grad=True) if bias else None
    of = [x, weight] if shift is None else [x, weight, shift]
    theirs = plain(x, weight, shift, padding, relu)
    ours = conv_pool(x, weight, shift, padding, relu, torch.float32)
    assert ours.shape == theirs.shape
    for mine, wanted in zip([ours, *gradients(ours, *of)], [theirs, *gradients(theirs, *of)], strict=True):
        assert (mine - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_more_than_there_is_room_for_at_once_is_the_same() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1100, 2, 20, 20, requires_grad=True), torch.randn(3, 2, 5, 5, requires_grad=True)
    assert x.shape[0] * 2 * 36 * 64 > max(2 * ROOM, KEPT)
    theirs, ours = plain(x, weight, None, (0, 0), True), conv_pool(x, weight, dtype=torch.float32)
    for mine, wanted in zip(gradients(ours, x, weight), gradients(theirs, x, weight), strict=True):
        assert (mine - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_of_equal_values_the_first_row_by_row_has_the_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randint(0, 3, (40, 1, 12, 12)).float().requires_grad_()
    weight = torch.ones(1, 1, 1, 1, requires_grad=True)
    theirs, ours = plain(x, weight, None, (0, 0), True), conv_pool(x, weight, dtype=torch.float32)
    assert torch.equal(gradients(ours, x)[0], gradients(theirs, x)[0])


def test_the_gradient_s_gradient_is_torch_s() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    weight, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((3, 2, 3, 3), (3,)))
    found = []
    for how in (
        lambda: plain(x, weight, bias, (1, 1), True),
        lambda: conv_pool(x, weight, bias, (1, 1), True, x.dtype),
    ):
        first = torch.autograd.grad((how() + 1).square().sum(), (x, weight, bias), create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), (x, weight, bias)))
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-8)


def is_fused(out: Tensor) -> bool:
    return "ConvPoolBackward" in observed.way_back(out)


@pytest.fixture
def lenet() -> nn.Module:
    torch.manual_seed(0)
    return build("lenet5")


def images(count: int = MANY) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(count, 1, 32, 32).contiguous(memory_format=torch.channels_last)


def test_a_training_step_in_bfloat16_is_the_plain_one_s_within_its_rounding(lenet: nn.Module) -> None:
    """Held against the same step in float32: no further from it than the plain one in bfloat16 by more than a half."""
    exact = copy.deepcopy(lenet).train()
    F.cross_entropy(exact(images()), torch.arange(MANY) % 10).backward()
    out, ours = trained_on(lenet, images())
    assert is_fused(out)
    assert "MaxPool2DWithIndicesBackward0" not in observed.way_back(out)
    lenet._fused = lenet._steps  # type: ignore[assignment]
    plainly, theirs = trained_on(lenet, images())
    assert not is_fused(plainly)
    assert (out - plainly).abs().max() <= 0.02 * plainly.abs().max()
    for name, wanted in exact.named_parameters():
        assert wanted.grad is not None
        off, theirs_off = ((g[name] - wanted.grad).norm() for g in (ours, theirs))
        assert off <= 1.5 * theirs_off + 1e-3 * wanted.grad.norm(), name


def test_names_and_weights_are_as_ever(lenet: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in lenet.state_dict().items()}
    trained_on(lenet, images())
    after = lenet.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def _evaluated(module: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        out: Tensor = module.eval()(images())
    return out


def _in_float32(module: nn.Module) -> Tensor:
    out: Tensor = module.train()(images())
    return out


def _few(module: nn.Module) -> Tensor:
    return trained_on(module, images(MANY - 1))[0]


def _checkpointed(module: nn.Module) -> Tensor:
    module.checkpointing = True
    return trained_on(module, images())[0]


def _averaged(module: nn.Module) -> Tensor:
    modules = dict(module.named_modules())
    for name, part in modules.items():
        if isinstance(part, nn.MaxPool2d):
            room, _, leaf = name.rpartition(".")
            setattr(modules[room], leaf, nn.AvgPool2d(2))
    return trained_on(module, images())[0]


@pytest.mark.parametrize("how", [_evaluated, _in_float32, _few, _checkpointed, _averaged])
def test_elsewhere_each_module_is_run_by_itself(lenet: nn.Module, how: Callable[[nn.Module], Tensor]) -> None:
    assert not is_fused(how(lenet))


def test_who_hooks_a_module_sees_what_it_gives(lenet: nn.Module) -> None:
    seen: list[tuple[int, ...]] = []
    parts = [part for part in lenet.modules() if isinstance(part, nn.Conv2d | nn.ReLU | nn.MaxPool2d)]
    taken = [part.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape))) for part in parts]
    assert not is_fused(trained_on(lenet, images())[0])
    assert len(seen) == len(parts)
    assert (MANY, 6, 28, 28) in seen
    for handle in taken:
        handle.remove()
    assert is_fused(trained_on(lenet, images())[0])


def test_functions_of_gradients_and_modes_get_plain_modules(lenet: nn.Module) -> None:
    lenet.train()
    weights = dict(lenet.named_parameters())

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(lenet, weights, (images(),)).float().square().mean()

    with torch.autocast("cpu", torch.bfloat16):
        assert torch.func.grad(loss)(weights).keys() == weights.keys()
        assert torch.func.grad(lambda x: lenet(x).float().square().mean())(images()).any()
        with forward_ad.dual_level():
            out = lenet(forward_ad.make_dual(images(), torch.ones(MANY, 1, 32, 32)))
            assert forward_ad.unpack_dual(out).tangent is not None
        with observed.Held():
            assert not is_fused(lenet(images()))


def test_it_saves_little_more_than_is_foretold(lenet: nn.Module) -> None:
    lenet.train()

    def kept(x: Tensor) -> int:
        with torch.autocast("cpu", torch.bfloat16):
            return observed.kept_by(lambda: lenet(x), x, *lenet.parameters())

    for count, more in ((256, 2 * 2 * KEPT), (1536, 0)):
        told = ledger("lenet5", batch=count, training=True, precision="bf16").training
        assert told is not None
        assert is_fused(trained_on(lenet, images(count))[0])
        assert kept(images(count)) <= told.saved_bytes + more


C, P = Conv(8, 3, padding=1), MaxPool(2)


@pytest.mark.parametrize(
    ("net", "found"),
    [
        (Seq(C, Relu, P), 1),
        (Seq(C, P, Relu), 1),
        (Seq(C, P), 1),
        (Seq(C, Relu, P, C, Relu, P), 2),
        (Seq(C, Relu, C, Relu, P), 1),
        (Seq(C, BatchNorm(), Relu, P), 0),
        (Seq(C, Activation("tanh"), P), 0),
        (Seq(C, Relu, AvgPool(2)), 0),
        (Seq(Conv(FEW + 1, 1), C, Relu, P), 0),
        (Seq(Shared("a", C), Relu, P, Conv(1, 1), Shared("a", C), Relu, P), 0),
        (Seq(C, Concat(Seq(Relu, P), P)), 0),
    ],
)
def test_runs_are_found_where_nothing_between_is_read_by_others(net: Seq, found: int) -> None:
    assert len(runs(draft(net, "1x16x16"))) == found


@pytest.mark.parametrize(
    "net",
    [
        Seq(Conv(8, 3, 2), Relu, P),
        Seq(Conv(8, 3, dilation=2), Relu, P),
        Seq(Conv(8, 3, groups=2), Relu, P),
        Seq(Conv(8, 4, padding="same"), Relu, P),
        Seq(C, Relu, MaxPool(3, 2, fit="floor")),
        Seq(C, Relu, MaxPool(2, 1)),
        Seq(C, Relu, MaxPool(2, fit="ceil")),
    ],
)
def test_other_convolutions_and_pools_are_left_alone(net: Seq) -> None:
    module = build(Seq(net, Linear(10)), "2x17x17", fit="floor")
    torch.manual_seed(0)
    assert not is_fused(trained_on(module, torch.randn(MANY, 2, 17, 17))[0])
