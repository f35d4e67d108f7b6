"""A 3×3 convolution in a quarter of the multiplications, for inference: torch's numbers, but for rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.nn import winograd4
from striate.nn.winograd4 import conv3x3, fits, turn, wide

ROUNDING = 4e-6  # of the largest number


def made(shape: tuple[int, int, int, int], filters: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(shape), torch.randn(filters, shape[1], 3, 3), torch.randn(filters)


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 0)])
@pytest.mark.parametrize("shape", [(3, 5, 7, 7), (2, 8, 14, 10), (1, 1, 3, 3), (40, 4, 6, 5), (2, 300, 9, 4)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_numbers_are_torch_s(
    shape: tuple[int, int, int, int], padding: tuple[int, int], order: torch.memory_format
) -> None:
    x, weight, bias = made(shape, 6)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), 1, padding)
    found = conv3x3(x.contiguous(memory_format=order), turn(weight), bias, padding)
    assert found.shape == exact.shape
    assert error(found, exact) < ROUNDING


def test_without_a_bias_and_in_parts_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, _ = made((5, 6, 9, 9), 4)
    whole = conv3x3(x, turn(weight))
    monkeypatch.setattr(winograd4, "TILES", 1)
    assert error(conv3x3(x, turn(weight)), whole) < ROUNDING
    assert error(whole, F.conv2d(x.double(), weight.double())) < ROUNDING


def test_a_convolution_becomes_a_wide_one_and_stays_as_it_is() -> None:
    conv = nn.Conv2d(256, 256, 3, padding=1)
    x = torch.randn(2, 256, 6, 6)
    assert fits(conv)
    with torch.no_grad():
        assert error(wide(conv)(x), conv(x)) < ROUNDING
    assert type(conv) is nn.Conv2d
    assert not hasattr(conv, "turned")


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(256, 256, 3, stride=2), nn.Conv2d(256, 256, 3, dilation=2), nn.Conv2d(512, 512, 3, groups=2),
        nn.Conv2d(256, 256, 5), nn.Conv2d(256, 256, (3, 1)), nn.Conv2d(64, 256, 3), nn.Conv2d(256, 64, 3),
        nn.Conv2d(256, 256, 3, padding="same"), nn.Conv2d(256, 256, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(256, 256, 3).double(), nn.Conv2d(256, 256, 3, device="meta"),
    ],
)  # fmt: skip
def test_what_else_there_is_stays_with_torch(conv: nn.Conv2d) -> None:
    assert not fits(conv)
