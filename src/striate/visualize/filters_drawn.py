"""Filters as a picture: in colour where they read an image, else a grid of filters by channels; below, their norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.data.preprocessing import Preprocessing
from striate.visualize.figures import SIGNED, SMALL, WIDE, canvas, fitted, image, png, scale, tiles, titled
from striate.visualize.filters import DEAD, Filters, in_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERS = 16  # rows, or columns, that have their numbers beside them
MOST, ACROSS = 96, (8, 12)  # filters in colour, and in a row: where they are 64 or fewer, where they are more
GRID, CELLS = 16, 96  # filters, and channels, of a deeper layer that are drawn; where a window is a cell
NORMS = 1.1  # inches


def draw_filters(found: Filters, rule: Preprocessing | None = None) -> bytes:
    """A PNG. Where there are more filters than a picture holds, those of the largest norms, in the layer's order."""
    coloured = found.image and found.weights.shape[1] in (1, 3)
    sheet, told, axis, places = _in_colour(found, rule) if coloured else _by_channel(found)
    height, width = sheet.shape[-2:]
    figure = canvas(
        WIDE, min(1.6 * WIDE, max(1.2, (WIDE - (0.7 if coloured else 1.5)) * height / width)) + NORMS + 0.9, found.layer
    )
    grid = figure.add_gridspec(2, height_ratios=(figure.get_figheight() - NORMS - 0.9, NORMS))
    axes = figure.add_subplot(grid[0])
    if coloured:
        image(axes, sheet)
        axes.axis("on")
    else:
        top = float(sheet.nan_to_num().abs().max()) or 1.0
        drawn = axes.imshow(sheet[0].numpy(), cmap=SIGNED, vmin=-top, vmax=top, interpolation="nearest")
        axes.set_xlabel(axis, color=INK, fontsize=SMALL)
        scale(figure, drawn, axes, "weight")
    titled(axes, fitted(told, WIDE - 1))
    axes.set_ylabel("from filter" if coloured else "filter", color=INK, fontsize=SMALL)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=SMALL, colors=INK, length=0, pad=2)
    for numbers, size, to in ((places[0], height, axes.set_yticks), (places[1], width, axes.set_xticks)):
        apart = max(1, -(-len(numbers) // NUMBERS))
        cell = size / max(1, len(numbers))
        to([(i + 0.5) * cell - 0.5 for i in range(0, len(numbers), apart)], [str(n) for n in numbers[::apart]])
    _norms(figure.add_subplot(grid[1]), found)
    return png(figure)


def _in_colour(found: Filters, rule: Preprocessing | None) -> tuple[Tensor, str, str, tuple[list[int], list[int]]]:
    """The sheet, what it is, what is across, and the numbers of rows and columns; here each row's first filter's."""
    chosen = _largest(found.norms, MOST)
    across = min(len(chosen), ACROSS[len(chosen) > 64])
    told = f"{_some(chosen, found.weights, 0)}, each scaled by itself; grey is 0"
    return tiles(in_colours(found, rule)[chosen], across), told, "", (chosen[::across].tolist(), [])


def _by_channel(found: Filters) -> tuple[Tensor, str, str, tuple[list[int], list[int]]]:
    """Filters downwards, the channels that each reads across; of those the ones with the largest weights."""
    cells = found.weights.shape[2:].numel() == 1
    rows = _largest(found.norms, CELLS if cells else GRID)
    columns = _largest(found.weights[rows].pow(2).sum((0, 2, 3)), CELLS if cells else GRID)
    part = found.weights[rows][:, columns]
    sheet = tiles(part.flatten(0, 1).unsqueeze(1), len(columns), gap=0 if cells else 1, fill=float("nan"))
    axis = f"{_some(columns, found.weights, 1)} that it reads" + (", of its group" if found.groups > 1 else "")
    return sheet, _some(rows, found.weights, 0), axis, (rows.tolist(), columns.tolist())


def _norms(axes: Axes, found: Filters) -> None:
    """In the layer's order, and what is too small to count."""
    limit, top = DEAD * float(found.norms.max()), float(found.norms.max()) or 1.0
    axes.vlines(
        range(len(found.norms)), 0, found.norms.tolist(), color=BLUE, linewidth=min(3.0, 150 / len(found.norms))
    )
    axes.plot([*found.dead], [0.0] * len(found.dead), "x", color=ORANGE, markersize=5, clip_on=False, zorder=3)
    axes.axhline(limit, color=ORANGE, linestyle="--", linewidth=1)
    axes.set(ylim=(0, top * 1.05), xlim=(-0.8, len(found.norms) - 0.2))
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("filter", color=INK, fontsize=SMALL)
    dead = f"{len(found.dead)} dead (×, below {DEAD:.0%} of the largest)"
    titled(axes, f"norms; {dead}; {len(found.alike)} alike (cosine > {found.threshold:g})")
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(FAINT)


def _largest(values: Tensor, most: int) -> Tensor:
    """Which are the largest, in their own order."""
    return values.topk(min(most, len(values))).indices.sort().values


def _some(chosen: Tensor, weights: Tensor, axis: int) -> str:
    count, noun = weights.shape[axis], ("filters", "channels")[axis]
    which = f"{count:,} {noun}" if len(chosen) == count else f"the largest {len(chosen)} of {count:,} {noun}"
    return which + (f", {weights.shape[2]}×{weights.shape[3]}" if axis == 0 else "")
