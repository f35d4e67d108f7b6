"""The page as a picture, as wide as a phone and as long as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.blueprint.said import visible
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize import figures
from striate.visualize.attribution import METHODS
from striate.visualize.field_drawn import FRAMES, framed
from striate.visualize.figures import EDGE, LEADING, PLAIN, SMALL, WIDE, canvas, fitted, headed, heat, image, png
from striate.visualize.page import STRONGEST, Page
from striate.visualize.where import HOW, Where

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from torch import Tensor

ACROSS = 2  # maps
LINE = SMALL * LEADING / 72  # inches
ROOM = WIDE / ACROSS - 3 * EDGE  # inches of what is said of a map
SPECKS = 0.998  # of a map's cells are not the brightest specks
CHANNELS = {False: ("0", "its most"), True: ("− its most", "0", "its most")}


def draw_page(found: Page) -> bytes:
    """A PNG, 1,000 pixels wide: the image and its classes; the maps over it, each with its scale and its test; the
    strongest channels; the field of the most active cell.
    """
    rows = [found.maps[i : i + ACROSS] for i in range(0, len(found.maps), ACROSS)]
    half, fifth = _height(found.pixels), WIDE / STRONGEST
    said = [fitted(HOW, WIDE - 2 * EDGE)] if rows else []
    said += ["\n".join(fitted(f"Left out: {visible(why)}", WIDE - 2 * EDGE) for why in found.left_out)]
    said = [text for text in said if text]
    heights = [max(1.9, half) + 0.6]
    heights += [half + 0.55 + 0.2 * (row is rows[0]) + LINE * max(map(_lines, row)) for row in rows]
    heights += [0.16 + LINE * (text.count("\n") + 1) for text in said]
    heights += [fifth * _tall(found) + 0.8] if found.strongest else []
    heights += [half + 0.4] if found.sight else []
    figure = canvas(WIDE, sum(heights))
    parts = iter(figure.subfigures(len(heights), height_ratios=heights, squeeze=False).flat)
    _classes(next(parts), found)
    for number, row in enumerate(rows):
        part = next(parts)
        if not number:
            headed(part, "Where it looks")
        _maps(part, row, found.pixels, _asked(found))
    for text in said:
        next(parts).text(EDGE / WIDE, 0.5, text, size=SMALL, color=INK, va="center", parse_math=False)
    if found.strongest:
        _channels(next(parts), found)
    if found.sight:
        _field(next(parts), found)
    return png(figure)


def _height(pixels: Tensor, across: int = ACROSS) -> float:
    """Of an image, so many of which fill a row; in inches."""
    return (WIDE / across - 0.15) * min(1.6, max(0.4, pixels.shape[1] / pixels.shape[2]))


def _tall(found: Page) -> float:
    assert found.strongest is not None
    rows, columns = found.strongest.values.shape[2:]
    return min(2.0, rows / columns)


def _said(one: Where) -> str:
    return "\n".join(fitted(line, ROOM) for line in (METHODS[one.heat.method].meaning, *one.lines()))


def _lines(one: Where) -> int:
    return _said(one).count("\n") + 1


def _classes(part: SubFigure, found: Page) -> None:
    headed(part, f"{Path(found.image).name}: what {found.model} takes it for", lines=2)
    left, right = part.subplots(1, 2, width_ratios=[1, 1])
    image(left, found.pixels, f"as it reads it, {found.volume}")
    places = range(len(found.best))
    right.barh(places, found.shares, color=[_colour(name, _asked(found)) for name in found.best], height=0.42)
    for place, name, share in zip(places, found.best, found.shares, strict=True):
        right.text(0, place - 0.3, fitted(name, ROOM, lines=1), size=SMALL, color=INK, va="bottom", parse_math=False)
        inside = share > 0.8
        right.text(
            share - 0.02 if inside else share + 0.02, place, f"{share:.1%}" if share >= 0.0005 else "< 0.1%",
            size=SMALL, color="white" if inside else INK, va="center", ha="right" if inside else "left",
        )  # fmt: skip
    right.set(xlim=(0, 1), ylim=(len(found.best) - 0.4, -0.85), xticks=[0, 0.5, 1], yticks=[])
    right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], size=SMALL, color=INK)
    right.spines[["top", "right", "left"]].set_visible(False)
    right.spines["bottom"].set_color(FAINT)


def _asked(found: Page) -> list[str]:
    """The classes that there are maps of, in the order of their colours."""
    return [*dict.fromkeys(one.of for one in found.maps)] or [*found.best[:1]]


def _colour(name: str, asked: Sequence[str]) -> str:
    return (BLUE, ORANGE)[asked.index(name)] if name in asked[:2] else FAINT


def _maps(part: SubFigure, row: Sequence[Where], pixels: Tensor, asked: Sequence[str], across: int = ACROSS) -> None:
    for axes, one in zip(part.subplots(1, across, squeeze=False)[0], [*row, *[None] * across][:across], strict=True):
        axes.axis("off")
        if one is not None:
            drawn = heat(axes, clipped(one.heat.values[0]), pixels)
            figures.titled(axes, fitted(one.title, ROOM, bold=True, lines=1), _colour(one.of, asked), bold=True)
            _scaled(part, drawn, axes, one)


def clipped(values: Tensor) -> Tensor:
    """A map H×W without its brightest specks, beside which nothing else would be seen: slopes have such."""
    top = float(values.abs().flatten().kthvalue(max(1, int(SPECKS * values.numel()))).values)
    return values.clamp(-top, top) if top else values


def _scaled(part: SubFigure, drawn: Any, axes: Axes, one: Where) -> None:
    bar = part.colorbar(drawn, ax=axes, location="bottom", shrink=0.92, aspect=34, pad=0.015, format=PLAIN)
    bar.ax.tick_params(labelsize=SMALL, colors=INK, length=2, pad=1)
    bar.locator = _few()
    bar.update_ticks()
    bar.set_label(_said(one), color=INK if one.trusted else ORANGE, size=SMALL, labelpad=2)


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _channels(part: SubFigure, found: Page) -> None:
    strongest = found.strongest
    assert strongest is not None
    grid = "×".join(map(str, strongest.values.shape[1:]))
    headed(part, f"The strongest channels of {strongest.layer}, {grid}")
    row, scales = part.subplots(1, STRONGEST, squeeze=False)[0], {}
    for axes in row:
        axes.axis("off")
    for axes, channel in zip(row, found.channels, strict=False):
        value = strongest.values[0, channel]
        scales[bool((value < 0).any())] = heat(axes, value, title=f"{channel}: to {float(value.abs().max()):.3g}")
    for signed, drawn in sorted(scales.items())[-1:]:  # one says it for both
        figures.shares(part, drawn, row, CHANNELS[signed])


def _field(part: SubFigure, found: Page) -> None:
    assert found.sight is not None
    headed(part, "What the most active cell of the strongest sees")
    left, right = part.subplots(1, 2)
    image(left, found.pixels)
    told = f"{found.sight.told()} {FRAMES[framed(left, found.sight)]}"
    right.axis("off")
    right.text(0, 0.5, fitted(told, ROOM - 0.1), size=SMALL, color=INK, va="center", parse_math=False)
