"""Imagined images as pictures: each under its name, beside the real images that have most of the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint.said import visible
from striate.visualize.figures import WIDE, below, canvas, fitted, image, png, tiles

ACROSS = 2  # units
SIDE = 96  # cells of an image beside
MEASURED = (
    "In both alike: how much an image has of what is wanted, of a channel the mean of its map, of a class its score."
)


def sheet(
    imagined: Mapping[str, Tensor],
    real: Mapping[str, Iterable[Tensor]] | None = None,
    reached: Mapping[str, float] | None = None,
    best: Mapping[str, float] | None = None,
) -> bytes:
    """A PNG: for each unit, by name, its imagined image (float 0..1 C×H×W, or 1×C×H×W; the first of several), and
    beside it the four real ones that have most of it, where some are given: each C×h×w of any size, float 0..1 or
    uint8. How much the imagined one has `reached` of what was wanted, and the `best` of the real ones, both `measured`.
    """
    beside = {name: tiles(torch.cat([*map(_tile, [*images][:4])]), 2) for name, images in (real or {}).items()}
    across, wide = min(ACROSS, len(imagined)), 2 if beside else 1
    down, inch = -(-len(imagined) // across), WIDE / (across * wide)
    figure = canvas(WIDE, down * (inch + 0.3), "Imagined" + ", beside the real images that have most" * bool(beside))
    grid = figure.subplots(down, across * wide, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i, (name, picture) in enumerate(imagined.items()):
        places = grid[i // across, i % across * wide :]
        title = fitted(visible(name), inch - 0.1, lines=1) + _number(reached, name)
        image(places[0], picture[0] if picture.ndim == 4 else picture, title)
        if name in beside:
            image(places[1], beside[name], "real" + _number(best, name, "up to "))
    if reached:
        below(figure, MEASURED)
    return png(figure)


def _number(values: Mapping[str, float] | None, name: str, which: str = "") -> str:
    return f"\n{which}{values[name]:.4g}" if values else ""


def _tile(patch: Tensor) -> Tensor:
    """1×C×SIDE×SIDE, float 0..1: an image as it is, in the middle of white."""
    patch = patch if patch.is_floating_point() else patch / 255
    height, width = patch.shape[1:]
    above, left = (max(width - height, 0) // 2, max(height - width, 0) // 2)
    square = F.pad(patch, (left, max(height - width, 0) - left, above, max(width - height, 0) - above), value=1.0)
    return F.interpolate(square[None].float(), (SIDE, SIDE), mode="nearest-exact")


def row(images: Mapping[str, Tensor]) -> bytes:
    """A PNG of images side by side, each C×H×W under its title: a photo, and what became of it."""
    heights = [picture.shape[1] / picture.shape[2] for picture in images.values()]
    figure = canvas(WIDE, WIDE / len(images) * max(heights) + 0.3)
    for axes, (title, picture) in zip(figure.subplots(1, len(images), squeeze=False)[0], images.items(), strict=True):
        image(axes, picture, fitted(visible(title), WIDE / len(images) - 0.1, lines=2))
    return png(figure)
