"""Texts fit where they stand, whatever somebody calls a network, a layer or a class."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from striate.visualize.figures import EDGE, TITLE, WIDE, below, canvas, fitted, lined, png, scale, wide

MUSHROOM = "hen-of-the-woods, hen of the woods, Polyporus frondosus, Grifola frondosa"
NAMES = [
    "cat",
    f"{MUSHROOM}: how far its maps are to be trusted",
    f"{'a_very_long_name' * 20}: layers compared",
    " ".join(["many words"] * 80),
    "$x_1$ und 日本語, \\u001b[31m and a\nline",
]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("room", [0.4, 1.5, 4.8])
@pytest.mark.parametrize("lines", [1, 2, 99])
def test_a_text_is_no_wider_than_its_room(text: str, room: float, lines: int) -> None:
    found = fitted(text, room, bold=True, lines=lines).split("\n")
    assert len(found) <= lines
    font = FontProperties(size=8, weight="bold")
    assert max(text_to_path.get_text_width_height_descent(line, font, False)[0] for line in found) / 72 < room + 0.03
    if len(found) < lines and "\n" not in text:
        assert "".join("".join(found).split()) == "".join(text.split())  # all of it is there


def test_the_ends_stay_where_the_middle_goes() -> None:
    text = f"{'a_very_long_name' * 20}: layers compared"
    found = fitted(text, WIDE - 2 * EDGE, TITLE, bold=True, lines=2)
    assert found.startswith("a_very_long_name")
    assert found.endswith(": layers compared")
    assert found.count("…") == 1
    assert fitted("stage3.2.sum.body.1.conv", 1.0, lines=1) == "stage3.….1.conv"
    assert wide("ab", 8) == pytest.approx(wide("a", 8) + wide("b", 8))


@pytest.mark.parametrize("text", NAMES)
def test_a_title_and_what_is_below_take_their_own_room(text: str) -> None:
    """The picture grows by them; what is drawn keeps its height."""
    figure = canvas(WIDE, 2, text)
    below(figure, text)
    axes = figure.subplots()
    png(figure)
    plain = canvas(WIDE, 2)
    alone = plain.subplots()
    png(plain)
    height = lambda axes: axes.get_window_extent().height  # noqa: E731
    assert height(axes) == pytest.approx(height(alone), rel=0.15)
    for label in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
        box = label.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height + 1
        assert not label.get_window_extent().overlaps(axes.get_window_extent())


@pytest.mark.parametrize(
    ("text", "size", "fault"), [("x" * 200, 9, "cut off: 'xxx"), ("small", 7, "too small, 7 points")]
)
def test_a_picture_with_texts_that_nobody_can_read_is_not_kept(
    golden_picture: Callable[[str, bytes], None], text: str, size: float, fault: str
) -> None:
    figure = canvas(WIDE, 2)
    figure.text(0.1, 0.5, text, size=size)
    with pytest.raises(AssertionError, match=fault):
        golden_picture("words", png(figure))


def test_lines_stand_in_their_order() -> None:
    figure = canvas(WIDE, 2)
    axes = figure.subplots()
    lined(axes, [("one", "black"), ("two", "black")])
    lined(axes, [("three", "black"), ("four", "black")], above=True)
    png(figure)
    at = {text.get_text(): text.get_window_extent().y0 for text in axes.texts}
    assert at["three"] > at["four"] > at["one"] > at["two"]


def test_small_numbers_stand_at_the_bar_itself() -> None:
    """A power of ten beside it would lie across its words."""
    figure = canvas(3, 3)
    axes = figure.subplots()
    drawn = axes.imshow([[0.0, 1.8e-5]])
    scale(figure, drawn, axes, "root of the gradient's share")
    figure.draw_without_rendering()
    bar = figure.axes[-1]
    assert bar.yaxis.get_offset_text().get_text() == ""
    assert "1e−05" in [label.get_text() for label in bar.get_yticklabels()]
