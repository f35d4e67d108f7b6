"""Surfaces as pictures: contours with a training's way over them, a relief, two beside each other, lines.

Colours and levels follow the loss's logarithm where it goes over a wide range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.blueprint.said import visible
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize import figures
from striate.visualize.figures import SMALL
from striate.visualize.surface.grid import Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDELY = 4.0  # times the lowest loss: from then on its logarithm is drawn
LEVELS = 24
ALONG = ("first direction", "second direction")
BLANK = "#e4e7eb"
ALONGSIDE = 3.2  # inches of what an axis is
LINES = ((BLUE, "-"), (ORANGE, "--"), (INK, ":"), (FAINT, "-."))


class _Scale(NamedTuple):
    """What several surfaces share: levels float R, and whether they are of logarithms."""

    levels: Any
    logarithmic: bool

    def of(self, losses: Any) -> Any:
        """Heights: the loss or its logarithm, cut at the ends of the scale."""
        cut = np.clip(losses, self.levels[0], self.levels[-1])
        return np.log10(cut) if self.logarithmic else cut

    def ticks(self) -> tuple[list[float], list[str]]:
        """Heights to be named, and their losses."""
        if not self.logarithmic:
            ticks = np.linspace(self.levels[0], self.levels[-1], 5).tolist()
            return ticks, [f"{tick:.3g}" for tick in ticks]
        losses = _rounds(self.levels[0], self.levels[-1])
        return np.log10(losses).tolist(), [f"{loss:g}" for loss in losses]


def _rounds(low: float, high: float) -> list[float]:
    """1, 3, 10, … within a range; of a wide one the powers of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    digits = (1, 3) if high < 300 * low else (1,)
    found = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
    return found or [low, high]


def _scale(found: Sequence[Surface], most: float) -> _Scale:
    losses = torch.cat([one.losses.flatten() for one in found])
    losses = losses[losses.isfinite()]
    if not len(losses):
        raise Refusal("Cannot draw a surface of which no point is a number.")
    low, high = float(losses.min()), min(most, float(losses.max()))
    high = high if high > low else low + (abs(low) or 1.0) * 1e-6
    if low > 0 and high > WIDELY * low:
        return _Scale(np.geomspace(low, high, LEVELS), True)
    return _Scale(np.linspace(low, high, LEVELS), False)


def lowest(found: Surface) -> tuple[float, float, float]:
    """(x, y, loss) of the lowest point of the grid."""
    losses = found.losses.nan_to_num(nan=torch.inf)
    row, column = divmod(int(losses.argmin()), losses.shape[1])
    return float(found.x[row]), float(found.y[column]), float(losses[row, column])


def contour_picture(
    found: Surface, title: str, way: Tensor | None = None, along: tuple[str, str] = ALONG, most: float = torch.inf
) -> bytes:
    """A PNG of a plane's loss: colours, lines of equal loss, the weights (+), the lowest point (star), and a training's
    `way`, T×2, from its first point (a ring). Losses above `most` look like `most`; grey is what is no number or not
    done.
    """
    _plane(found)
    figure = figures.canvas(figures.WIDE, 4.2, title)
    axes = figure.subplots()
    scale = _scale([found], most)
    drawn = _contours(axes, found, scale, way)
    axes.set_xlabel(figures.fitted(visible(along[0]), ALONGSIDE, lines=2), color=INK, fontsize=SMALL, parse_math=False)
    axes.set_ylabel(figures.fitted(visible(along[1]), ALONGSIDE, lines=2), color=INK, fontsize=SMALL, parse_math=False)
    _bar(figure, drawn, axes, scale)
    marks = [f"+ the weights: {found.here:.3g}", *([] if way is None else ["○ where the training began"])]
    figures.below(figure, _legend(found, *marks, *_cut(found, most)))
    return figures.png(figure)


def _plane(found: Surface) -> None:
    if min(found.losses.shape) < 2:
        raise Refusal("Cannot draw a line as a surface.", ways="line_picture draws it.")


def _legend(found: Surface, *more: str) -> str:
    """What the marks are: the star, and more. (A zero has no sign.)"""
    x, y, loss = lowest(found)
    parts = [f"★ lowest of the grid: {loss:.3g} at ({x + 0.0:.3g}, {y + 0.0:.3g})", *more]
    missing = int((~found.done).sum())
    return " · ".join(parts) + (f"\n{missing} of {len(found.done)} rows are not done" if missing else "")


def _cut(found: Surface, most: float) -> list[str]:
    """That the picture ends where losses go on."""
    return [f"losses above {most:g} are drawn as {most:g}"] if bool((found.losses > most).any()) else []


def _contours(axes: Axes, found: Surface, scale: _Scale, way: Tensor | None = None) -> Any:
    height = scale.of(np.ma.masked_invalid(found.losses.T.numpy()))
    x, y = found.x.numpy(), found.y.numpy()
    axes.set_facecolor(BLANK)
    levels = scale.of(scale.levels)
    drawn = axes.contourf(x, y, height, levels=levels, cmap=figures.HEAT)
    axes.contour(x, y, height, levels=levels[2:-1:2], colors="white", linewidths=0.4, linestyles="solid")
    if way is not None:
        axes.plot(way[:, 0], way[:, 1], "-", color="white", linewidth=2.4)
        axes.plot(way[:, 0], way[:, 1], ".-", color=BLUE, linewidth=1.2, markersize=5)
        axes.plot(way[:1, 0], way[:1, 1], "o", markersize=7, markerfacecolor="none", markeredgecolor="white")
    low_x, low_y, _ = lowest(found)
    axes.plot([0], [0], "+", markersize=16, color="#56b4e9", markeredgewidth=1.6)
    axes.plot([low_x], [low_y], "*", markersize=9, color="white", markeredgecolor=INK, clip_on=False, zorder=5)
    axes.tick_params(labelsize=SMALL, colors=INK)
    return drawn


def _bar(figure: Figure, drawn: Any, axes: Axes | Sequence[Axes], scale: _Scale) -> None:
    figures.scale(figure, drawn, axes, "loss")
    figure.axes[-1].set_yticks(*scale.ticks())


def relief_picture(found: Surface, title: str, along: tuple[str, str] = ALONG, most: float = torch.inf) -> bytes:
    """A PNG of a plane's loss as a landscape; its lowest point is marked."""
    _plane(found)
    figure = figures.canvas(figures.WIDE, 4.2, title)
    axes = figure.add_subplot(projection="3d")
    _relief(axes, found, _scale([found], most))
    axes.set_xlabel(
        figures.fitted(visible(along[0]), ALONGSIDE, lines=2), color=INK, fontsize=SMALL, labelpad=-4, parse_math=False
    )
    axes.set_ylabel(
        figures.fitted(visible(along[1]), ALONGSIDE, lines=2), color=INK, fontsize=SMALL, labelpad=-4, parse_math=False
    )
    figures.below(figure, _legend(found, *_cut(found, most)))
    return figures.png(figure)


def _relief(axes: Any, found: Surface, scale: _Scale, zoom: float = 1.05) -> None:
    height = scale.of(found.losses.T.numpy())
    x, y = np.meshgrid(found.x.numpy(), found.y.numpy())
    low, high = scale.of(scale.levels[[0, -1]])
    axes.plot_surface(
        x, y, height, cmap=figures.HEAT, vmin=low, vmax=high, rcount=201, ccount=201, linewidth=0.15, edgecolor=INK
    )
    low_x, low_y, loss = lowest(found)
    at = float(scale.of(np.array(loss)))
    axes.plot([low_x], [low_y], [at], "*", markersize=11, color="white", markeredgecolor=INK, zorder=10)
    axes.set_zlim(low, high)
    axes.set_zticks(*scale.ticks())
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=4)
    axes.tick_params(labelsize=SMALL, colors=INK, pad=-2)
    axes.set_zlabel("loss", color=INK, fontsize=SMALL, labelpad=-6)
    axes.view_init(elev=32, azim=-60)
    axes.set_box_aspect((1, 1, 0.75), zoom=zoom)


def compared_picture(found: Mapping[str, Surface], title: str, most: float = torch.inf) -> bytes:
    """A PNG of surfaces beside each other by name, as reliefs and as contours, all on one scale (Li et al. 2018, figure
    1).
    """
    scale, n = _scale([*found.values()], most), len(found)
    figure = figures.canvas(max(figures.WIDE, 2.4 * n), 4.4, title)
    grid = figure.add_gridspec(2, n, height_ratios=[1.15, 1])
    below = []
    for place, (name, one) in enumerate(found.items()):
        _plane(one)
        relief = figure.add_subplot(grid[0, place], projection="3d")
        _relief(relief, one, scale, zoom=0.85)
        figures.titled(relief, figures.fitted(visible(name), 2.0, lines=2), bold=True)
        below.append(figure.add_subplot(grid[1, place]))
        drawn = _contours(below[-1], one, scale)
        below[-1].set_xlabel(f"+ {one.here:.3g}   ★ {lowest(one)[2]:.3g}", color=INK, fontsize=SMALL, parse_math=False)
    _bar(figure, drawn, below, scale)
    return figures.png(figure)


def line_picture(found: Mapping[str, Surface], title: str, along: str = ALONG[0]) -> bytes:
    """A PNG of the loss along lines, by name, at most four; the weights themselves are at 0."""
    if len(found) > len(LINES) or any(one.losses.shape[1] != 1 for one in found.values()):
        raise Refusal(f"Cannot draw {len(found)} surfaces as lines: one to {len(LINES)} lines are wanted.")
    figure = figures.canvas(figures.WIDE, 3.0, title)
    axes = figure.subplots()
    for (name, one), (colour, style) in zip(found.items(), LINES, strict=False):
        x, y = one.x.numpy(), np.ma.masked_invalid(one.losses[:, 0].numpy())
        axes.plot(x, y, style, color=colour, linewidth=1.8, label=figures.fitted(visible(name), 2.0, lines=2))
        low_x, _, low = lowest(one)
        axes.plot([low_x], [low], "*", color=colour, markersize=11, markeredgecolor="white")
    if _scale([*found.values()], torch.inf).logarithmic:
        axes.set_yscale("log")
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel(figures.fitted(visible(along), ALONGSIDE, lines=2), color=INK, fontsize=SMALL, parse_math=False)
    axes.set_ylabel("loss", color=INK, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL, colors=INK, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    for text in axes.legend(fontsize=SMALL, frameon=False, title="★ lowest", title_fontsize=SMALL).get_texts():
        text.set_parse_math(False)
    return figures.png(figure)
