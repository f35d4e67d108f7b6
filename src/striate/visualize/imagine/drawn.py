"""Imagined images as pictures: each under its name, beside what excites the same unit most among real images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.visualize.figures import WIDE, canvas, image, png, tiles

ACROSS = 2  # units
SIDE = 96  # cells of a patch beside


def sheet(imagined: Mapping[str, Tensor], exciting: Mapping[str, Iterable[Tensor]] | None = None) -> bytes:
    """A PNG: for each unit, by name, its imagined image (float 0..1 C×H×W, or 1×C×H×W; the first of several), and
    beside it the four most exciting patches, where some are given: each C×h×w of any size, float 0..1 or uint8.
    """
    beside = {name: tiles(torch.cat([*map(_tile, [*patches][:4])]), 2) for name, patches in (exciting or {}).items()}
    across, wide = min(ACROSS, len(imagined)), 2 if beside else 1
    down = -(-len(imagined) // across)
    figure = canvas(WIDE, down * (WIDE / (across * wide) + 0.25) + 0.3, "Imagined" + ", beside real" * bool(beside))
    grid = figure.subplots(down, across * wide, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i, (name, picture) in enumerate(imagined.items()):
        places = grid[i // across, i % across * wide :]
        image(places[0], picture[0] if picture.ndim == 4 else picture, name)
        if name in beside:
            image(places[1], beside[name], "real")
    return png(figure)


def _tile(patch: Tensor) -> Tensor:
    """1×C×SIDE×SIDE, float 0..1: the patch as it is, in the middle of white."""
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
        image(axes, picture, title)
    return png(figure)
