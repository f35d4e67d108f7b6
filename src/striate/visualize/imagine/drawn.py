"""Imagined images as pictures: each under its name, beside what excites the same unit most among real images."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from striate.visualize.figures import WIDE, canvas, image, png, tiles

SIDE = 96  # cells of a patch beside


def sheet(imagined: Mapping[str, Tensor], exciting: Mapping[str, Tensor] | None = None, across: int = 2) -> bytes:
    """A PNG: for each unit, by name, its imagined image (float 0..1 C×H×W, or 1×C×H×W; the first of several), and
    beside it the most exciting patches K×C×h×w (float 0..1 or uint8), where they are given, in rows of two.
    """
    names, beside = [*imagined], exciting or {}
    wide = 2 if beside else 1
    across = min(across, len(names))
    down = -(-len(names) // across)
    cell = WIDE / (across * wide)
    figure = canvas(WIDE, down * (cell + 0.25) + 0.3, "Imagined" + (", beside real images" if beside else ""))
    grid = figure.subplots(down, across * wide, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i, name in enumerate(names):
        row, place = grid[i // across], i % across * wide
        picture = imagined[name]
        image(row[place], picture[0] if picture.ndim == 4 else picture, name)
        if name in beside:
            image(row[place + 1], tiles(_alike(beside[name][:4]), 2 if len(beside[name]) > 1 else 1), "real")
    return png(figure)


def _alike(patches: Tensor) -> Tensor:
    """Float 0..1, all of one size that a tile has."""
    patches = patches if patches.is_floating_point() else patches / 255
    return F.interpolate(patches.float(), (SIDE, SIDE), mode="nearest-exact")


def row(images: Mapping[str, Tensor]) -> bytes:
    """A PNG of images side by side, each C×H×W under its title: a photo, and what became of it."""
    heights = [picture.shape[1] / picture.shape[2] for picture in images.values()]
    figure = canvas(WIDE, WIDE / len(images) * max(heights) + 0.3)
    for axes, (title, picture) in zip(figure.subplots(1, len(images), squeeze=False)[0], images.items(), strict=True):
        image(axes, picture, title)
    return png(figure)
