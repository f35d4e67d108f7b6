"""Torch modules for the layers torch lacks, each usable alone. Everything is N×C×H×W."""

from __future__ import annotations

from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pads = tuple[tuple[int, int], tuple[int, int]]


def same_padding(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> list[int]:
    """What `F.pad` wants (left, right, top, bottom) so that output = ceil(input / stride)."""
    pads: list[int] = []
    for n, k, s, d in zip(reversed(size), reversed(kernel), reversed(stride), reversed(dilation), strict=True):
        more = max(0, (ceil(n / s) - 1) * s + d * (k - 1) + 1 - n)
        pads += [more // 2, more - more // 2]
    return pads


class PaddedConv2d(nn.Conv2d):
    """A convolution whose padding torch cannot say: "same" with a stride (found from each input's size), or more on one
    side than the other.
    """

    def __init__(self, *args: Any, pads: Pads | None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.pads = [*pads[1], *pads[0]] if pads else None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(
            F.pad(x, self.pads or same_padding(x.shape[2:], self.kernel_size, self.stride, self.dilation))
        )


class PaddedPool2d(nn.Module):
    """A pool with such padding; the maximum never sees it, the mean counts it only when asked to."""

    def __init__(
        self,
        kind: str,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        pads: Pads | None,
        count_include_pad: bool,
    ) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride, self.dilation, self.counted = (
            kind,
            kernel,
            stride,
            dilation,
            count_include_pad,
        )
        self.pads = [*pads[1], *pads[0]] if pads else None

    def forward(self, x: Tensor) -> Tensor:
        pads = self.pads or same_padding(x.shape[2:], self.kernel, self.stride, self.dilation)
        if self.kind == "max":
            return F.max_pool2d(F.pad(x, pads, value=float("-inf")), self.kernel, self.stride, 0, self.dilation)
        mean = F.avg_pool2d(F.pad(x, pads), self.kernel, self.stride)
        return (
            mean
            if self.counted
            else mean / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), pads), self.kernel, self.stride)
        )


class FlatLinear(nn.Linear):
    """nn.Linear on a volume: C×H×W, flattened, -> out_features×1×1."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[..., None, None]


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalisation of each cell over its channels."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LocalResponseNorm(nn.LocalResponseNorm):
    """x / (k + alpha·Σx²)^beta over `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3), or, with
    `average`, x / (k + alpha·mean)^beta as Caffe and torch have it.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, average: bool = True
    ) -> None:
        super().__init__(size, alpha if average else alpha * size, beta, k)


class ScaledTanh(nn.Module):
    """1.7159·tanh(2x/3), whose value at ±1 is ±1 (LeCun et al. 1998, appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class DropPath(nn.Module):
    """Stochastic depth: in training an example's branch is 0 with probability p, the others scaled by 1/(1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device, dtype=x.dtype) >= self.p
        return x * kept / (1 - self.p) if self.p < 1 else x * 0

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Select(nn.Module):
    """Only some channels; a run of neighbours is a view."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        first = channels[0]
        neighbours = channels == tuple(range(first, first + len(channels)))
        self.channels = slice(first, first + len(channels)) if neighbours else list(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.channels]


class Pad(nn.Module):
    """Zeros on the sides of the grid (top, bottom), (left, right), negative: cut off; and `channels` of them behind."""

    def __init__(self, sides: Pads, channels: int) -> None:
        super().__init__()
        self.pads = [*sides[1], *sides[0], 0, channels]

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.pads)

    def extra_repr(self) -> str:
        return f"{self.pads}"


class Scale(nn.Module):
    """Each value times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor}"


class PositionBias(nn.Module):
    """A bias for each value of a C×H×W volume."""

    def __init__(self, volume: tuple[int, ...]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(*volume))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class RadialBasis(nn.Module):
    """Minus the squared distance of the flattened volume to each of some fixed codes of ±1: N×C×H×W -> N×codes×1×1."""

    def __init__(self, codes: tuple[int, ...], size: int) -> None:
        super().__init__()
        bits = [[1.0 if code >> (size - 1 - i) & 1 else -1.0 for i in range(size)] for code in codes]
        self.register_buffer("codes", torch.tensor(bits))

    def forward(self, x: Tensor) -> Tensor:
        return -(x.flatten(1)[:, None] - self.codes).square().sum(2)[..., None, None]  # type: ignore[operator]
