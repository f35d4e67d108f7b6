"""How one axis is read: sliding windows, stretched grids, and the receptive field they compose to."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import ceil, floor
from typing import Literal, NamedTuple

Fit = Literal["cover", "exact", "floor", "ceil"]
FITS: dict[str, str] = {
    "cover": "floor, but refuse where a real cell would go unread by a gapless window (the default)",
    "exact": "refuse unless the division comes out even (the lecture's strict form)",
    "floor": "leave out what does not fit (torch's default)",
    "ceil": "let the last window hang over the edge (Caffe, GoogLeNet's pools)",
}


class Slid(NamedTuple):
    """Where a window comes to rest on an axis: how many positions, how many real cells nobody reads, and whether the
    fit allows it.
    """

    positions: int
    unread: int
    fits: bool


class Window(NamedTuple):
    """A window sliding over one axis: kernel, stride, padding before and after, dilation."""

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Cells from the first to the last one it touches."""
        return self.dilation * (self.kernel - 1) + 1

    def slide(self, n: int, fit: str) -> Slid:
        """Slide over `n` cells; `positions` is 0 where the window is wider than the padded axis."""
        room = n + self.before + self.after - self.reach
        if room < 0:
            return Slid(0, n, False)
        steps, left = divmod(room, self.stride)
        if fit == "ceil" and left:
            steps += (
                (steps + 1) * self.stride < n + self.before
            )  # torch: the last window must start inside the input or the padding before it
            left = max(0, room - steps * self.stride)
        unread = max(0, left - self.after) if self.kernel >= self.stride else 0
        return Slid(steps + 1, unread, not ((fit == "exact" and left) or (fit == "cover" and unread)))

    def sum(self, n: int) -> str:
        """The lecture's formula with its numbers, as valid Python: "(32 - 5)/2 + 1 = 14.5"."""
        padding = f" + {self.before + self.after}" if self.before + self.after else ""
        value = Fraction(n + self.before + self.after - self.reach, self.stride) + 1
        return f"({n}{padding} - {self.reach})/{self.stride} + 1 = {float(value):.4g}"

    # What output cell 0 sees of the input, and the step to the next cell's view: the same three for every kind of
    # reading.
    @property
    def first(self) -> int:
        return -self.before

    @property
    def last(self) -> int:
        return self.reach - 1 - self.before

    @property
    def step(self) -> int:
        return self.stride


class Stretch(NamedTuple):
    """A reading whose step is not whole: upsampling, transposed convolution, adaptive and fractional pooling.

    Output cell i sees the input cells from floor(first + i·step) to floor(last + i·step).
    """

    first: int | Fraction
    last: int | Fraction
    step: int | Fraction


Reading = Window | Stretch
CELL = Stretch(0, 0, 1)  # cell by cell


class Interval(NamedTuple):
    """One axis of a receptive field: the input cells that output cell 0 sees, and the jump between neighbours' views.

    Cells before 0 lie in the padding. Integers throughout, except behind upsampling, where the jump is a fraction.
    """

    low: int | Fraction = 0
    high: int | Fraction = 0
    jump: int | Fraction = 1

    def through(self, reading: Reading) -> Interval:
        low, high, jump = self
        return _interval((low + reading.first * jump, high + reading.last * jump, jump * reading.step))

    def join(self, other: Interval) -> Interval:
        return _interval((min(self.low, other.low), max(self.high, other.high), max(self.jump, other.jump)))

    @property
    def size(self) -> int:
        """How many input cells a cell sees (behind upsampling: at the most)."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return self.high - self.low + 1
        return ceil(self.high - self.low) + 1 if self.jump != int(self.jump) else floor(self.high) - floor(self.low) + 1

    def of(self, cell: int) -> tuple[int, int]:
        """First and last input cell that output cell `cell` sees."""
        return floor(self.low + cell * self.jump), floor(self.high + cell * self.jump)


_interval = partial(tuple.__new__, Interval)  # without the call that fills in defaults: half the time


class Field(NamedTuple):
    """A receptive field: rows and columns of the network's input."""

    rows: Interval = Interval()
    columns: Interval = Interval()

    def through(self, rows: Reading, columns: Reading) -> Field:
        across = self.rows.through(rows)
        alike = rows is columns and self.rows == self.columns  # nearly always, and then one sum does
        return Field(across, across if alike else self.columns.through(columns))

    def join(self, other: Field) -> Field:
        across = self.rows.join(other.rows)
        alike = self.rows == self.columns and other.rows == other.columns
        return Field(across, across if alike else self.columns.join(other.columns))

    def __str__(self) -> str:
        return (
            " × ".join(str(axis.size) for axis in self) if self.rows.size != self.columns.size else str(self.rows.size)
        )
