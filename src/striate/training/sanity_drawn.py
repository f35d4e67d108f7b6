"""The sanity of a training as a picture: the loss over the learning rate, one batch learnt, and the flow by layer."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING

from striate.training.curves import BLUE, FAINT, INK, ORANGE
from striate.training.flow import FAST, SLOW
from striate.training.sanity import GONE, Flowed, Overfit, Rates, Sanity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED = "#b91c1c"
NAMES = 60  # layers that are still named, each below its place


def draw(found: Sanity, title: str) -> bytes:
    """A PNG."""
    picture = BytesIO()
    drawn(found, title).savefig(picture, format="png")
    return picture.getvalue()


def drawn(found: Sanity, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontweight="bold")
    grid = figure.add_gridspec(3, 2, height_ratios=(1.1, 1, 1))
    _rates(figure.add_subplot(grid[0, 0]), found.rates)
    _batch(figure.add_subplot(grid[0, 1]), found.overfit, found.start.chance)
    above = figure.add_subplot(grid[1, :])
    _gradients(above, found.flow)
    below = figure.add_subplot(grid[2, :], sharex=above)
    _values(below, found.flow)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.tick_params(colors=INK)
    _named(below, found.flow)
    return figure


def _rates(axes: Axes, rates: Rates) -> None:
    axes.set(title="Loss over the learning rate", xlabel="learning rate", xscale="log")
    if not rates.rates:
        return
    axes.plot(rates.rates, rates.losses, color=FAINT, linewidth=0.6)
    axes.plot(rates.rates, rates.smooth, color=BLUE, linewidth=1.8, label="smoothed")
    for at, said, colour in ((rates.steepest, "steepest", ORANGE), (rates.largest, "least", INK)):
        if at:
            axes.axvline(at, color=colour, linestyle="--", linewidth=1, label=f"{said}: {at:.2g}")
    low, high = min(rates.smooth), max(rates.smooth[: max(1, len(rates.smooth) // 2)])
    axes.set_ylim(max(0.0, low - 0.1 * (high - low)), min(max(rates.smooth), high + 0.3 * (GONE - 1) * low) * 1.05)
    axes.legend(frameon=False)


def _batch(axes: Axes, overfit: Overfit, chance: float) -> None:
    axes.set(title=f"One batch of {overfit.images} images, again and again", xlabel="step", yscale="log")
    axes.plot(
        range(len(overfit.losses)), overfit.losses, color=BLUE, linewidth=1.8, marker="o", markersize=3, label="loss"
    )
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=1, label=f"chance: {chance:.3g}")
    axes.axhline(overfit.near, color=ORANGE, linestyle="--", linewidth=1, label=f"by heart: {overfit.near:.2g}")
    axes.legend(frameon=False)


def _gradients(axes: Axes, flow: Flowed) -> None:
    """As shares of the weight, so that layers of any size stand side by side."""
    axes.set(title=f"Flow by layer, median of {flow.steps} steps: shares of the weight", yscale="log")
    axes.axhspan(SLOW, FAST, color=FAINT, alpha=0.12, linewidth=0)
    axes.axhline(1e-3, color=ORANGE, linestyle=":", linewidth=1)
    weighted = [(at, row) for at, row in enumerate(flow.layers) if row.weight]
    gradients = [(at, row.gradient / row.weight) for at, row in weighted if row.gradient and row.weight]
    _line(axes, gradients, BLUE, "gradient")
    _line(axes, [(at, row.update) for at, row in weighted if row.update], ORANGE, "update (about 1e-3 is usual)")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, ncols=2)


def _values(axes: Axes, flow: Flowed) -> None:
    axes.set(title="Values by layer: their deviation, and channels that are dead", yscale="log", ylabel="deviation")
    values = [(at, row.deviation) for at, row in enumerate(flow.layers) if row.deviation > 0]
    _line(axes, values, BLUE, "")
    there = [value for _, value in values if isfinite(value)]
    narrow = max(there, default=1.0) < 10 * min(there, default=1.0)
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.3g}" if narrow else "")
    dead = axes.twinx()
    relus = [(at, row.dead) for at, row in enumerate(flow.layers) if row.dead is not None]
    dead.bar([at for at, _ in relus], [share for _, share in relus], color=RED, alpha=0.35, width=0.8)
    dead.set(ylim=(0, 1), ylabel="channels that are dead")
    dead.yaxis.set_major_formatter("{x:.0%}")


def _named(axes: Axes, flow: Flowed) -> None:
    """The layers' names, as many as there is room for; those with an alarm in red."""
    wrong = {alarm.layer for alarm in flow.alarms}
    apart = -(-len(flow.layers) // NAMES)
    shown = range(0, len(flow.layers), apart)
    size = max(4, min(8, 400 // max(1, len(shown))))
    axes.set_xticks(list(shown), [flow.layers[at].name for at in shown], rotation=90, fontsize=size)
    for at, label in zip(shown, axes.get_xticklabels(), strict=True):
        if flow.layers[at].name in wrong:
            label.set(color=RED, fontweight="bold")


def _line(axes: Axes, points: Sequence[tuple[int, float]], colour: str, label: str) -> None:
    there = [(at, value) for at, value in points if isfinite(value)]
    axes.plot(
        [at for at, _ in there], [value for _, value in there], "o-", color=colour, markersize=3, lw=1.4, label=label
    )
