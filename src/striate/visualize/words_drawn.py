"""A text as a picture, each word shaded by how much it counted."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from striate.blueprint.said import visible
from striate.data.drawn import INK
from striate.visualize.figures import HEAT, SIGNED, SMALL, WIDE, canvas, fitted, png, wide
from striate.visualize.words import METHODS, Words

SIZE, LEADING = 10.0, 1.75  # points; of a line, times the size
MARGIN, SPACE = 0.12, 0.075  # inches
MOST = 4000  # words that are drawn
DARK = 0.45  # of a colour's brightness: below it, words are white


class _Placed(NamedTuple):
    text: str
    left: float  # inches
    line: int
    wide: float
    which: int  # word


def draw_words(found: Words, title: str = "") -> bytes:
    """A PNG: the text, its words (or sentences) on a ground that is the stronger the more they counted; in two colours
    where a word can speak against the class, too.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter that the font does not have is a box
        return _drawn(found, title)


def _drawn(found: Words, title: str) -> bytes:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    placed = _placed(found)
    leading = SIZE * LEADING / 72
    tall = (placed[-1].line + 1) * leading
    figure = canvas(WIDE, tall + 1.0, title or f"{found.of} ({found.share:.0%})")
    whole = figure.get_figheight()
    figure.set_layout_engine("none")  # every word's place is worked out here
    axes = figure.add_axes((0, 0.75 / whole, 1, tall / whole))
    axes.set(xlim=(0, WIDE), ylim=(tall, 0))
    axes.axis("off")
    top = float(found.scores.abs().max()) or 1.0
    colours: Any = colormaps[SIGNED if found.signed else f"{HEAT}_r"]
    norm = Normalize(-top if found.signed else 0, top)
    for part in placed:
        ground = colours(norm(float(found.scores[part.which])))
        above = part.line * leading
        joined = SPACE / 2
        box = Rectangle((part.left - joined, above), part.wide + 2 * joined, 0.86 * leading, fc=ground, lw=0)
        axes.add_patch(box)
        bright = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
        ink = "white" if bright < DARK else INK
        axes.text(
            part.left, above + 0.43 * leading, part.text, size=SIZE, color=ink, va="center_baseline", parse_math=False
        )
    bar = figure.add_axes((0.1, 0.42 / whole, 0.8, 0.1 / whole))
    drawn = figure.colorbar(ScalarMappable(norm, colours), cax=bar, orientation="horizontal")
    drawn.ax.tick_params(labelsize=SMALL, colors=INK)
    against = "; below 0: against it" if found.signed else ""
    meaning = METHODS[found.method][2]
    drawn.set_label(fitted(f"{meaning}: above 0 for {found.of}{against}", WIDE - 0.2, lines=1) if against else meaning)
    drawn.ax.xaxis.label.set(size=SMALL, color=INK)
    return png(figure)


def _placed(found: Words) -> list[_Placed]:
    """Each word where it stands, lines filled from the left; a word longer than a line is cut into several."""
    room = WIDE - 2 * MARGIN
    placed, left, line = list[_Placed](), MARGIN, 0
    for which, token in enumerate(found.tokens[:MOST]):
        for text in (part for word in visible(token).split() or [""] for part in _cut(word, room)):
            size = wide(text, SIZE)
            if left + size > MARGIN + room and left > MARGIN:
                left, line = MARGIN, line + 1
            placed.append(_Placed(text, left, line, size, which))
            left += size + SPACE
    return placed


def _cut(text: str, room: float) -> list[str]:
    if wide(text, SIZE) <= room:
        return [text]
    half = len(text) // 2
    return _cut(text[:half], room) + _cut(text[half:], room)
