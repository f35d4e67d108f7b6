"""What all pictures of this room share: a canvas that a phone can show, text that fits it, images, heat over images.

Colours are read by the colour-blind: one-sided quantities in `HEAT`, signed ones in `SIGNED`, white at 0. Texts have
names in them, so none is read as mathematics, and a letter that the font does not have is a box and no warning.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate.blueprint.said import visible
from striate.data.drawn import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

WIDE, DPI = 5.0, 200  # inches; on a phone a point is then about a pixel
TITLE, HEAD, SMALL = 10.0, 9.0, 8.0  # points; nothing is smaller
LEADING = 1.25  # of a line, times its size
EDGE = 0.08  # inches beside a text that begins at the left
LINES = 3  # of a title
PLAIN = "{x:g}"  # numbers at a colour bar: no power of ten is written somewhere beside it
BOX = 1.15  # of the type's size: what stands for a letter that the font does not have
HEAT, SIGNED = "inferno", "PuOr_r"
COMPRESSED = 4  # of 9: nearly as small as at 6, in half the time
OVER = 0.55  # how much of an image the heat covers


def canvas(width: float, height: float, title: str = "") -> Figure:
    """`height` is without the title, which takes as many lines as it needs, up to LINES."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    said = fitted(visible(title), width - 2 * EDGE, TITLE, bold=True, lines=LINES)
    tall = height + (_tall(said, TITLE) if title else 0)
    figure = Figure(figsize=(width, tall), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(said, x=EDGE / width, ha="left", color=INK, fontweight="bold", size=TITLE, parse_math=False)
    return figure


def headed(part: SubFigure, text: str, lines: int = 1) -> None:
    """What a part of a picture shows."""
    said = fitted(visible(text), WIDE - 2 * EDGE, HEAD, bold=True, lines=lines)
    part.suptitle(said, x=EDGE / WIDE, ha="left", color=INK, fontweight="bold", size=HEAD, parse_math=False)


def below(figure: Figure, text: str) -> None:
    """What is said under a picture, which grows by it."""
    width, height = figure.get_size_inches()
    said = fitted(visible(text, "\n"), width - 2 * EDGE)
    figure.set_size_inches(width, height + _tall(said, SMALL))
    figure.supxlabel(said, x=EDGE / width, ha="left", color=INK, size=SMALL, parse_math=False)


def _tall(text: str, size: float) -> float:
    """Inches of some lines, and of the gap beside them."""
    return (text.count("\n") + 1) * size * LEADING / 72 + 0.06


def fitted(text: str, room: float, size: float = SMALL, bold: bool = False, lines: int = 99) -> str:
    """A text in lines that are no wider than `room` inches, broken between words, and within one that is longer. What
    takes more than so many lines has its middle left out: a name and what is shown of it stand at the ends.
    """
    for kept in range(len(text), 0, -1):
        cut = "" if kept == len(text) else "…"
        short = text[: kept - kept // 2].rstrip() + cut + text[len(text) - kept // 2 :].lstrip() if cut else text
        if wide(short, size, bold) > lines * room:
            continue
        broken = [line for part in short.split("\n") for line in _broken(part, room, size, bold)]
        if len(broken) <= lines:
            return "\n".join(broken)
    return text


def _broken(text: str, room: float, size: float, bold: bool) -> list[str]:
    """One line as several, filled from the left."""
    lines = [""]
    for word in text.split(" "):
        if wide(longer := f"{lines[-1]} {word}".lstrip(), size, bold) <= room:
            lines[-1] = longer
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = lines[-1] or word
        while wide(lines[-1], size, bold) > room and len(lines[-1]) > 1:
            ends = [*accumulate(_advance(letter, bold) for letter in lines[-1])]
            fits = max(1, bisect_right(ends, room * 72 / size))
            lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
    return lines


def wide(text: str, size: float, bold: bool = False) -> float:
    """Inches of a line."""
    return sum(_advance(letter, bold) for letter in text) * size / 72


@lru_cache(4096)
def _advance(letter: str, bold: bool) -> float:
    """Of a letter, as a share of the type's size."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(weight="bold" if bold else "normal")))
    font.set_size(64, 72)
    glyph = font.get_char_index(ord(letter))
    return float(font.load_glyph(glyph).linearHoriAdvance) / 65536 / 64 if glyph else BOX


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
    titled(axes, title)
    return drawn


def titled(axes: Axes, title: str, colour: str = INK, bold: bool = False) -> None:
    """Over one of several axes; whoever writes it sees to it that it fits."""
    axes.set_title(title, color=colour, size=SMALL, fontweight="bold" if bold else "normal", parse_math=False)


def lined(axes: Axes, lines: Sequence[tuple[str, str]], above: bool = False) -> None:
    """Lines of text and their colours, over or under an image or a chart."""
    on, away = (1, 1) if above else (0, -1)
    for place, (text, colour) in enumerate(reversed(lines) if above else lines):
        axes.annotate(
            text, (0.5, on), (0, away * (3 + place * SMALL * LEADING)), xycoords="axes fraction", ha="center",
            textcoords="offset points", va="bottom" if above else "top", size=SMALL, color=colour, parse_math=False,
            annotation_clip=False,
        )  # fmt: skip


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
    titled(axes, title)
    return drawn


def scale(figure: Figure, drawn: Any, axes: Axes | Sequence[Axes], meaning: str, where: str = "right") -> None:
    """A colour bar that says what its colours mean."""
    bar = figure.colorbar(drawn, ax=axes, location=where, shrink=0.8, pad=0.02, format=PLAIN)
    bar.set_label(meaning, color=INK, size=SMALL)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)


def shares(figure: Figure | SubFigure, drawn: Any, axes: Any, words: Sequence[str], where: str = "bottom") -> None:
    """The colour bar of maps that are each scaled by its own largest value: 0 to 1, or with both signs from -1, as
    `words`. As transparent as they are.
    """
    low, high = drawn.get_clim()
    bar = figure.colorbar(drawn, ax=axes, location=where, shrink=0.72, aspect=40, pad=0.01)
    bar.set_ticks([low, 0, high] if low < 0 else [0, high], labels=words)
    bar.ax.tick_params(labelsize=SMALL, colors=INK, length=2)


def tiles(images: Tensor, across: int, gap: int = 1, fill: float = 1.0) -> Tensor:
    """float N×C×H×W side by side in rows, with gaps: C×rows×columns."""
    n, c, h, w = images.shape
    down = -(-n // across)
    sheet = torch.full((c, down * (h + gap) + gap, across * (w + gap) + gap), fill)
    for i, tile in enumerate(images.detach().float().cpu()):
        top, left = gap + i // across * (h + gap), gap + i % across * (w + gap)
        sheet[:, top : top + h, left : left + w] = tile
    return sheet
