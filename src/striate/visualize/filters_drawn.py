"""Filters as a picture: in colour where they read an image, else a grid of filters by channels; below, their norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.data.preprocessing import Preprocessing
from striate.visualize.figures import SIGNED, WIDE, canvas, image, png, scale, tiles
from striate.visualize.filters import DEAD, Filters, in_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST, ACROSS = 96, (8, 12)  # filters in colour, and in a row: where they are 64 or fewer, where they are more
GRID, CELLS = 16, 96  # filters, and channels, of a deeper layer that are drawn; where a window is a cell
NORMS = 1.1  # inches


def draw_filters(found: Filters, rule: Preprocessing | None = None) -> bytes:
    """A PNG. Where there are more filters than a picture holds, those of the largest norms, in the layer's order."""
    coloured = found.image and found.weights.shape[1] in (1, 3)
    sheet, told, axis = _in_colour(found, rule) if coloured else _by_channel(found)
    height, width = sheet.shape[-2:]
    figure = canvas(WIDE, min(1.6 * WIDE, max(1.2, (WIDE - 0.7) * height / width)) + NORMS + 0.7, found.layer)
    grid = figure.add_gridspec(2, height_ratios=(figure.get_figheight() - NORMS - 0.7, NORMS))
    axes = figure.add_subplot(grid[0])
    if coloured:
        image(axes, sheet, told)
    else:
        top = float(sheet.nan_to_num().abs().max()) or 1.0
        drawn = axes.imshow(sheet[0].numpy(), cmap=SIGNED, vmin=-top, vmax=top, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(told, color=INK, fontsize=8)
        axes.set_ylabel("filter", color=INK, fontsize=8)
        axes.set_xlabel(axis, color=INK, fontsize=8)
        scale(figure, drawn, axes, "weight")
    _norms(figure.add_subplot(grid[1]), found)
    return png(figure)


def _in_colour(found: Filters, rule: Preprocessing | None) -> tuple[Tensor, str, str]:
    chosen = _largest(found.norms, MOST)
    sheet = tiles(in_colours(found, rule)[chosen], min(len(chosen), ACROSS[len(chosen) > 64]))
    return sheet, f"{_some(chosen, found.weights, 0)}, each scaled by itself; grey is 0", ""


def _by_channel(found: Filters) -> tuple[Tensor, str, str]:
    """Filters downwards, the channels that each reads across; of those the ones with the largest weights."""
    cells = found.weights.shape[2:].numel() == 1
    rows = _largest(found.norms, CELLS if cells else GRID)
    columns = _largest(found.weights[rows].pow(2).sum((0, 2, 3)), CELLS if cells else GRID)
    part = found.weights[rows][:, columns]
    sheet = tiles(part.flatten(0, 1).unsqueeze(1), len(columns), gap=0 if cells else 1, fill=float("nan"))
    axis = f"{_some(columns, found.weights, 1)} that it reads" + (", of its group" if found.groups > 1 else "")
    return sheet, _some(rows, found.weights, 0), axis


def _norms(axes: Axes, found: Filters) -> None:
    """From the largest down, and what is too small to count."""
    falling, limit = found.norms.sort(descending=True).values, DEAD * float(found.norms.max())
    axes.plot(range(len(falling)), falling.tolist(), color=BLUE, linewidth=1.4, marker=".", markersize=3)
    axes.axhline(limit, color=ORANGE, linestyle="--", linewidth=1)
    axes.set_ylim(0, (float(falling[0]) or 1.0) * 1.05)
    said = f"norms, falling; below {DEAD:.0%} of the largest: {len(found.dead)} dead"
    axes.set_title(f"{said}; alike (cosine > {found.threshold:g}): {len(found.alike)}", color=INK, fontsize=8)
    axes.tick_params(labelsize=7, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(FAINT)


def _largest(values: Tensor, most: int) -> Tensor:
    """Which are the largest, in their own order."""
    return values.topk(min(most, len(values))).indices.sort().values


def _some(chosen: Tensor, weights: Tensor, axis: int) -> str:
    count, noun = weights.shape[axis], ("filters", "channels")[axis]
    which = f"{count:,} {noun}" if len(chosen) == count else f"the largest {len(chosen)} of {count:,} {noun}"
    return which + (f", {weights.shape[2]}×{weights.shape[3]}" if axis == 0 else "")
