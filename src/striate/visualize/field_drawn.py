"""A receptive field on the image: the frame of all that a unit sees, and of the part that counts."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from torch import Tensor

from striate.data.drawn import BLUE, INK, ORANGE
from striate.visualize.field import TWO_SIGMA, Effective, Ends, Sight
from striate.visualize.figures import HEAT, OVER, WIDE, canvas, image, png, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEYOND = 0.25  # of the image's side: how far beyond its border a field is still drawn
LINE = 74  # characters of a line below the picture


def draw_field(at: Sight, pixels: Tensor, counts: Effective | None = None) -> bytes:
    """A PNG: the field of a unit as a frame over the image (`pixels`, C×H×W, of the input's size), beyond the border
    where it goes on there; with `counts`, beside it what of it counts, and in which part most of that lies.
    """
    figure = canvas(WIDE, 3.6 if counts else 4.6)
    axes = figure.subplots(1, 2 if counts else 1, squeeze=False)[0]
    image(axes[0], pixels, f"{at.unit} sees {at.size[0]}×{at.size[1]}")
    framed(axes[0], at)
    told = at.told()
    if counts:
        rows, columns = pixels.shape[-2:]
        grey = pixels.detach().float().cpu().mean(0).numpy()
        axes[1].imshow(grey, cmap="gray")
        drawn = axes[1].imshow(
            counts.shares.sqrt().numpy(), cmap=HEAT, alpha=OVER, vmin=0, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5)
        )
        axes[1].axis("off")
        axes[1].set_title(
            f"{counts.side[0]}×{counts.side[1]} hold {TWO_SIGMA:.2%} of what counts", color=INK, fontsize=8
        )
        framed(axes[1], at)
        middle = [(first + last) / 2 for first, last in (at.rows, at.columns)]
        held = [_about(c, side) for c, side in zip(middle, counts.side, strict=True)]
        _frame(axes[1], held[0], held[1], ORANGE)
        scale(figure, drawn, axes[1], "root of the share of the gradient")
        told += " " + counts.told()
    figure.supxlabel(fill(told, LINE), color=INK, fontsize=7.5)
    return png(figure)


def _about(centre: float, side: float) -> tuple[float, float]:
    return centre - (side - 1) / 2, centre + (side - 1) / 2


def framed(axes: Axes, at: Sight) -> None:
    """The whole field, and as much of what lies around the image as it takes, up to BEYOND; padding is hatched."""
    from matplotlib.patches import Rectangle

    limits = []
    for (first, last), size in ((at.columns, at.volume.width), (at.rows, at.volume.height)):
        far = BEYOND * size
        limits.append((max(min(first, 0), -far) - 1.5, min(max(last, size - 1), size - 1 + far) + 1.5))
    axes.set(xlim=limits[0], ylim=limits[1][::-1])
    beyond = any(e != i for e, i in zip((at.rows, at.columns), at.inside, strict=True))
    if beyond:
        corner, (width, height) = (limits[0][0], limits[1][0]), (high - low for low, high in limits)
        axes.add_patch(Rectangle(corner, width, height, fc="white", ec="#cfd6dd", hatch="////", lw=0, zorder=0))
        for drawn in axes.images:
            drawn.set_zorder(1)
    _frame(axes, at.rows, at.columns, BLUE)


def _frame(axes: Axes, rows: Ends | tuple[float, float], columns: Ends | tuple[float, float], colour: str) -> None:
    """Around whole cells; two colours, so that it is seen on any image."""
    from matplotlib.patches import Rectangle

    corner = columns[0] - 0.5, rows[0] - 0.5
    size = columns[1] - columns[0] + 1, rows[1] - rows[0] + 1
    for line, width in (("white", 3.2), (colour, 1.8)):
        axes.add_patch(Rectangle(corner, *size, fill=False, ec=line, lw=width, zorder=3))
