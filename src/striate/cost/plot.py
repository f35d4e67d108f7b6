"""Accuracy, operations and parameters in one picture (after Canziani et al. 2016, arXiv 1605.07678, figure 2)."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.blueprint.files import write_atomically
from striate.blueprint.refusal import CannotWrite, Refusal
from striate.cost.units import short

if TYPE_CHECKING:
    from striate.cost.comparison import Comparison, Entry

KINDS = ("png", "svg", "pdf")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")  # Okabe & Ito 2008
LARGEST = 3200.0  # points² of the largest bubble; less in a crowd
WIDE, HIGH, DPI = 8.0, 5.4, 150
AROUND = (*((1, 0), (0, 1), (-1, 0), (0, -1)), *((x, y) for x in (1, -1, 0.4, -0.4) for y in (1, -1, 0.4, -0.4)))
Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def plot(comparison: Comparison, path: Path) -> Path:
    """Draw to `path`, whole or not at all. Raises CannotWrite, Refusal."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in KINDS:
        raise CannotWrite(f"Cannot draw {path}: its name must end in one of {', '.join(f'.{kind}' for kind in KINDS)}.")
    drawn, left, metric = chosen(comparison.entries)
    out = io.BytesIO()
    _draw(drawn, left, metric, out, kind)
    return write_atomically(path, out.getvalue())


def chosen(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry], str]:
    """Which can be drawn together (one test set), which cannot, and whether by top-1 or, if most lack that, top-5."""
    tests = Counter(entry.test for entry in entries if entry.top1 is not None or entry.top5 is not None)
    if not tests:
        names = ", ".join(entry.name for entry in entries)
        raise Refusal(
            f"Cannot draw accuracy over operations: no accuracy is published for {names}, as they stand.",
            ways="Networks of the zoo have one at their own input: striate models.",
        )
    same = [entry for entry in entries if entry.test == tests.most_common(1)[0][0]]
    metric = "top1" if 2 * sum(entry.top1 is not None for entry in same) >= len(same) else "top5"
    drawn = [entry for entry in same if getattr(entry, metric) is not None]
    return drawn, [entry for entry in entries if entry not in drawn], metric


def _draw(drawn: Sequence[Entry], left: Sequence[Entry], metric: str, out: Any, kind: str) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    xs = [entry.ledger.totals.macs / entry.ledger.batch for entry in drawn]
    ys = [getattr(entry, metric) for entry in drawn]
    weights = [entry.ledger.totals.parameters for entry in drawn]
    colours = _colours(drawn)
    with rc_context({"svg.hashsalt": "striate", "font.size": 10}):
        figure = Figure(figsize=(WIDE, HIGH), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        largest = LARGEST * min(1.0, 10 / len(drawn))
        areas = [largest * n / max(weights) for n in weights]
        order = sorted(range(len(drawn)), key=lambda i: -areas[i])  # small ones in front
        axes.scatter(
            [xs[i] for i in order],
            [ys[i] for i in order],
            [areas[i] for i in order],
            [colours[i] for i in order],
            alpha=0.72,
            edgecolors="black",
            linewidths=0.7,
            zorder=2,
        )
        _axes(axes, xs, ys, metric, drawn[0].test)
        _sizes(axes, max(weights), largest)
        if left:
            names = ", ".join(entry.name for entry in left)
            axes.set_title(f"Not drawn, for want of such an accuracy: {names}", fontsize=8, color="dimgray", loc="left")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        _label(figure, axes, [entry.name for entry in drawn], xs, ys, areas)
        figure.savefig(out, format=kind, metadata={"Date": None} if kind == "svg" else None)


def _colours(drawn: Sequence[Entry]) -> list[str]:
    """A family (a name up to its first digit or underscore) is a colour."""
    families: dict[str, str] = {}
    heads = ["".join(c if c.isalpha() else " " for c in entry.name).split() for entry in drawn]
    return [families.setdefault(head[0] if head else "", COLOURS[len(families) % len(COLOURS)]) for head in heads]


def _axes(axes: Any, xs: Sequence[float], ys: Sequence[float], metric: str, test: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.grid(color="0.88", linewidth=0.7, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if max(xs) > 8 * min(xs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(min(xs) / 1.6, max(xs) * 1.7)
    else:
        room = 0.18 * (max(xs) - min(xs) or max(xs))
        axes.set_xlim(max(0, min(xs) - room), max(xs) + room)
    room = max(1.0, 0.16 * (max(ys) - min(ys)))
    axes.set_ylim(min(ys) - room, min(100, max(ys) + room) if max(ys) < 99 else 100)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round(value)))
    axes.set_xlabel("multiply-adds (MACs) for one image")
    axes.set_ylabel(f"{'top-1' if metric == 'top1' else 'top-5'} accuracy, %  ({test})")


def _sizes(axes: Any, most: int, area: float) -> None:
    """What an area means: bubbles of round numbers of parameters, side by side."""
    largest = next(n for n in (digit * 10**power for power in range(12, -1, -1) for digit in (5, 2, 1)) if n <= most)
    shown = [n for n in (largest // 100, largest // 10, largest) if n]
    handles = [axes.scatter([], [], area * n / most, "0.8", edgecolors="black", linewidths=0.7) for n in shown]
    axes.legend(handles, [_round(n) for n in shown], title="parameters", loc="lower right", ncols=len(shown),
                columnspacing=1.6, handlelength=4.6, handletextpad=0.6, borderpad=1.6, frameon=False)  # fmt: skip


def _round(value: float) -> str:
    """A round number without the noughts behind its point: 1 G."""
    number, _, power = short(round(value)).partition(" ")
    return f"{float(number.replace(',', '')):g} {power}".rstrip()


def _label(
    figure: Any, axes: Any, names: Sequence[str], xs: Sequence[float], ys: Sequence[float], areas: Sequence[float]
) -> None:
    """Each name beside its bubble, on no other name or bubble: the nearest place, a thin line where that is far."""
    renderer = figure.canvas.get_renderer()
    at = [tuple(axes.transData.transform((x, y))) for x, y in zip(xs, ys, strict=True)]
    radii = [(area / 3.1416) ** 0.5 * figure.dpi / 72 for area in areas]
    frame = axes.get_window_extent(renderer)
    taken: list[Box] = [
        (x - r * 0.8, y - r * 0.8, x + r * 0.8, y + r * 0.8) for (x, y), r in zip(at, radii, strict=True)
    ]
    taken += [_box(legend.get_window_extent(renderer)) for legend in [axes.get_legend()] if legend]
    for i in sorted(range(len(names)), key=lambda i: at[i]):
        text = axes.text(0, 0, names[i], fontsize=9, ha="center", va="center", zorder=4)
        size = text.get_window_extent(renderer)
        places = list(_places(at[i], radii[i], size.width, size.height))
        costs = [_cost(box, taken, frame) + 0.12 * (n // len(AROUND)) + 0.002 * n for n, (box, _) in enumerate(places)]
        box, far = places[costs.index(min(costs))]
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        text.set_position(axes.transData.inverted().transform(middle))
        taken += [box] * 4  # a name on a name is worse than a name on a bubble
        if far:
            end = (min(max(at[i][0], box[0]), box[2]), min(max(at[i][1], box[1]), box[3]))
            line = axes.transData.inverted().transform([at[i], end])
            axes.plot(line[:, 0], line[:, 1], color="0.35", linewidth=0.6, zorder=3, scalex=False, scaley=False)


def _places(at: tuple[float, float], radius: float, width: float, height: float) -> Iterator[tuple[Box, bool]]:
    """Where a name might stand, the nearest first: right, left, above, below, the corners; then farther out."""
    for gap in (4, 18, 36, 60, 90):
        for dx, dy in AROUND:
            reach = (radius + gap) / hypot(dx, dy)
            x = at[0] + dx * (reach + width / 2)
            y = at[1] + dy * (reach + height / 2)
            yield (x - width / 2, y - height / 2, x + width / 2, y + height / 2), gap > 4


def _cost(box: Box, taken: Sequence[Box], frame: Any) -> float:
    """How much of the name lies on something or outside, as a share of it."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    inside = _common(box, _box(frame))
    return (sum(_common(box, other) for other in taken) + 2 * (area - inside)) / area


def _common(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _box(extent: Any) -> Box:
    return extent.x0, extent.y0, extent.x1, extent.y1
