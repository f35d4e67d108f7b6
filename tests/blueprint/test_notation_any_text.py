"""Whatever text comes, a Reading or a Refusal, and soon: prose, words of listings, lectures with slips in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.blueprint import Refusal
from striate.blueprint.notation import Reading
from striate.blueprint.notation.listing import check, read_listing


@pytest.fixture(scope="module")
def decks(shared: Path) -> list[str]:
    found = [path.read_text(encoding="utf-8") for path in sorted((shared.parent / "lectures").glob("*.txt"))]
    if not found:
        pytest.skip("needs the lectures in ../shared/lectures")
    return found


SPOKEN = """
[ ] ( ) * x × - => = ≈ , : . ? | CONV1 POOL FC RELU conv3-64 maxpool soft-max INPUT: input [32x32x3] 3x3 filters
stride pad 2 1 64 0 128 24M 150K memory: params: TOTAL Total: 854M ops inception (3a) 28×28×256 layer\tname 50-layer
N M *N each neuron has weights Output volume: Cannot. [1x1 conv, 5x5 999999999999 1e9 $ ** convolution max pool
7×7/2 ConvNet Configuration A B 16 weight layers \\begin{bmatrix} \\end{bmatrix} \\\\ \\times
"""
WORDS = st.sampled_from(["\n", "\t", *SPOKEN.replace("\n", " ").split(" ")])


def survive(text: str) -> None:
    """A Reading or a Refusal, within two seconds."""
    start = time.perf_counter()
    said: Reading | str
    try:
        said = read_listing(text, numbers={"N": 2} if "*N" in text else {})
    except Refusal as refusal:
        said = str(refusal)
    assert said
    assert time.perf_counter() - start < 2


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    survive(text)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=60), st.sampled_from([" ", "", "\n"]))
def test_any_words_of_listings_are_read_or_refused(words: list[str], between: str) -> None:
    survive(between.join(words))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_lectures_are_read_or_refused(decks: list[str], data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(decks)).split("\n")
    start = data.draw(st.integers(0, len(lines) - 1))
    text = "\n".join(lines[start : start + data.draw(st.integers(1, 60))])
    for _ in range(data.draw(st.integers(1, 6))):
        at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.one_of(WORDS, st.text(max_size=5))) + text[at + cut :]
    survive(text)


@pytest.mark.parametrize(
    "piece", ["3x", "(", "1*", "a ", "CONV-", "[", "\\begin{bmatrix}", "1,000", "input ", "\t", "<b", "|"]
)
def test_long_lines_take_no_longer_than_they_are(piece: str) -> None:
    start = time.perf_counter()
    survive(piece * (3_900 // len(piece)))
    check("\n".join([piece * (3_900 // len(piece))] * 20) if piece != "[" else "")
    assert time.perf_counter() - start < 4
