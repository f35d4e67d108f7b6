"""Whether networks can learn, as a picture: values and gradients by layer, a line for each network."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from striate.blueprint.said import counted, visible
from striate.data.drawn import FAINT, INK
from striate.visualize.figures import SMALL, WIDE, canvas, fitted, png, titled
from striate.visualize.learning import Flowing, share

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")  # Okabe & Ito 2008
LINES = ("-", "--", ":")  # as many networks again with every colour
FLOOR = 1e-12  # what is less than that is drawn there: below it nothing is learnt


def draw_flows(found: Sequence[Flowing], title: str = "") -> bytes:
    """A PNG: above how far values deviate, below how large gradients are as shares of their weights, layer by layer
    (those with weights), a column for each number of steps.
    """
    steps, names = sorted({of.step for of in found}), list(dict.fromkeys(of.network for of in found))
    figure = canvas(WIDE, 4.8 + 0.16 * -(-len(names) // 3), title)
    axes = figure.subplots(2, len(steps), squeeze=False, sharey="row", sharex=True)
    for column, step in enumerate(steps):
        above, below = axes[0, column], axes[1, column]
        titled(above, "before the first step" if step == 0 else f"after {counted(step, 'step')}")
        below.set_xlabel(
            fitted("layer with weights, in the order they run", WIDE / len(steps) - 0.5), color=INK, fontsize=SMALL
        )
        for of in (of for of in found if of.step == step):
            place = names.index(of.network)
            how = {"color": COLOURS[place % len(COLOURS)], "ls": LINES[place // len(COLOURS) % len(LINES)]}
            layers = range(1, len(of.weighted) + 1)
            above.plot(
                layers,
                [_drawn(row.deviation) for row in of.weighted],
                label=visible(of.network),
                marker=".",
                ms=3.5,
                lw=1.3,
                **how,
            )
            below.plot(layers, [_drawn(share(row)) for row in of.weighted], marker=".", ms=3.5, lw=1.3, **how)
    for here, meaning in ((axes[0, 0], "deviation of the values"), (axes[1, 0], "gradient / weight (norms)")):
        here.set_ylabel(meaning, color=INK, fontsize=SMALL)
    for here in axes.flat:
        here.set_yscale("log")
        here.locator_params(axis="x", integer=True)
        here.spines[["top", "right"]].set_visible(False)
        here.tick_params(colors=INK, labelsize=SMALL)
        here.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    handles = {label: line for here in axes[0] for line, label in zip(*here.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)
    return png(figure)


def _drawn(value: float) -> float:
    """On a logarithmic axis; what is no number leaves a gap."""
    return max(value, FLOOR) if isfinite(value) else float("nan")
