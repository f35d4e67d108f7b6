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
from striate.visualize.where import MOVED, STEPS, TESTS, Trust, called, judged

Tried = tuple[Heat, Curves, Randomised]
ALIKE = {"rank": ("rank correlation", {"color": INK, "marker": "o"})}
ALIKE |= {"ssim": ("structural similarity", {"color": FAINT, "marker": "s"})}


def draw_trust(pixels: Tensor, tried: Sequence[Tried], index: int = 0, title: str = "") -> bytes:
    """A PNG: for each method its map over the image, uint8 C×H×W; the class's probability while pixels are deleted and
    inserted, dotted by maps of chance; how alike the map stays with random weights, over all the images tried. A test
    that is failed is orange.
    """
    if not tried:
        raise Refusal("Cannot draw what was tried: nothing was.", ways="trust.curves and trust.randomised try a map.")
    figure = figures.canvas(figures.WIDE, 1.95 * len(tried) + 0.25, title)
    rows = figure.subplots(len(tried), 3, squeeze=False, gridspec_kw={"width_ratios": (1, 1.2, 1.2)})
    for heat, curves, random in tried:
        (over, changed, weights), rows = rows[0], rows[1:]
        trust = judged(heat, curves, random, index)
        figures.heat(over, within(heat.values[index]), pixels)
        figures.titled(over, figures.fitted(called(heat.method), 1.4, bold=True, lines=2), bold=True)
        _draw_curves(changed, curves, index, trust)
        _draw_random(weights, random, trust)
        for axes in (changed, weights):
            axes.tick_params(labelsize=figures.SMALL, colors=INK, length=2)
            axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
            axes.spines[["top", "right"]].set_visible(False)
    changed.set_xlabel("share of pixels", size=figures.SMALL, color=INK)
    weights.set_xlabel("random layers,\nfrom the last", size=figures.SMALL, color=INK)
    _key(figure, changed, weights, tried[0][1])
    return figures.png(figure)


def _draw_curves(axes: Any, curves: Curves, index: int, trust: Trust) -> None:
    for kind, colour in (("insertion", BLUE), ("deletion", ORANGE)):
        axes.plot(curves.shares, getattr(curves, kind)[index], color=colour, linewidth=1.6, label=kind)
        axes.plot(
            curves.shares,
            getattr(curves, f"random_{kind}")[index],
            color=colour,
            linewidth=1.1,
            linestyle=":",
            label=f"{kind} by chance",
        )
    deletion, failed = trust.brief()[0]
    inserted = f"insertion {trust.insertion:.2f} ({trust.random_insertion:.2f})"
    figures.lined(axes, [(inserted, INK), (deletion, ORANGE if failed else INK)], above=True)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("probability", size=figures.SMALL, color=INK, labelpad=1)


def _draw_random(axes: Any, random: Randomised, trust: Trust) -> None:
    counts = [0, *(count for count, _ in random.layers)]
    for name, (said, how) in ALIKE.items():
        alike = [1.0, *getattr(random, name).nanmean(1).tolist()]
        axes.plot(counts, alike, linewidth=1.4, markersize=2.5, label=said, **how)
    axes.set_ylim(min(-0.03, float(random.rank.nanmean(1).nan_to_num().min()) - 0.05), 1.03)
    axes.axhline(SAME, color=FAINT, linewidth=0.8, linestyle="--", label=f"{SAME:g}: much the same map")
    axes.axvline(counts[random.half + 1], color=FAINT, linewidth=0.8, linestyle="-.", label="the upper half is random")
    verdict, failed = trust.brief()[1]
    figures.lined(axes, [(verdict, ORANGE if failed else INK)], above=True)
    axes.set_ylabel("alike", size=figures.SMALL, color=INK, labelpad=1)


def _key(figure: Any, changed: Any, weights: Any, curves: Curves) -> None:
    """What the lines are, and the tests; that the page's are quicker, so that nobody wonders at its numbers."""
    ours, theirs = (axes.get_legend_handles_labels() for axes in (changed, weights))
    lines, words = ([*mine, *its] for mine, its in zip(ours, theirs, strict=True))
    steps = len(curves.shares) - 1
    said = f"In brackets: by chance. {TESTS} Tried in {steps} steps"
    said += "." if steps == STEPS else f"; on the page in {STEPS}, by {MOVED} maps of chance, so that areas differ."
    width, height = figure.get_size_inches()
    said = figures.fitted(said, width - 2 * figures.EDGE)
    figure.set_size_inches(width, height + (said.count("\n") + 5.6) * figures.SMALL * figures.LEADING / 72)
    figure.legend(
        lines, words, loc="outside lower left", ncols=2, fontsize=figures.SMALL, frameon=False, labelcolor=INK,
        title=said, title_fontproperties={"size": figures.SMALL}, alignment="left", borderpad=0.2,
    ).get_title().set(color=INK, parse_math=False)  # fmt: skip
