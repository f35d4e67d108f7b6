"""Locally connected layers: windows slide as in a convolution, but no two positions share a weight.

Taigman et al. 2014, section 2.2; the lectures' "sometimes it is not a good idea to share".
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotBuild
from striate.blueprint.window import Window

Pads = tuple[tuple[int, int], ...]


class _LocallyConnected(nn.Module):
    """N×C×… -> N×out×…; `weight` is positions × out × in/groups × kernel, `bias` out × positions.

    As memory goes: a batch's patches are copied once (N × C·kernel × positions) and met by the weights in one batched
    matrix product, a position at a time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: tuple[int, ...],
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        pads: Pads,
        dilation: tuple[int, ...],
        groups: int,
        bias: bool,
    ) -> None:
        super().__init__()
        windows = [Window(k, s, *p, d) for k, s, p, d in zip(kernel_size, stride, pads, dilation, strict=True)]
        self.grid = tuple(w.slide(n, "floor").positions for w, n in zip(windows, input_size, strict=True))
        said = f"{in_channels}→{out_channels} channels, {groups} groups, kernel {_by(kernel_size)} on {_by(input_size)}"
        if in_channels % groups or out_channels % groups:
            raise CannotBuild(
                f"Cannot build a locally connected layer: {said}.", "The groups do not divide the channels."
            )
        if not all(self.grid):
            raise CannotBuild(
                f"Cannot build a locally connected layer: {said}.", "The kernel is wider than its padded input."
            )
        self.in_channels, self.out_channels, self.input_size = in_channels, out_channels, tuple(input_size)
        self.kernel_size, self.stride, self.dilation, self.groups = kernel_size, stride, dilation, groups
        self.pads = [side for axis in reversed(pads) for side in axis]
        self.weight = nn.Parameter(torch.empty(*self.grid, out_channels, in_channels // groups, *kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels, *self.grid)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch does for a convolution: uniform within 1/√(values read)."""
        bound = (self.in_channels // self.groups * prod(self.kernel_size)) ** -0.5
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        n, axes, cells, groups = x.shape[0], len(self.grid), prod(self.grid), self.groups
        x = F.pad(x, self.pads) if any(self.pads) else x
        for axis, (k, s, d) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True), 2):
            x = x.unfold(axis, d * (k - 1) + 1, s)[..., ::d]  # N × C × positions × kernel: a view
        positions = [2 + axis for axis in range(axes)]
        kernels = [2 + axes + axis for axis in range(axes)]
        x = x.unflatten(1, (groups, -1)).permute(*(p + 1 for p in positions), 1, 0, 2, *(k + 1 for k in kernels))
        patches = x.reshape(cells * groups, n, -1)  # the one copy
        weight = self.weight.reshape(cells * groups, self.out_channels // groups, -1)
        out = torch.bmm(patches, weight.transpose(1, 2)).view(*self.grid, groups, n, -1)
        out = out.permute(axes + 1, axes, axes + 2, *range(axes)).reshape(n, self.out_channels, *self.grid)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, kernel_size={self.kernel_size}"
        return f"{said}, stride={self.stride}, dilation={self.dilation}, groups={self.groups}"


class LocallyConnected1d(_LocallyConnected):
    """N×C×L -> N×out_channels×L'; arguments as nn.Conv1d's, and the length it will read. Raises CannotBuild."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        sizes = ((input_size,), (kernel_size,), (stride,), ((padding, padding),), (dilation,))
        super().__init__(in_channels, out_channels, *sizes, groups, bias)


class LocallyConnected2d(_LocallyConnected):
    """N×C×H×W -> N×out_channels×H'×W'; arguments as nn.Conv2d's (padding also ((top, bottom), (left, right))), and the
    height and width it will read. Raises CannotBuild.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | tuple[int, int],
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        pads = tuple(_pair(side) for side in _pair(padding))
        sizes = (_pair(input_size), _pair(kernel_size), _pair(stride), pads, _pair(dilation))
        super().__init__(in_channels, out_channels, *sizes, groups, bias)


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
