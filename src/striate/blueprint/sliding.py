"""What convolutions and pools share: windows on both axes, the four fits, and the search for a window that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from typing import Any, NamedTuple

from striate.blueprint.layer import Layer, pair
from striate.blueprint.refusal import CannotPlace, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.window import Window


class Remedy(NamedTuple):
    """A change that has been tried: this layer on this volume gives this output. `str()` is how it is offered."""

    text: str
    layer: Any  # or the whole network
    volume: Volume
    output: Volume

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Sliding(Layer):
    """A layer with `kernel_size, stride, padding, dilation, fit`."""

    def windows(self, volume: Volume) -> tuple[Window, Window]:
        me: Any = self
        kernel, dilation = pair(me.kernel_size), pair(me.dilation)
        stride = pair(me.kernel_size if me.stride is None else me.stride)
        if me.padding == "same":
            rows, columns = (
                _same(n, k, s, d) for n, k, s, d in zip(volume.grid, kernel, stride, dilation, strict=True)
            )
            return rows, columns
        above, beside = pair(me.padding)
        rows = Window(kernel[0], stride[0], *pair(above), dilation[0])
        return rows, Window(kernel[1], stride[1], *pair(beside), dilation[1])

    def slide(self, volume: Volume, rows: Window, columns: Window) -> tuple[tuple[int, int], tuple[int, int]]:
        """-> (rows, columns) of the output, (rows, columns) that go unread; raises CannotPlace."""
        fit = getattr(self, "fit", None) or "cover"
        down, across = rows.slide(volume.height, fit), columns.slide(volume.width, fit)
        if down.fits and across.fits:
            return (down.positions, across.positions), (down.unread, across.unread)
        windows = rows, columns
        floored = [window.slide(n, "floor").positions for window, n in zip(windows, volume.grid, strict=True)]
        otherwise = f'fit="floor" leaves them out ({floored[0]}×{floored[1]})' if all(floored) else ""
        raise CannotPlace(
            self, volume, _why(volume, windows, fit), search=lambda: tuple(remedies(self, volume)), otherwise=otherwise
        )


def _same(n: int, kernel: int, stride: int, dilation: int) -> Window:
    bare = Window(kernel, stride, dilation=dilation)
    padding = max(0, (ceil(n / stride) - 1) * stride + bare.reach - n)
    return bare._replace(before=padding // 2, after=padding - padding // 2)


def _why(volume: Volume, windows: tuple[Window, ...], fit: str) -> str:
    """The sum of the axis that does not come out, and what it would cost."""
    for name, n, window in zip(("high", "wide"), volume.grid, windows, strict=True):
        if window.slide(n, fit).positions == 0:
            padded = n + window.before + window.after
            short = f"{padded} - {window.reach} = {padded - window.reach}: the window is {window.reach} {name}"
            return f"{short}, the volume {'with its padding ' if padded > n else ''}only {padded}."
    axes = list(zip(("row", "column"), volume.grid, windows, strict=True))
    sum_ = next(window.sum(n) for _, n, window in axes if not window.slide(n, fit).fits)
    left = [(window.slide(n, "floor").unread, word) for word, n, window in axes]
    unread = " and ".join(f"{cells} {word}{'s' * (cells > 1)}" for cells, word in left if cells)
    if not unread:
        return f"{sum_}: the last window does not end where the padded volume does."
    return f"{sum_}: {unread} of the volume would go unread."


def remedies(layer: Layer, volume: Volume) -> Iterator[Remedy]:
    """Changes near at hand, each tried: one of stride, kernel, padding, and input sizes; least change first."""
    for field in ("stride", "kernel_size", "padding"):
        yield from islice(_turned(layer, field, volume), 1)
    sizes = [
        (abs(d), volume._replace(height=volume.height + d, width=volume.width + d))
        for d in range(-16, 17)
        if d and min(volume.grid) + d > 0
    ]
    near = sorted(islice((v for _, v in sorted(sizes) if _output(layer, v)), 2))
    if near:
        text = " or ".join(across(v) for v in near)
        yield Remedy(
            f"{'an' if re.match('8|1[18]×', text) else 'a'} {text} input", layer, near[0], layer.place(near[0]).output
        )


def _turned(layer: Any, field: str, volume: Volume) -> Iterator[Remedy]:
    value = getattr(layer, field)
    if field == "stride" and value is None:
        value = layer.kernel_size
    if isinstance(value, int):
        least, largest = (0, value + 8) if field == "padding" else (1, value + 3)
        near = (value + d for d in (1, -1, 2, -2, 3, 4, 5, 6, 7, 8))
        whole = [min(volume.grid)] if field == "kernel_size" and value > min(volume.grid) else []
        for changed in (n for n in (*near, *whole) if least <= n <= largest):
            other = replace(layer, **{field: changed})
            gapless = all(window.stride <= window.kernel > 1 for window in other.windows(volume))
            if gapless and (output := _output(other, volume)):
                yield Remedy(f"{field}={changed} -> {across(output)}", other, volume, output)


def _output(layer: Layer, volume: Volume) -> Volume | None:
    try:
        return layer.place(volume).output
    except Refusal:
        return None


def across(volume: Volume) -> str:
    """A grid as it is said: 14×14."""
    return f"{volume.height}×{volume.width}"
