"""A receptive field on the image: the frame of all that a unit sees, and of the part that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from striate.data.drawn import BLUE, ORANGE
from striate.visualize.field import TWO_SIGMA, Effective, Ends, Sight
from striate.visualize.figures import HEAT, OVER, WIDE, below, canvas, fitted, image, png, scale, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEYOND = 0.8  # of the image's side: how far beyond its border a field is still drawn
FRAMES = {False: "It is framed in blue.", True: "It goes on beyond the dashed blue frame."}
ROOM = WIDE / 2 - 0.25  # inches over one of two


def draw_field(at: Sight, pixels: Tensor, counts: Effective | None = None) -> bytes:
    """A PNG: the field of a unit as a frame over the image (`pixels`, C×H×W, of the input's size), beyond the border
    where it goes on there; with `counts`, beside it what of it counts, and in which part most of that lies.
    """
    figure = canvas(WIDE, 3.1 if counts else 4.2)
    axes = figure.subplots(1, 2 if counts else 1, squeeze=False)[0]
    image(axes[0], pixels, fitted(f"{at.unit} sees {at.size[0]}×{at.size[1]}", ROOM, lines=2))
    told = f"{at.told()} {FRAMES[framed(axes[0], at)]}"
    if counts:
        rows, columns = pixels.shape[-2:]
        grey = pixels.detach().float().cpu().mean(0).numpy()
        axes[1].imshow(grey, cmap="gray")
        drawn = axes[1].imshow(
            counts.shares.sqrt().numpy(), cmap=HEAT, alpha=OVER, vmin=0, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5)
        )
        axes[1].axis("off")
        titled(
            axes[1], fitted(f"{counts.side[0]}×{counts.side[1]} hold {TWO_SIGMA:.2%} of the gradient", ROOM, lines=2)
        )
        middle = [(first + last) / 2 for first, last in (at.rows, at.columns)]
        held = [_about(c, side) for c, side in zip(middle, counts.side, strict=True)]
        framed(axes[1], at)
        _frame(axes[1], held[0], held[1], ORANGE)
        scale(figure, drawn, axes[1], "root of the gradient's share", "bottom")
        told += f"\n{counts.told()} That part is framed in orange."
    below(figure, told)
    return png(figure)


def _about(centre: float, side: float) -> tuple[float, float]:
    return centre - (side - 1) / 2, centre + (side - 1) / 2


def framed(axes: Axes, at: Sight) -> bool:
    """The whole field, and as much of what lies around the image as it takes, up to BEYOND; padding is hatched. Where
    the field goes on there, its frame is dashed: whether it is so.
    """
    from matplotlib.patches import Rectangle

    ends, room = [], []
    for (first, last), size in ((at.rows, at.volume.height), (at.columns, at.volume.width)):
        far = round(BEYOND * size)
        ends.append((max(first, -far), min(last, size - 1 + far)))
        room.append((min(ends[-1][0], 0) - 2, max(ends[-1][1], size - 1) + 2))
    axes.set(xlim=room[1], ylim=room[0][::-1])
    if (at.rows, at.columns) != at.inside:
        corner, (height, width) = (room[1][0], room[0][0]), (high - low for low, high in room)
        axes.add_patch(Rectangle(corner, width, height, fc="white", ec="#cfd6dd", hatch="////", lw=0, zorder=0))
        for drawn in axes.images:
            drawn.set_zorder(1)
    cut = ends != [at.rows, at.columns]
    _frame(axes, ends[0], ends[1], BLUE, "--" if cut else "-")
    return cut


def _frame(
    axes: Axes, rows: Ends | tuple[float, float], columns: Ends | tuple[float, float], colour: str, line: str = "-"
) -> None:
    """Around whole cells; two colours, so that it is seen on any image."""
    from matplotlib.patches import Rectangle

    corner = columns[0] - 0.5, rows[0] - 0.5
    size = columns[1] - columns[0] + 1, rows[1] - rows[0] + 1
    for edge, width, style in (("white", 3.2, "-"), (colour, 1.8, line)):
        axes.add_patch(Rectangle(corner, *size, fill=False, ec=edge, lw=width, ls=style, zorder=3))
