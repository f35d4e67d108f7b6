"""Windows of weights: convolution in all its forms, and the locally connected layer that shares nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from math import gcd, prod
from typing import Any

from striate.blueprint.layer import NONE, Padding, Placed, Shapes, Size, pair
from striate.blueprint.refusal import CannotPlace
from striate.blueprint.sliding import Sliding
from striate.blueprint.volume import Volume
from striate.blueprint.window import Reading, Stretch, Window


@dataclass(frozen=True, repr=False)
class Conv(Sliding):
    """A window of weights slid over the volume, all of whose positions share them: C×H×W -> out_channels×H'×W'.

    `out_channels=None`: as many as come in. `groups=None`: one group a channel (depthwise). `transposed`: the gradient
    of that convolution, which enlarges the grid to (n - 1)·stride - padding + reach + output_padding (Dumoulin & Visin
    2016, section 4).
    MACs: kernel × channels read × output cells; transposed: × input cells.
    """

    out_channels: int | None
    kernel_size: Size
    stride: Size = 1
    padding: Padding = 0
    dilation: Size = 1
    groups: int | None = 1
    bias: bool = True
    _: KW_ONLY
    fit: str | None = None
    transposed: bool = False
    output_padding: Size = 0

    def place(self, volume: Volume) -> Placed:
        out = self.out_channels or volume.channels
        groups = self.groups or volume.channels
        if volume.channels % groups or out % groups:
            why = f"{groups} groups do not divide {volume.channels} → {out} channels."
            raise CannotPlace(self, volume, why, search=divide("groups", groups, volume.channels, out))
        rows, columns = self.windows(volume)
        kernel = pair(self.kernel_size)
        readings: tuple[Reading, Reading]
        if self.transposed:
            grid, readings, unread = *self.enlarge(volume, rows, columns), (0, 0)
            shape, cells = (volume.channels, out // groups, *kernel), volume.height * volume.width
        else:
            grid, unread = self.slide(volume, rows, columns)
            shape, cells, readings = (out, volume.channels // groups, *kernel), grid[0] * grid[1], (rows, columns)
        weights: Shapes = {"weight": shape, "bias": (out,)} if self.bias else {"weight": shape}
        return Placed(Volume(out, *grid), weights, NONE, prod(shape) * cells, readings, unread)

    def enlarge(self, volume: Volume, *windows: Window) -> tuple[tuple[int, int], tuple[Stretch, Stretch]]:
        grid, readings = [], []
        for n, window, more in zip(volume.grid, windows, pair(self.output_padding), strict=True):
            cells = (n - 1) * window.stride - window.before - window.after + window.reach + more
            if cells < 1:
                sum_ = f"({n} - 1)*{window.stride} - {window.before + window.after} + {window.reach + more} = {cells}"
                raise CannotPlace(self, volume, f"{sum_}: no cell would be left.")
            grid.append(cells)
            step = Fraction(1, window.stride)
            readings.append(Stretch((window.before - window.reach + window.stride) * step, window.before * step, step))
        return (grid[0], grid[1]), (readings[0], readings[1])


def divide(field: str, wanted: int, *counts: int) -> Callable[[], tuple[str, ...]]:
    """The search for group counts that divide every one of `counts`, nearest to the wanted one first."""

    def search() -> tuple[str, ...]:
        common = gcd(*counts)
        near = sorted((g for g in range(1, min(common, 4096) + 1) if common % g == 0), key=lambda g: abs(g - wanted))
        return tuple(f"{field}={g}" for g in near[:2])

    return search


def Depthwise(
    kernel_size: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1, bias: bool = True, **more: Any
) -> Conv:
    """One filter a channel (MobileNet, arXiv 1704.04861, section 3.1)."""
    return Conv(None, kernel_size, stride, padding, dilation, groups=None, bias=bias, **more)


@dataclass(frozen=True, repr=False)
class LocallyConnected(Sliding):
    """A convolution that shares nothing: each position has weights of its own, (rows, columns, out, in/groups, kh, kw)
    of them (Taigman et al. 2014).
    """

    out_channels: int
    kernel_size: Size
    stride: Size = 1
    padding: Padding = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool = True
    _: KW_ONLY
    fit: str | None = None

    def place(self, volume: Volume) -> Placed:
        if volume.channels % self.groups or self.out_channels % self.groups:
            why = f"{self.groups} groups do not divide {volume.channels} → {self.out_channels} channels."
            search = divide("groups", self.groups, volume.channels, self.out_channels)
            raise CannotPlace(self, volume, why, search=search)
        rows, columns = self.windows(volume)
        grid, unread = self.slide(volume, rows, columns)
        shape = (*grid, self.out_channels, volume.channels // self.groups, *pair(self.kernel_size))
        weights: Shapes = {"weight": shape, "bias": (self.out_channels, *grid)} if self.bias else {"weight": shape}
        return Placed(Volume(self.out_channels, *grid), weights, NONE, prod(shape), (rows, columns), unread)
