"""The tests of trust as a picture: a row a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from striate.blueprint import Refusal
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize import figures
from striate.visualize.attribution import Heat
from striate.visualize.attribution.drawn import within
from striate.visualize.trust import SAME, Curves, Randomised

Tried = tuple[Heat, Curves, Randomised]


def draw_trust(pixels: Tensor, tried: Sequence[Tried], index: int = 0, title: str = "") -> bytes:
    """A PNG: for each method its map over the image, uint8 C×H×W; the class's probability while pixels are deleted and
    inserted, dotted by maps of chance; how alike the map stays with random weights, over all the images tried.
    """
    if not tried:
        raise Refusal("Cannot draw what was tried: nothing was.", ways="trust.curves and trust.randomised try a map.")
    figure = figures.canvas(figures.WIDE, 1.75 * len(tried) + 0.3, title)
    rows = figure.subplots(len(tried), 3, squeeze=False, gridspec_kw={"width_ratios": (1, 1.25, 1.25)})
    for i, ((heat, curves, random), (over, pixels_changed, weights)) in enumerate(zip(tried, rows, strict=True)):
        figures.heat(over, within(heat.values[index]), pixels, heat.method)
        _draw_curves(pixels_changed, curves, index, first=i == 0)
        _draw_random(weights, random, first=i == 0)
        for axes in (pixels_changed, weights):
            axes.tick_params(labelsize=6, colors=INK, length=2)
            axes.set_yticks([0, 0.5, 1])
            axes.spines[["top", "right"]].set_visible(False)
        if i == len(tried) - 1:
            pixels_changed.set_xlabel("share of pixels", fontsize=7, color=INK)
            weights.set_xlabel("random layers, from the last", fontsize=7, color=INK)
    return figures.png(figure)


def _draw_curves(axes: Any, curves: Curves, index: int, first: bool) -> None:
    areas = {name: float(area[index]) for name, area in curves.areas.items()}
    for kind, colour in (("insertion", BLUE), ("deletion", ORANGE)):
        axes.plot(curves.shares, getattr(curves, kind)[index], color=colour, linewidth=1.4)
        axes.plot(curves.shares, getattr(curves, f"random_{kind}")[index], color=colour, linewidth=0.9, linestyle=":")
    said = [f"{kind} {areas[kind]:.2f} (chance {areas[f'random_{kind}']:.2f})" for kind in ("insertion", "deletion")]
    axes.set_title("\n".join(said), fontsize=6.5, color=INK)
    axes.set_ylim(-0.03, 1.03)
    if first:
        axes.set_ylabel("probability", fontsize=7, color=INK)


def _draw_random(axes: Any, random: Randomised, first: bool) -> None:
    counts = [0, *(count for count, _ in random.layers)]
    for name, values, colour in (("rank", random.rank, BLUE), ("SSIM", random.ssim, ORANGE)):
        alike = [1.0, *values.nanmean(1).tolist()]
        axes.plot(counts, alike, color=colour, linewidth=1.4, marker="o", markersize=2, label=name)
    axes.set_ylim(min(-0.03, float(random.rank.nanmean(1).nan_to_num().min()) - 0.05), 1.03)
    axes.axhline(SAME, color=FAINT, linewidth=0.7, linestyle="--")
    axes.axvline(counts[random.half + 1], color=FAINT, linewidth=0.7, linestyle="--")
    verdict = "the same: not the network's" if random.unchanged else "changes with the network"
    axes.set_title(verdict, fontsize=6.5, color=ORANGE if random.unchanged else INK)
    if first:
        axes.set_ylabel("like the trained one's", fontsize=7, color=INK)
        axes.legend(fontsize=6, frameon=False, loc="upper right", labelcolor="linecolor", handlelength=1)
