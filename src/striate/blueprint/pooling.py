"""Windows without weights: the pools."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from math import ceil

from striate.blueprint.layer import Layer, Padding, Placed, Size, among, pair, typed
from striate.blueprint.refusal import CannotPlace
from striate.blueprint.sliding import Sliding
from striate.blueprint.volume import Volume
from striate.blueprint.window import Stretch, Window


@dataclass(frozen=True, repr=False)
class Pool(Sliding):
    """A window that keeps the largest value, or the mean, of each channel. `stride=None`: the kernel's size, as in
    torch.
    """

    kind: str = field(metadata=among("max", "average"))
    kernel_size: Size
    stride: Size | None = None
    padding: Padding = 0
    dilation: Size = 1
    _: KW_ONLY
    fit: str | None = None
    count_include_pad: bool = True  # the mean's divisor counts padding, as in torch

    def place(self, volume: Volume) -> Placed:
        rows, columns = self.windows(volume)
        for window in (rows, columns):
            if max(window.before, window.after) > window.kernel // 2:
                half = f"{window.kernel}//2 = {window.kernel // 2}: padding {max(window.before, window.after)} is more"
                raise CannotPlace(self, volume, f"{half}, and a window would hold nothing but padding.")
        grid, unread = self.slide(volume, rows, columns)
        return Placed(Volume(volume.channels, *grid), windows=(rows, columns), unread=unread)

    def __repr__(self) -> str:
        if self.dilation != 1 if self.kind == "average" else not self.count_include_pad:
            return typed(self)  # what neither of the two short names takes
        return typed(self, "MaxPool" if self.kind == "max" else "AvgPool", leave=("kind",))


def MaxPool(
    kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, *, fit: str | None = None
) -> Pool:
    """The largest value under each window."""
    return Pool("max", kernel_size, stride, padding, dilation, fit=fit)


def AvgPool(
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    *,
    fit: str | None = None,
    count_include_pad: bool = True,
) -> Pool:
    """The mean under each window."""
    return Pool("average", kernel_size, stride, padding, fit=fit, count_include_pad=count_include_pad)


@dataclass(frozen=True, repr=False)
class FractionalMaxPool(Layer):
    """Max pooling whose windows start at pseudo-random steps between 1 and 2 (Graham 2014, arXiv 1412.6071): n ->
    floor(n·output_ratio).
    """

    kernel_size: int
    output_ratio: float
    kind: str = field(default="pseudo", metadata=among("pseudo", "random"))  # how the steps are drawn

    def place(self, volume: Volume) -> Placed:
        grid = [int(n * self.output_ratio) for n in volume.grid]
        if (
            not 0 < self.output_ratio < 1
            or min(grid) < 1
            or any(m + self.kernel_size - 1 > n for m, n in zip(grid, volume.grid, strict=True))
        ):
            why = f"{volume.height}*{self.output_ratio} = {grid[0]} windows of {self.kernel_size} do not fit."
            raise CannotPlace(self, volume, why)
        steps = [Fraction(n - self.kernel_size, max(1, m - 1)) for n, m in zip(volume.grid, grid, strict=True)]
        rows, columns = (Stretch(0, self.kernel_size - 1, step) for step in steps)
        return Placed(Volume(volume.channels, *grid), windows=(rows, columns))


@dataclass(frozen=True, repr=False)
class GlobalPool(Layer):
    """The whole grid pooled to output_size cells a side, whatever it was (Network in Network, arXiv 1312.4400, section
    3.2).
    """

    kind: str = field(default="average", metadata=among("average", "max"))
    output_size: Size = 1

    def place(self, volume: Volume) -> Placed:
        size = pair(self.output_size)
        readings = [
            Stretch(0, ceil(Fraction(n, m)) - 1, Fraction(n, m)) if n % m else Window(n // m, n // m)
            for n, m in zip(volume.grid, size, strict=True)
        ]
        return Placed(Volume(volume.channels, *size), windows=(readings[0], readings[1]))
