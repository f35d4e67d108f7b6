"""Activations as pictures: the strongest maps of some layers beside the image, and statistics by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from striate.blueprint.said import counted
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize.activations import Maps, Statistics
from striate.visualize.figures import (
    HEAT,
    LEADING,
    SIGNED,
    SMALL,
    WIDE,
    below,
    canvas,
    fitted,
    headed,
    image,
    png,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = 150  # layers that are named, in a picture that a phone can show
ROOM = 1.8  # inches of a layer's name


def draw_maps(found: Sequence[Maps], pixels: Tensor, most: int = 5, which: int = 0) -> bytes:
    """A PNG: the image (`pixels`, C×H×W), then a row for each layer with the strongest channels of image `which`, each
    scaled by itself: from 0, or where there are values below it, both ways from 0.
    """
    inch = WIDE / (most + 1)
    figure = canvas(WIDE, (inch + 0.38) * len(found))
    for part, layer in zip(figure.subfigures(len(found), squeeze=False).flat, found, strict=True):
        grid = layer.values.shape[1:]
        headed(part, f"{layer.layer}, {'×'.join(map(str, grid))}: the strongest {min(most, grid[0])}")
        axes = part.subplots(1, most + 1, squeeze=False)[0]
        image(axes[0], pixels)
        for place, at in enumerate(axes[1:]):
            at.axis("off")
            if place < grid[0]:
                channel = int(layer.order[which, place])
                _map(at, layer.values[which, channel])
                top = float(layer.values[which, channel].abs().max())
                titled(at, f"{channel}: {top:{'.0f' if top >= 100 else '.3g'}}")
    signed = any(bool((layer.values[which] < 0).any()) for layer in found)
    dark = "Dark is 0, or white where values have both signs" if signed else "Dark is 0"
    below(figure, f"Over each: its channel, and its largest value. {dark}; each map has its own scale.")
    return png(figure)


def _map(axes: Axes, value: Tensor) -> None:
    signed, top = bool((value < 0).any()), float(value.abs().max()) or 1.0
    axes.imshow(value.numpy(), cmap=SIGNED if signed else HEAT, vmin=-top if signed else 0, vmax=top)


def draw_statistics(found: Sequence[Statistics]) -> bytes:
    """A PNG, a line a layer, the first on top: mean and deviation of the values, shares of zeros and of dead channels
    where there are any.
    """
    apart, line = -(-len(found) // NAMES), SMALL * LEADING / 72
    figure = canvas(
        WIDE, max(2.0, len(found) / apart * line + 1.0), f"Values by layer, on {counted(found[0].images, 'image')}"
    )
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(found))
    left.plot([of.deviation for of in found], places, "o-", color=BLUE, markersize=3, linewidth=1.2, label="deviation")
    left.plot([of.mean for of in found], places, "s--", color=ORANGE, markersize=2.5, linewidth=1, label="mean")
    left.axvline(0, color=FAINT, linewidth=0.8)
    right.barh(places, [of.zeros for of in found], color=FAINT, label="zeros, of all values")
    shares = [len(of.dead) / max(1, len(of.peaks)) for of in found]
    dead = [place for place in places if shares[place]]
    how = {"color": ORANGE, "markersize": 3, "clip_on": False}
    right.plot([shares[place] for place in dead], dead, "D", label="dead, of the channels", **how)
    right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    right.set_xlim(-0.02, 1.02)
    names = [fitted(of.layer, ROOM, lines=1) for of in found]
    left.set(ylim=(len(found) - 0.4, -0.6))
    left.set_yticks([*places][::apart], names[::apart], parse_math=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=SMALL)
        axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=SMALL, loc="lower left", bbox_to_anchor=(-0.05, 1), borderaxespad=0)
    right.tick_params(axis="y", length=0)
    return png(figure)
