"""The deconvnet's switches against a worked example, its signal against closed forms, on networks of all kinds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference import torchvision
from striate.blueprint import NotFound, Refusal
from striate.data import open_data
from striate.nn.build import Network
from striate.visualize.deconvnet import boxes, deconvnet, drawn
from striate.visualize.images import Seen, seen, shown
from striate.visualize.watching import values


def _weighing(weight: Tensor, **more: int) -> nn.Conv2d:
    """A convolution without bias of these weights."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]), bias=False, **more)
    with torch.no_grad():
        conv.weight.copy_(weight)
    return conv


def _gradient(model: nn.Module, x: Tensor, number: int) -> tuple[float, Tensor]:
    x = x.clone().requires_grad_()
    out = model.eval()(x).flatten()[number]
    return out.item(), torch.autograd.grad(out, x)[0]


def test_overlapping_switches_by_hand() -> None:
    """Windows of 3×3, stride 2, padding 1, ceil mode, on 4×4: rows and columns {0, 1}, {1, 2, 3} and {3}."""
    image = torch.tensor([[1.0, 2, 0, 1], [0, 9, 3, 0], [4, 0, 5, 6], [7, 0, 0, 2]])[None, None]
    weight = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    model = nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), _weighing(weight))
    # The maxima are 9 9 1 / 9 9 6 / 7 2 2; four windows chose the 9 at 1,1, whose signals 1 + 2 + 4 + 5 add.
    activation = 1 * 9 + 2 * 9 + 3 * 1 + 4 * 9 + 5 * 9 + 6 * 6 + 7 * 7 + 8 * 2 + 9 * 2
    signal = torch.tensor([[0.0, 0, 0, 3], [0, 12, 0, 0], [0, 0, 0, 6], [7, 0, 0, 17]])
    assert torch.equal(deconvnet(model, image, "1:0@0,0")[0, 0], activation * signal)


def test_the_signal_is_rectified_not_gated() -> None:
    """Hidden values 2, 0 (from -1) and 3; the weights on the way back 5, 7 and -3. A gradient would come back through
    the first and third; the deconvnet through the first and second, what was positive above.
    """
    below, above = torch.tensor([2.0, -1, 3]).reshape(3, 1, 1, 1), torch.tensor([5.0, 7, -3]).reshape(1, 3, 1, 1)
    model = nn.Sequential(_weighing(below), nn.ReLU(), _weighing(above))
    activation = 5 * 2 + 7 * 0 - 3 * 3
    got = deconvnet(model, torch.ones(1, 1, 1, 1), "2:0@0,0")
    assert got.item() == activation * (5 * 2 + 7 * -1 + 0 * 3)


class Joined(nn.Module):
    """Linear maps and pools alone: grouped and strided convolutions, norms, means, a concatenation, a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.Conv2d(8, 8, 1)
        self.mean, self.fc = nn.AvgPool2d(2), nn.Linear(16, 5)
        nn.init.uniform_(self.stem[1].running_var, 0.5, 2)
        nn.init.normal_(self.stem[1].running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.left(x) + x, self.right(x)], 1)
        return self.fc(self.mean(x).mean((2, 3)))


def test_without_rectifiers_it_is_activation_times_gradient() -> None:
    torch.manual_seed(0)
    model, x = Joined(), torch.randn(1, 3, 20, 20)
    for number in (0, 3):
        activation, gradient = _gradient(model, x, number)
        assert torch.allclose(deconvnet(model, x, f"fc:{number}"), activation * gradient, atol=1e-6)


def _spread(x: Tensor, over: tuple[int, ...]) -> Tensor:
    return (x.var(over, correction=0, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("norm", "held"),
    [
        (nn.LocalResponseNorm(3, 0.5), lambda x, y: x / y),
        (nn.GroupNorm(2, 4), lambda x, _: _spread(x.view(2, 2, 2, 36), (2, 3)).repeat_interleave(2, 1)),
        (nn.LayerNorm((4, 6, 6)), lambda x, _: _spread(x, (1, 2, 3))),
    ],
)  # fmt: skip
def test_what_a_norm_divides_by_is_held(norm: nn.Module, held: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(1, 4, 6, 6)
    model = nn.Sequential(norm, _weighing(weight))
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    divisor = held(x, norm(x))
    if isinstance(norm, nn.GroupNorm | nn.LayerNorm):
        divisor = divisor / norm.weight.reshape(-1, *norm.weight.shape[1:] or (1, 1))
    expected = model(x) * weight / divisor
    assert torch.allclose(deconvnet(model, x, "1:0"), expected, atol=1e-4)


def _by_hand(layers: nn.Sequential, x: Tensor, channel: int) -> Tensor:
    """Section 2.1 layer by layer: switches kept on the way up, put back on the way down."""
    kept: list[tuple[nn.Module, torch.Size, Tensor | None]] = []
    for layer in layers:
        shape, switches = x.shape, None
        if isinstance(layer, nn.MaxPool2d):
            x, switches = F.max_pool2d(
                x, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode, return_indices=True
            )
        else:
            x = layer(x)
        kept.append((layer, shape, switches))
    signal = torch.zeros_like(x)
    at = x[0, channel].argmax()
    signal[0, channel].view(-1)[at] = x[0, channel].max()
    for layer, shape, switches in reversed(kept):
        if isinstance(layer, nn.ReLU):
            signal = signal.relu()
        elif switches is not None:
            below = torch.zeros(shape)
            below.flatten(2).scatter_add_(2, switches.flatten(2), signal.flatten(2))
            signal = below
        elif isinstance(layer, nn.Conv2d):
            left = [n - ((m - 1) * s - 2 * p + k) for n, m, s, p, k in zip(
                shape[2:], signal.shape[2:], layer.stride, layer.padding, layer.kernel_size, strict=True
            )]  # fmt: skip
            signal = F.conv_transpose2d(
                signal, layer.weight, None, layer.stride, layer.padding, tuple(left), layer.groups
            )
    return signal


@torch.no_grad()
def test_alexnets_layers_one_by_one() -> None:
    torch.manual_seed(0)
    model = torchvision().models.alexnet(weights=None).eval()
    x = torch.randn(1, 3, 79, 83)
    got = deconvnet(model, x, "features.9:3")  # behind a ReLU, two overlapping pools below it
    expected = _by_hand(model.features[:10], x, 3)
    assert expected.abs().max() > 0
    assert torch.allclose(got, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["vgg11_bn", "squeezenet1_1", "resnet18", "shufflenet_v2_x0_5"])
def test_other_peoples_networks_as_captum_goes_back(name: str) -> None:
    from captum.attr import Deconvolution

    warnings.simplefilter("ignore")  # captum says that it sets hooks
    torch.manual_seed(0)
    model = getattr(torchvision().models, name)(weights=None).eval()
    x = torch.randn(1, 3, 64, 64)
    number = int(model(x).argmax())  # a positive score: of a negative one the signal has another sign from the start
    activation = model(x)[0, number].item()
    got = deconvnet(model, x, f"out:{number}")
    for part in model.modules():  # captum knows rectifiers that are modules, not in place, and run once
        if isinstance(part, nn.ReLU):
            part.inplace = False
    if name == "resnet18":
        for block in [b for stage in range(1, 5) for b in model.get_submodule(f"layer{stage}")]:
            block.bn1, block.relu_one = nn.Sequential(block.bn1, nn.ReLU()), None
            block.forward = lambda x, b=block: b.relu(
                b.conv2_bn2(b.bn1(b.conv1(x))) + (b.downsample(x) if b.downsample else x)
            )
            block.conv2_bn2 = nn.Sequential(block.conv2, block.bn2)
        model.eval()
    expected = activation * Deconvolution(model).attribute(x, target=number)
    assert torch.allclose(got, expected, atol=1e-4 * float(expected.abs().max()))


class Functional(nn.Module):
    """One network written three ways: rectifiers as modules, as functions, and one in place that is used twice."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.way, self.one, self.two = way, nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.last, self.relu, self.other = nn.Conv2d(8, 2, 3), nn.ReLU(way == "reused"), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "functions":
            return self.last(self.two(self.one(x).clamp(min=0)).relu_())
        return self.last((self.relu if self.way == "reused" else self.other)(self.two(self.relu(self.one(x)))))


def test_rectifiers_are_found_however_they_are_written() -> None:
    x = torch.randn(2, 3, 12, 12)
    modules, functions, reused = (deconvnet(Functional(way), x, "last:1") for way in ("modules", "functions", "reused"))
    assert torch.allclose(modules, functions, atol=1e-7)
    assert torch.allclose(modules, reused, atol=1e-7)


def test_each_image_has_its_own_strongest_cell(lenet: Network) -> None:
    torch.manual_seed(0)
    x, told = 2 * torch.randn(3, 1, 32, 32), []
    together = deconvnet(lenet, x, "conv2.act:3", tick=told.append)
    for i in range(3):
        cell = divmod(int(values(lenet, x[i : i + 1], ["conv2.act"])["conv2.act"][0, 3].argmax()), 10)
        assert torch.allclose(deconvnet(lenet, x[i : i + 1], f"conv2.act:3@{cell[0]},{cell[1]}")[0], together[i])
        # behind conv 5, pool 2, conv 5 a cell sees 14 rows, its neighbour 2 further on
        rows = together[i, 0].abs().sum(1).nonzero().flatten()
        assert 2 * cell[0] <= rows[0] <= rows[-1] < 2 * cell[0] + 14
    assert told == [3]
    assert deconvnet(lenet, x.bfloat16().double(), "conv2:5").dtype == torch.float32


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.SiLU(), "Silu is on the way, which is no rectifier, max pool or linear map."),
        (nn.LeakyReLU(), "LeakyRelu is on the way"),
        (nn.Hardtanh(), "Hardtanh is on the way, which lets values below 0 through."),
        (nn.BatchNorm2d(4, track_running_stats=False), "normalises by this batch's own statistics, not by kept ones."),
    ],
)
def test_what_has_no_way_back(layer: nn.Module, says: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Conv2d(4, 2, 1))
    with pytest.raises(Refusal, match="Cannot project 2:1 back to the image") as refused:
        deconvnet(model, torch.randn(2, 1, 8, 8), "2:1")
    assert says in str(refused.value)
    assert deconvnet(model, torch.randn(2, 1, 8, 8), "0:1").shape == (2, 1, 8, 8)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.all, self.gone = nn.Conv2d(1, 4, 3), nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        return self.all(body * body.mean((2, 3), keepdim=True)) + self.gone(body.detach())


def test_products_missing_gradients_and_numbers_that_are_none() -> None:
    x = torch.randn(1, 1, 8, 8)
    with pytest.raises(Refusal, match="Mul is on the way, which multiplies two values that both come from the image"):
        deconvnet(Gated(), x, "all:0")
    with pytest.raises(Refusal, match="Cannot project gone:0: no gradient leads from it to the image"):
        deconvnet(Gated(), x, "gone:0")
    with pytest.raises(NotFound, match=r'No layer "bodi"\. Near: body'):
        deconvnet(Gated(), x, "bodi:0")
    with pytest.raises(Refusal, match="Cannot project body:0: its activation is not a number in 1 image of 1"):
        deconvnet(Gated(), x * float("nan"), "body:0")
    with pytest.raises(Refusal, match="body has 4 channels, channel 4 is not among them"):
        deconvnet(Gated(), x, "body:4")


def test_boxes_hold_the_projection() -> None:
    signals = torch.zeros(3, 2, 20, 30)
    signals[0, 1, 2, 3] = -1
    signals[1, 0, 5:17, 20:30] = 1
    assert boxes(signals) == [(0, 8, 0, 8), (5, 17, 18, 30), (0, 20, 0, 30)]


@pytest.fixture(scope="session")
def digits_seen(lenet: Network) -> Seen:
    return seen(lenet, open_data("digits").test.pixels[:4])


def test_what_the_picture_shows(squeezenet: Network, shared: Path) -> None:
    photos = sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:2]
    images = seen(squeezenet, photos)
    signals = deconvnet(squeezenet, images.x, "body.6.expand:250")
    assert signals.shape == (2, 3, 227, 227)
    for signal, (top, bottom, left, right) in zip(signals, boxes(signals), strict=True):
        rows = signal.abs().amax((0, 2)).nonzero().flatten()
        assert 8 < bottom - top <= rows[-1] - rows[0] + 1 <= 75  # what a cell of that layer sees
        outside = signal.clone()
        outside[:, top:bottom, left:right] = 0
        assert outside.abs().max() <= 0.01 * signal.abs().max()


def test_the_picture(lenet: Network, digits_seen: Seen, golden_picture: Callable[[str, bytes], None]) -> None:
    images = shown(digits_seen.x, digits_seen.rule)
    units = ["conv1.act:2", "conv2.act:3"]
    golden_picture("deconvnet-lenet5", drawn([(name, deconvnet(lenet, digits_seen.x, name), images) for name in units]))
