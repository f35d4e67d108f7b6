"""Activations as pictures: the strongest maps of some layers beside the image, and statistics by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from striate.blueprint.said import counted
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize.activations import Maps, Statistics
from striate.visualize.figures import HEAT, SIGNED, WIDE, canvas, image, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = 24  # layers that are named below the axis
LONGEST = 34  # characters of a layer's name


def draw_maps(found: Sequence[Maps], pixels: Tensor, most: int = 5, which: int = 0) -> bytes:
    """A PNG: the image (`pixels`, C×H×W), then a row for each layer with the strongest channels of image `which`, each
    scaled by itself: from 0, or where there are values below it, both ways from 0.
    """
    inch = WIDE / (most + 1)
    figure = canvas(WIDE, (inch + 0.32) * len(found) + 0.3)
    for part, layer in zip(figure.subfigures(len(found), squeeze=False).flat, found, strict=True):
        grid = layer.values.shape[1:]
        title = f"{_brief(layer.layer)}, {'×'.join(map(str, grid))}: the strongest {min(most, grid[0])}"
        part.suptitle(title, color=INK, fontsize=8, fontweight="bold", x=0.01, ha="left")
        axes = part.subplots(1, most + 1, squeeze=False)[0]
        image(axes[0], pixels)
        for place, at in enumerate(axes[1:]):
            at.axis("off")
            if place < grid[0]:
                channel = int(layer.order[which, place])
                _map(at, layer.values[which, channel])
                top = float(layer.values[which, channel].abs().max())
                at.set_title(f"{channel}: to {top:{'.0f' if top >= 100 else '.3g'}}", size=7, color=INK)
    signed = any(bool((layer.values[which] < 0).any()) for layer in found)
    figure.supxlabel(
        f"dark is 0{', or white where values have both signs' * signed}; each from there", size=7, color=INK
    )
    return png(figure)


def _map(axes: Axes, value: Tensor) -> None:
    signed, top = bool((value < 0).any()), float(value.abs().max()) or 1.0
    axes.imshow(value.numpy(), cmap=SIGNED if signed else HEAT, vmin=-top if signed else 0, vmax=top)


def draw_statistics(found: Sequence[Statistics]) -> bytes:
    """A PNG, layers from left to right: mean and deviation of the values; shares of zeros and of dead channels."""
    figure = canvas(WIDE, 4.6, f"Values by layer, on {counted(found[0].images, 'image')}")
    above, below = figure.subplots(2, sharex=True)
    places = range(len(found))
    above.plot(places, [of.deviation for of in found], "o-", color=BLUE, markersize=3, linewidth=1.2, label="deviation")
    above.plot(places, [of.mean for of in found], "s--", color=ORANGE, markersize=2.5, linewidth=1, label="mean")
    above.axhline(0, color=FAINT, linewidth=0.8)
    below.bar(places, [of.zeros for of in found], color=FAINT, label="zeros, of all values")
    shares = [len(of.dead) / max(1, len(of.peaks)) for of in found]
    below.plot(places, shares, "D", color=ORANGE, markersize=3, label="dead, of the channels")
    below.set_ylim(0, 1.02)
    below.yaxis.set_major_formatter("{x:.0%}")
    apart = -(-len(found) // NAMES)
    below.set_xticks(list(places)[::apart], [_brief(of.layer) for of in found][::apart], rotation=90, fontsize=6)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=7)
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    below.tick_params(axis="x", labelsize=6)
    return png(figure)


def _brief(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[-LONGEST:]}"
