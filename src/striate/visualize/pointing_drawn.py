"""The pointing game as a picture: how often the strongest place was a hit, and where it was in some of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from striate.blueprint.said import visible
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS, MOST = 4, 8  # images
NAMED = 1.6  # inches of what a bar is of


class Pointed(NamedTuple):
    """An image uint8 C×H×W with boxes K×4 of a class in it; row and column of a map's strongest place, and whether
    that is a hit.
    """

    pixels: Tensor
    name: str
    boxes: Tensor
    at: tuple[int, int]
    hit: bool


def draw_pointing(
    shares: Mapping[str, float], pointed: Sequence[Pointed], title: str, method: str, against: Sequence[str]
) -> bytes:
    """A PNG: hits as shares by method, and of what they are held `against`; below, where the maps of `method` point in
    some of the images, evenly chosen.
    """
    some = torch.linspace(0, len(pointed) - 1, min(MOST, len(pointed))).round().long().tolist()
    rows = -(-len(some) // ACROSS)
    height, width = pointed[0].pixels.shape[1:]
    tall, tile = 0.55 + 0.3 * len(shares), 0.28 + (figures.WIDE / ACROSS - 0.1) * min(2.0, height / width)
    figure = figures.canvas(figures.WIDE, tall + 0.6 + tile * rows, title)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[tall, 0.3 + tile * rows]).flat
    _bars(above.subplots(), shares, against)
    figures.headed(below, f"Where {method} points: ○ a hit, × a miss")
    for axes, place in zip(below.subplots(rows, ACROSS, squeeze=False).flat, [*some, *[None] * ACROSS], strict=False):
        axes.axis("off")
        if place is not None:
            _image(axes, pointed[place])
    return figures.png(figure)


def _bars(axes: Axes, shares: Mapping[str, float], against: Sequence[str]) -> None:
    places = range(len(shares))
    axes.barh(places, list(shares.values()), color=[FAINT if name in against else BLUE for name in shares], height=0.6)
    for place, share in zip(places, shares.values(), strict=True):
        inside = share > 0.85
        axes.text(
            share + (-0.01 if inside else 0.01), place, f"{share:.0%}", va="center", ha="right" if inside else "left",
            size=figures.SMALL, color="white" if inside else INK,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6))
    names = [figures.fitted(visible(name), NAMED, lines=1) for name in shares]
    axes.set_yticks(places, names, size=figures.SMALL, color=INK, parse_math=False)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], size=figures.SMALL, color=INK)
    axes.set_xlabel("hits, mean of the classes", size=figures.SMALL, color=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(length=0)


def _image(axes: Axes, one: Pointed) -> None:
    from matplotlib.patches import Rectangle

    figures.image(axes, one.pixels, figures.fitted(visible(one.name), figures.WIDE / ACROSS - 0.1, lines=1))
    for left, top, right, bottom in one.boxes.tolist():
        for colour, width in (("white", 2.0), (BLUE, 1.1)):
            axes.add_patch(
                Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour, lw=width)
            )
    row, column = one.at
    mark, colour = ("o", BLUE) if one.hit else ("x", ORANGE)
    for edge, width in (("white", 3.4), (colour, 1.8)):
        axes.plot(
            [column],
            [row],
            mark,
            markersize=figures.SMALL,
            markerfacecolor="none",
            markeredgecolor=edge,
            markeredgewidth=width,
        )
