"""The page as a picture, as wide as a phone and as long as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from striate.blueprint.said import visible
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize.attribution import METHODS
from striate.visualize.field_drawn import framed
from striate.visualize.figures import WIDE, canvas, heat, image, png
from striate.visualize.page import STRONGEST, Page
from striate.visualize.where import HOW, Where

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from torch import Tensor

LONGEST = 26  # characters of a class beside its bar
ACROSS = 2  # maps
LINE, WHOLE = 46, 98  # characters of a line below a map, and across the page
BELOW = 1.1  # inches below a map, for its scale and what is said of it
SPECKS = 0.998  # of a map's cells are not the brightest specks
PART = {"size": 9, "fontweight": "bold", "color": INK, "ha": "left"}


def draw_page(found: Page) -> bytes:
    """A PNG, 1,000 pixels wide: the image and its classes; the maps over it, each with its scale and its test; the
    strongest channels; the field of the most active cell.
    """
    rows = [found.maps[i : i + ACROSS] for i in range(0, len(found.maps), ACROSS)]
    half, fifth = _height(found.pixels), WIDE / STRONGEST
    heights = [max(1.9, half) + 0.45, *[half + BELOW + 0.2 * (row is rows[0]) for row in rows]]
    heights += [0.5] if rows else []
    heights += [0.2 + 0.13 * len(found.left_out)] if found.left_out else []
    heights += [fifth * _tall(found) + 0.6] if found.strongest else []
    heights += [half + 0.35] if found.sight else []
    figure = canvas(WIDE, sum(heights))
    parts = iter(figure.subfigures(len(heights), height_ratios=heights, squeeze=False).flat)
    _classes(next(parts), found)
    for number, row in enumerate(rows):
        part = next(parts)
        if not number:
            _headed(part, "Where it looks")
        _maps(part, row, found.pixels, _asked(found))
    if rows:
        next(parts).text(0.015, 0.5, fill(HOW, WHOLE), size=6.5, color=INK, va="center")
    if found.left_out:
        said = "\n".join(visible(why) for why in found.left_out)
        next(parts).text(0.015, 0.5, f"Left out: {said}", size=7, color=INK, va="center", parse_math=False, wrap=True)
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


def _brief(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _headed(part: SubFigure, text: str) -> None:
    part.suptitle(visible(text), parse_math=False, **PART).set_x(0.015)  # given at once, no room would be kept for it


def _classes(part: SubFigure, found: Page) -> None:
    _headed(part, f"{_brief(Path(found.image).name, 30)}: what {_brief(found.model, 20)} takes it for")
    left, right = part.subplots(1, 2, width_ratios=[1, 1])
    image(left, found.pixels)
    left.set_title(f"as it reads it, {found.volume}", size=7, color=INK)
    places = range(len(found.best))
    right.barh(places, found.shares, color=[_colour(name, _asked(found)) for name in found.best], height=0.42)
    for place, name, share in zip(places, found.best, found.shares, strict=True):
        right.text(0, place - 0.3, _brief(name, LONGEST), size=8, color=INK, va="bottom", parse_math=False)
        inside = share > 0.8
        right.text(
            share - 0.02 if inside else share + 0.02, place, f"{share:.1%}" if share >= 0.0005 else "< 0.1%",
            size=8, color="white" if inside else INK, va="center", ha="right" if inside else "left",
        )  # fmt: skip
    right.set(xlim=(0, 1), ylim=(len(found.best) - 0.4, -0.85), xticks=[0, 0.5, 1], yticks=[])
    right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], size=7, color=INK)
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
            title, colour = _brief(one.title, LONGEST + 4), _colour(one.of, asked)
            axes.set_title(title, size=8.5, color=colour, fontweight="bold", parse_math=False)
            _scaled(part, drawn, axes, one)


def clipped(values: Tensor) -> Tensor:
    """A map H×W without its brightest specks, beside which nothing else would be seen: slopes have such."""
    top = float(values.abs().flatten().kthvalue(max(1, int(SPECKS * values.numel()))).values)
    return values.clamp(-top, top) if top else values


def _scaled(part: SubFigure, drawn: Any, axes: Axes, one: Where) -> None:
    bar = part.colorbar(drawn, ax=axes, location="bottom", shrink=0.92, aspect=34, pad=0.015)
    bar.ax.tick_params(labelsize=6, colors=INK, length=2, pad=1)
    bar.locator = _few()
    bar.update_ticks()
    said = "\n".join(fill(line, LINE) for line in (METHODS[one.heat.method].meaning, *one.lines()))
    bar.set_label(said, color=INK if one.trusted else ORANGE, size=7, labelpad=2)


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _channels(part: SubFigure, found: Page) -> None:
    strongest = found.strongest
    assert strongest is not None
    grid = "×".join(map(str, strongest.values.shape[1:]))
    _headed(part, f"The strongest channels of {strongest.layer}, {grid}")
    for axes, channel in zip(
        part.subplots(1, STRONGEST, squeeze=False)[0], [*found.channels, *[None] * 9], strict=False
    ):
        axes.axis("off")
        if channel is not None:
            value = strongest.values[0, channel]
            heat(axes, value, title=f"{channel}: to {float(value.abs().max()):.3g}")


def _field(part: SubFigure, found: Page) -> None:
    assert found.sight is not None
    _headed(part, "What the most active cell of the strongest sees")
    left, right = part.subplots(1, 2)
    image(left, found.pixels)
    framed(left, found.sight)
    right.axis("off")
    right.text(0, 0.5, fill(found.sight.told(), 40), size=8, color=INK, va="center", parse_math=False)
