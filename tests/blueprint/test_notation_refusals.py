"""What the canonical form refuses, in which words, and how soon; and that nothing but a refusal comes of any text."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specimens import SPECIMENS
from striate import zoo
from striate.blueprint import LAYERS, CannotRead, Refusal, Volume, draft
from striate.blueprint.notation import read, write
from striate.blueprint.notation.words import words

REFUSED = {
    "nothing": "# only a comment\n",
    "a word misspelt": "input 3x32x32\n\n    conf 64 3x3\n    relu",
    "a line with tabs": "\tstem:\tconf 64",
    "another library's word": "Conv2d(64, 3)",
    "a layer that needs no saying": "flatten",
    "a field missing": "conv 64\nrelu",
    "a field misspelt": "conv 64 3x3 strid 2",
    "a field without its name": "conv 64 3x3 2",
    "a field without its value": "conv 64 3x3 stride",
    "a field twice": "conv 64 3x3 stride 2 stride 2",
    "a field with a sign": "conv 64 3x3 stride=2",
    "a word for a number": "conv 64 3x3 stride fast",
    "three sizes": "conv 64 (3, 3, 3)",
    "one channel for several": "select 5",
    "a word that is none of those": "conv 64 3x3 fit round",
    "nothing made": "conv 0 3x3",
    "too much made": "stem: conv 1000000000 3x3",
    "a number beyond numbers": "dropout p 1e999",
    "counting down": "select (5..3)",
    "two layers on a line": "relu tanh",
    "a part on a line with a block": "relu {",
    "a block not closed": "stem: {\n    relu\n",
    "a block closed twice": "stem: { relu } }",
    "a text not closed": '"stem: relu',
    "a backslash": '"a\\q": relu',
    "a name with a dot": "layer1.0: relu",
    "a name twice": "a: relu\na: relu",
    "a place twice": "relu\n0: relu",
    "a repeat with a name": "layer1: 3 * { relu }",
    "a repeat of nothing": "0 * relu",
    "too many repeats": "stem: relu\n1000 * { 1000 * { relu } }",
    "a project late": "residual {\n    relu\n}\nproject relu",
    "a tap without a name": "tap",
    "a concat without arms": "concat {}",
    "a concat of one": "concat relu",
    "a step without a wire": "dag x { a: relu } -> a",
    "a step that reads what is not there": "dag x { a: y -> relu } -> a",
    "a join of one": "dag x { a: x -> add } -> a",
    "an input without channels": "input 224x224\nrelu",
    "an input of nothing": "input 0x3x3\nrelu",
    "an input late": "relu\ninput 3x32x32",
    "a long line": "a: " + "residual { " * 20 + "conf 64 3x3 " + "} " * 20,
    "nested too deep": "{" * 100,
    "too long": "#" * (2**20 + 1),
}


def refused(text: str) -> CannotRead:
    with pytest.raises(CannotRead) as caught:
        read(text)
    return caught.value


def test_refusals_read_as_they_are_kept(golden):
    golden("notation.txt", "\n".join(f"# {name}\n{refused(text)}\n" for name, text in REFUSED.items()))


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "too long"])
def test_a_refusal_knows_its_place_and_its_caret_stands_there(name):
    text = REFUSED[name]
    refusal = refused(text)
    lines = text.split("\n")
    assert 1 <= refusal.line <= len(lines)
    assert 1 <= refusal.column <= len(lines[refusal.line - 1]) + 1
    if refusal.why:
        shown, caret = refusal.why.split("\n    ")
        at = lines[refusal.line - 1][refusal.column - 1 :]
        assert at[:5] == shown[caret.index("^") :][:5]
        assert shown[: caret.index("^")].count("\t") == caret.count("\t")


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_a_slip_is_never_taken_for_prose_in_a_listing(name):
    network, blueprint = zoo.call(name)
    for volume in (network.input, None):
        lines = write(blueprint, volume).splitlines()
        layers = [i for i, line in enumerate(lines) if re.search(r"\b(conv|linear|maxpool) \d", line)]
        for i in layers[:: max(1, len(layers) // 4)]:
            wrong = re.sub(r"\b(conv|linear|maxpool)( \d)", r"\1e\2", lines[i], count=1)
            assert refused("\n".join([*lines[:i], wrong, *lines[i + 1 :]])).line == i + 1


@pytest.mark.parametrize(
    "text", ["conf 64 3x3\nrelu", "conf 64 3x3; relu", "relu\nconv 64\nrelu", "conv 64 3x\nlinear 10"]
)
def test_nor_is_one_in_a_short_text(text):
    refused(text)


@pytest.mark.parametrize(
    "text", ["conv3-64\nrelu\nmaxpool\nFC-10\nsoftmax", "input (32 × 32 RGB image)\nconv3-64\nFC-10"]
)
def test_a_listing_is_a_listing(text):
    assert read(text).form != "canonical"


HOSTILE = {
    "braces": "{" * 2**20,
    "closing": "}" * 2**20,
    "brackets": "select " + "(" * 10**6,
    "newlines": "\n" * 2**20,
    "semicolons": ";" * 2**20,
    "spaces": " " * 2**20,
    "one comment": "#" * 2**20,
    "a text without end": '"' + '\\"' * 500_000,
    "a word": "a" * 2**20,
    "a number": "conv " + "9" * 10**6,
    "a size": "conv 64 " + "9" * 10**5 + "x3",
    "an input": "input " + "9" * 10**6,
    "a name": '"' + "a" * 10**6 + '": relu',
    "a repeat": "999999999 * { relu }",
    "an endless repeat": "9" * 10**6 + " * relu",
    "repeats in repeats": "99999 * { " * 60 + "relu" + " }" * 60,
    "a span": "select (0..999999999999)",
    "spans": "select (" + "0..99999, " * 10**5 + "1)",
    "residuals": "residual " * 10**5,
    "gates": "gate (" * 10**5,
    "dags": "dag x { a: x -> " * 10**4,
    "many layers": "relu\n" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_refused_soon(name):
    start = perf_counter()
    refused(HOSTILE[name])
    assert perf_counter() - start < 20  # a second or two; machines may be slow


def understood(text: str) -> None:
    """Text is read and drafted, or refused: nothing else is raised."""
    try:
        reading = read(text)
        draft(reading.blueprint, reading.volume or Volume(3, 32, 32))
    except Refusal as refusal:
        str(refusal)  # the search for what fits is part of it


VOCABULARY = [*words(LAYERS), *'{}(),;:*\n#"=', "->", " ", "\n", "3x3", "64", "0", "-1", "1e9", "none", "yes", "stride"]
VOCABULARY += ["residual", "project", "concat", "dense", "gate", "tap", "head", "shared", "dag", "x", "input", "0..9"]


@settings(max_examples=500, deadline=None)
@given(st.text() | st.lists(st.sampled_from(VOCABULARY)).map(" ".join))
def test_any_text_is_read_or_refused(text):
    understood(text)


TEXTS = [write(specimen.blueprint, specimen.fits) for specimen in SPECIMENS.values()]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(TEXTS), st.data())
def test_a_text_with_a_slip_is_read_or_refused(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 8)))
        text = text[:start] + data.draw(st.sampled_from(["", *VOCABULARY]) | st.text(max_size=3)) + text[end:]
    understood(text)
