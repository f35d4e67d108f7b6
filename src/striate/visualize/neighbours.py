"""Which images a network takes for alike: beside each test image those nearest to it in a layer's features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint import Refusal
from striate.blueprint.said import counted, visible
from striate.data.drawn import INK, ORANGE
from striate.visualize import figures
from striate.visualize.embedding import Features

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLOCK = 1 << 24  # distances that are in memory at a time
ROWS = 12  # test images in a picture


class Neighbours(NamedTuple):
    """`which` int64 N×k and `distances` float32 N×k of the nearest others of N images, the nearest first; `measure` is
    a name in MEASURES.
    """

    which: Tensor
    distances: Tensor
    measure: str


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """The differences squared and summed, not a product of matrices, in which those of near neighbours cancel out."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """1 less the cosine of the angle between two; a vector of zeros is at 1 from all."""
    return 1 - F.normalize(a) @ F.normalize(b).T


MEASURES = {"euclidean": euclidean, "cosine": cosine}


def nearest(of: Features, among: Features, k: int = 6, measure: str = "euclidean") -> Neighbours:
    """The k nearest of `among` for every image of `of`, both of one layer: exact, by blocks of bounded memory.
    Krizhevsky et al. 2012 (figure 4, right) take six, by the Euclidean distance of the last hidden layer's features. Of
    `among` itself (the same object) an image is not its own neighbour. Raises Refusal.
    """
    if measure not in MEASURES:
        raise Refusal(f'Cannot measure how near images are by "{measure}".', ways=f"One of: {', '.join(MEASURES)}.")
    if (of.layer, of.values.shape[1]) != (among.layer, among.values.shape[1]):
        raise Refusal(f"Cannot compare images by different features: {of.said}; {among.said}.")
    there = len(among.values) - (of is among)
    if not 1 <= k <= there:
        raise Refusal(f"Cannot find {counted(k, 'neighbour')} of an image: k goes from 1 to {there:,}.")
    rows = min(1024, len(of.values))
    found = [_nearest(at, of, among, k, measure, max(1, BLOCK // rows)) for at in _places(of).split(rows)]
    return Neighbours(torch.cat([w for w, _ in found]), torch.cat([d for _, d in found]), measure)


def _places(of: Features) -> Tensor:
    return torch.arange(len(of.values))


def _nearest(at: Tensor, of: Features, among: Features, k: int, measure: str, columns: int) -> tuple[Tensor, Tensor]:
    """Of the images at these places: block by block, what is nearest so far."""
    which, distances = torch.empty(len(at), 0, dtype=torch.int64), torch.empty(len(at), 0)
    for block in _places(among).split(columns):
        apart = MEASURES[measure](of.values[at], among.values[block])
        if of is among:
            apart.masked_fill_(at[:, None] == block, torch.inf)
        which = torch.cat([which, block.expand(len(at), -1)], 1)
        distances, order = torch.cat([distances, apart], 1).topk(min(k, which.shape[1]), largest=False)
        which = which.gather(1, order)
    return which, distances


def neighbours_picture(
    of: Features, among: Features, found: Neighbours, title: str, rows: Tensor | None = None
) -> bytes:
    """A PNG: a row for each test image (`rows`, or the first twelve), on its left; beside it its neighbours, the
    nearest first, with their distance; one of another class is named in orange, with a cross.
    """
    chosen = torch.arange(min(ROWS, len(found.which))) if rows is None else rows
    k, mine, theirs = found.which.shape[1], of.labels, among.labels
    height, width = of.thumbs.shape[2:]
    inch = figures.WIDE / (k + 1.3)  # of an image, and of its class's name
    figure = figures.canvas(figures.WIDE, 0.1 + len(chosen) * (0.7 * inch * height / width + 0.44), title)
    figure.get_layout_engine().set(h_pad=0.03, hspace=0)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(len(chosen), k + 2, squeeze=False, width_ratios=[1, 0.12, *[1] * k])
    for row, i in zip(grid, chosen.tolist(), strict=True):
        _drawn(row[0], of, i, inch)
        row[1].axis("off")
        for axes, j, apart in zip(row[2:], found.which[i].tolist(), found.distances[i].tolist(), strict=True):
            other = mine is not None and theirs is not None and int(mine[i]) != int(theirs[j])
            _drawn(axes, among, j, inch, f"{apart:.3g}", other)
    wrong = " · ✗ another class" if mine is not None and theirs is not None else ""
    right = f"the nearest of {len(among.values):,}, and the {found.measure} distance under each{wrong}"
    figures.below(figure, f"Left: the image. Right: {right}\nBy layer {of.said}")
    return figures.png(figure)


def _drawn(axes: Axes, of: Features, i: int, inch: float, distance: str = "", other: bool = False) -> None:
    figures.image(axes, of.thumbs[i])
    name = "" if of.labels is None else _short(of, int(of.labels[i]), inch - 0.05 - 0.12 * other)
    colour = ORANGE if other else INK
    figures.lined(axes, [(" ".join(part for part in ("✗" * other, name) if part), colour)], above=True)
    figures.lined(axes, [(distance, INK)])


def _short(of: Features, label: int, room: float) -> str:
    name = visible(of.classes[label]) if label < len(of.classes) else str(label)
    return figures.fitted(name, room, lines=1)
