"""What all pictures of this room share: a canvas that a phone can show, images, heat over images with its scale.

Colours are read by the colour-blind: one-sided quantities in `HEAT`, signed ones in `SIGNED`, white at 0. Titles have
names in them, so none is read as mathematics, and a letter that the font does not have is a box and no warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate.data.drawn import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, DPI = 5.0, 200  # inches; on a phone a point is then about a pixel
HEAT, SIGNED = "inferno", "PuOr_r"
COMPRESSED = 4  # of 9: nearly as small as at 6, in half the time
OVER = 0.55  # how much of an image the heat covers


def canvas(width: float, height: float, title: str = "") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, color=INK, fontweight="bold", fontsize=10, parse_math=False)
    return figure


def png(figure: Figure) -> bytes:
    """As it is drawn, opaque."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    assert isinstance(figure.canvas, FigureCanvasAgg)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.canvas.draw()
    picture, pixels = BytesIO(), np.asarray(figure.canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).save(picture, "PNG", compress_level=COMPRESSED, dpi=(DPI, DPI))
    return picture.getvalue()


def image(axes: Axes, pixels: Tensor, title: str = "") -> Any:
    """uint8 or float (0..1) C×H×W, grey or red-green-blue."""
    grid = pixels.detach().cpu().movedim(0, -1)
    look = (grid if grid.shape[2] == 3 else grid[..., 0]).numpy()
    drawn = axes.imshow(look, cmap="gray", vmin=0, vmax=_top(grid))
    axes.axis("off")
    if title:
        axes.set_title(title, color=INK, fontsize=8, parse_math=False)
    return drawn


def _top(grid: Tensor) -> float:
    return 1.0 if grid.is_floating_point() else 255.0


def heat(axes: Axes, values: Tensor, over: Tensor | None = None, title: str = "") -> Any:
    """A map H×W, over a greyed image C×H×W of any size where there is one; values of both signs are centred at 0. The
    map's corners lie on the image's. Returns what a colour bar is made of.
    """
    values = values.detach().float().cpu()
    if over is not None:
        grey = over.float().cpu().mean(0)
        axes.imshow(grey.numpy(), cmap="gray", vmin=0, vmax=_top(over), extent=(0, grey.shape[1], grey.shape[0], 0))
    signed = bool((values < 0).any())
    top = float(values.abs().max()) or 1.0
    height, width = (over if over is not None else values).shape[-2:]
    drawn = axes.imshow(
        values.numpy(), cmap=SIGNED if signed else HEAT, vmin=-top if signed else 0, vmax=top,
        alpha=1.0 if over is None else OVER, extent=(0, width, height, 0),
        interpolation="bilinear" if over is not None else "nearest",
    )  # fmt: skip
    axes.axis("off")
    if title:
        axes.set_title(title, color=INK, fontsize=8, parse_math=False)
    return drawn


def scale(figure: Figure, drawn: Any, axes: Axes | Sequence[Axes], meaning: str) -> None:
    """A colour bar that says what its colours mean."""
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(meaning, color=INK, fontsize=8)
    bar.ax.tick_params(labelsize=7, colors=INK)


def tiles(images: Tensor, across: int, gap: int = 1, fill: float = 1.0) -> Tensor:
    """float N×C×H×W side by side in rows, with gaps: C×rows×columns."""
    n, c, h, w = images.shape
    down = -(-n // across)
    sheet = torch.full((c, down * (h + gap) + gap, across * (w + gap) + gap), fill)
    for i, tile in enumerate(images.detach().float().cpu()):
        top, left = gap + i // across * (h + gap), gap + i % across * (w + gap)
        sheet[:, top : top + h, left : left + w] = tile
    return sheet
