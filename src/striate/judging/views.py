"""Several views of one image, as the papers were judged by: where they are cut, at which sizes, who did so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint import CannotTrain, NotFound
from striate.data.preprocessing import LARGEST, Grid, Preprocessing, to_channels

Cut = Callable[[Tensor, Grid], list[Tensor]]
ROOMIER = 8 / 7  # 256 for 224: the short side that crops are cut from, in crops, where the model's file says none


def _at(pixels: Tensor, grid: Grid, top: int, left: int) -> Tensor:
    return pixels[..., top : top + grid[0], left : left + grid[1]]


def _room(pixels: Tensor, grid: Grid) -> tuple[int, int]:
    """How far down and to the right a crop may lie."""
    return pixels.shape[-2] - grid[0], pixels.shape[-1] - grid[1]


def centre(pixels: Tensor, grid: Grid) -> list[Tensor]:
    down, right = _room(pixels, grid)
    return [_at(pixels, grid, down // 2, right // 2)]


def five(pixels: Tensor, grid: Grid) -> list[Tensor]:
    """The four corners and the centre."""
    down, right = _room(pixels, grid)
    return [_at(pixels, grid, top, left) for top, left in product((0, down), (0, right))] + centre(pixels, grid)


def squares(pixels: Tensor, grid: Grid) -> list[Tensor]:
    """Of the left, the middle and the right square (of an upright picture the top, middle, bottom): the five, and the
    whole of it, resized.
    """
    side = min(pixels.shape[-2:])
    down, right = _room(pixels, (side, side))
    found: list[Tensor] = []
    for at in (0.0, 0.5, 1.0):
        square = _at(pixels, (side, side), int(down * at), int(right * at))
        found += [*five(square, grid), F.interpolate(square, list(grid), mode="bilinear", antialias=True)]
    return found


def lattice(pixels: Tensor, grid: Grid) -> list[Tensor]:
    """A regular grid of 5×5 crops."""
    down, right = _room(pixels, grid)
    return [_at(pixels, grid, down * i // 4, right * j // 4) for i in range(5) for j in range(5)]


def whole(pixels: Tensor, grid: Grid) -> list[Tensor]:
    """Nothing is cut."""
    return [pixels]


class Kind(NamedTuple):
    """How views are cut, of images scaled to these multiples of the smallest short side; whether corners are cut, which
    differ only in an image larger than a crop; whether every view is also shown mirrored; and whose way that is.
    """

    cut: Cut
    scales: tuple[float, ...]
    corners: bool
    mirrored: bool
    source: str


SHIFTED = "shifted"  # looked at in a way of its own: `judging.shifted`
KINDS: dict[str, Kind] = {
    "centre": Kind(centre, (1,), False, False, "one crop a size"),
    "ten-crop": Kind(five, (1,), True, True, "corners and centre: Krizhevsky et al. 2012, section 4.1"),
    "multi-crop": Kind(squares, (1, 9 / 8, 10 / 8, 11 / 8), True, True, "Szegedy et al. 2014, section 7"),
    "grid": Kind(lattice, (1, 1.5, 2), True, True, "5×5: Simonyan & Zisserman 2014, section 3.2"),
    "dense": Kind(whole, (1,), False, True, "whole image: Simonyan & Zisserman 2014, section 3.2"),
    SHIFTED: Kind(whole, (1,), False, True, "as it is, and moved by a cell: Jordan 2024, section 3.5"),
}


class Part(NamedTuple):
    """One way of looking: the kind of view, and the short sides of the images it is taken from (0: a crop's own)."""

    kind: str
    scales: tuple[int, ...]
    mirrored: bool

    @property
    def dense(self) -> bool:
        return self.kind == "dense"

    def cut(self, pixels: Tensor, rule: Preprocessing) -> Tensor:
        """uint8 N×C×H×W, scaled -> uint8 N×V×C×h×w, as the network reads them but for normalisation."""
        views = torch.stack(KINDS[self.kind].cut(pixels, rule.grid), 1)
        views = torch.cat([views, views.flip(-1)], 1) if self.mirrored else views
        (height, width), (rows, columns) = rule.size, rule.grid
        top, left = (height - rows) // 2, (width - columns) // 2
        around = (left, width - columns - left, top, height - rows - top)
        return F.pad(views, around) if any(around) else views

    def told(self) -> str:
        sizes = " and ".join(", ".join(map(str, self.scales)).rsplit(", ", 1))
        sides = f" at short side{'s' * (len(self.scales) > 1)} {sizes}" if any(self.scales) else ""
        mirror = ", mirrored, too" * self.mirrored
        return f"{self.kind}{sides}{mirror} ({KINDS[self.kind].source})"


@dataclass(frozen=True)
class Views:
    """What of an image a model is shown; the probabilities it gives to the views are averaged.

    `kind`: "centre", "ten-crop", "multi-crop", "grid", "dense" (the network slides over the whole image), or
    "shifted" (small resident images as they are and moved by a cell). `scales`: short sides that images are scaled to
    (none: the kind's own). With `dense`, beside the crops the whole image, too;
    both then weigh the same (Simonyan & Zisserman 2014, table 5). Without `mirror`, nothing is shown mirrored: digits
    and letters are not what they were.
    """

    kind: str = "centre"
    scales: tuple[int, ...] = ()
    dense: bool = False
    mirror: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NotFound("view", self.kind, KINDS)
        if self.kind == SHIFTED and (self.scales or self.dense):
            raise CannotTrain(
                "Cannot scale images that are shown as they are and moved by a cell, nor slide over them.",
                ways="ten-crop can; or shifted without scales and without dense.",
            )

    def parts(self, rule: Preprocessing) -> tuple[Part, ...]:
        """Every scale decided, for a network of that rule. Raises CannotTrain for a scale that crops do not fit."""
        kinds = [self.kind, *(["dense"] if self.dense and self.kind != "dense" else [])]
        return tuple(Part(kind, self._scales(kind, rule), self.mirror and KINDS[kind].mirrored) for kind in kinds)

    def _scales(self, kind: str, rule: Preprocessing) -> tuple[int, ...]:
        least, way, grid = min(rule.grid), KINDS[kind], "×".join(map(str, rule.grid))
        roomier = round(least * ROOMIER)
        for scale in self.scales:
            if not 1 <= scale <= LARGEST:
                raise CannotTrain(f"Cannot scale images to a short side of {scale}: sides go from 1 to {LARGEST:,}.")
            if scale < least and kind != "dense":
                raise CannotTrain(
                    f"Cannot cut {grid} out of an image whose short side is {scale}.",
                    ways=f"{grid} is what the model reads: scales from {least}, for instance {roomier}.",
                )
        if not way.corners:
            return self.scales or (rule.short,)
        smallest = rule.short if rule.short > least else max(roomier, least + 1)
        return self.scales or tuple(round(smallest * times) for times in way.scales)

    def told(self, rule: Preprocessing) -> str:
        """What the model is shown of each image, in a line."""
        return "; and ".join(part.told() for part in self.parts(rule))


def bare(pixels: Tensor, rule: Preprocessing) -> Tensor:
    """uint8 N×C×H×W without the zeros that the rule puts around, if they are there; in the network's channels."""
    (height, width), (rows, columns) = rule.size, rule.grid
    if rule.size != rule.grid and pixels.shape[2:] == rule.size:
        pixels = _at(pixels, rule.grid, (height - rows) // 2, (width - columns) // 2)
    return to_channels(pixels, rule.channels)


def covered(rule: Preprocessing, scale: int) -> Grid:
    """What an image must cover at this scale."""
    return replace(rule, short=scale).covered if scale >= min(rule.grid) or not scale else (scale, scale)


def distinct(parts: tuple[Part, ...]) -> Iterator[int]:
    """Every scale, once."""
    yield from dict.fromkeys(scale for part in parts for scale in part.scales)
