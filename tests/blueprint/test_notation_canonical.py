"""The canonical form: every blueprint as text and back, what people type, and the page that tells of it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given, settings

import striate.blueprint as blueprint_room
from specimens import SPECIMENS
from strategies import blueprints
from striate import zoo
from striate.blueprint import (
    ACTIVATIONS,
    LAYERS,
    Activation,
    AvgPool,
    CannotMake,
    CannotRead,
    CannotWrite,
    Concat,
    Conv,
    Dag,
    Depthwise,
    Dropout,
    Foreign,
    Gate,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Placed,
    RadialBasis,
    Relu,
    Residual,
    Select,
    Seq,
    Shared,
    Tap,
    Volume,
    draft,
)
from striate.blueprint.notation import read, write
from striate.blueprint.notation.words import words

PAGE = Path(__file__).parents[2] / "docs" / "notation.md"
NAMES = {name: getattr(blueprint_room, name) for name in blueprint_room.__all__}


# ── there and back ──


@pytest.mark.parametrize("name", SPECIMENS)
def test_every_layer_and_wiring_reads_back(name):
    blueprint, volume, _ = SPECIMENS[name]
    assert read(write(blueprint, volume))[:3] == (blueprint, volume, "canonical")


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_of_the_zoo_reads_back(name):
    network, blueprint = zoo.call(name)
    text = write(blueprint, network.input)
    assert read(text)[:2] == (blueprint, network.input)
    assert len(text.splitlines()) < 1500


@settings(max_examples=300, deadline=None)
@given(blueprints())
@example(Seq(Conv(8, 3)))  # a sequence of one is not that one
@example(Seq())
@example(Residual(Residual(Relu), project=Residual(Relu)))  # whose project is it
@example(Residual(Tap("a", Relu), project=Shared("b", Relu)))
@example(Conv(8, (3, 3), padding=((0, 0), (0, 0))))
@example(Seq(Relu, Relu, **{"7": Relu, "3": Relu, "4": Relu}))
def test_any_blueprint_reads_back(blueprint):
    text = write(blueprint)
    assert read(text).blueprint == blueprint
    assert write(read(text).blueprint) == text
    assert eval(repr(blueprint), dict(NAMES)) == blueprint


def test_equal_neighbours_are_written_once_and_short_blocks_on_one_line():
    blueprint = Seq(stem=Conv(8, 3), body=Seq(*[Seq(Conv(8, (3, 1)), act=Relu)] * 4, Relu), fc=Linear(10))
    assert write(blueprint, Volume(3, 32, 32)) == (
        "input 3x32x32\n\nstem: conv 8 3x3\nbody: {\n    4 * { conv 8 3x1; act: relu }\n    relu\n}\nfc: linear 10\n"
    )


def test_long_networks_stay_short_texts():
    assert len(write(zoo.call("resnet152")[1]).splitlines()) == len(write(zoo.call("resnet50")[1]).splitlines())


def test_long_tuples_are_wrapped_and_read_back():
    blueprint = Seq(RadialBasis(tuple(2**80 + 3 * i for i in range(10))), Select(tuple(range(58))))
    text = write(blueprint)
    assert max(map(len, text.splitlines())) <= 88
    assert "select (0..57)" in text
    assert write(Select((3, 4))) == "select (3, 4)\n"
    assert read(text).blueprint == blueprint


# ── what people type ──


@pytest.mark.parametrize(
    ("text", "blueprint"),
    [
        ("conv 64 3", Conv(64, 3)),
        ("conv 64 3×3", Conv(64, 3)),
        ("Conv 64 3x1 padding 1x0", Conv(64, (3, 1), padding=(1, 0))),
        ("conv 64 3x3 padding ((0, 1), (2, 3))", Conv(64, 3, padding=((0, 1), (2, 3)))),
        ("conv 64 3x3 padding same bias no fit ceil", Conv(64, 3, padding="same", bias=False, fit="ceil")),
        ("conv none 3x3 groups none", Depthwise(3)),
        ("depthwise 3x3", Depthwise(3)),
        ("pool average 2x2", AvgPool(2)),
        ("maxpool 3x3 stride none", MaxPool(3)),
        ("activation relu", Relu),
        ("localresponsenorm alpha 1e-4 k 2", LocalResponseNorm(alpha=1e-4, k=2)),
        ("dropout p .5", Dropout(0.5)),
        ("select (0, 2..4, 9,)", Select((0, 2, 3, 4, 9))),
        ("# a comment\n\n  relu ; tanh # and one behind\r\n", Seq(Relu, Activation("tanh"))),
        ("{ relu }", Seq(Relu)),
        ("2 * relu", Seq(Relu, Relu)),
        ("1 * relu", Seq(Relu)),
        ("{}", Seq()),
        ("3a: relu", Seq(**{"3a": Relu})),
        ('"two words": relu', Seq(**{"two words": Relu})),
        ("relu\nact: relu\nrelu", Seq(Relu, act=Relu, **{"2": Relu})),
        ("concat { conv 8 1x1; five: conv 4 5x5 }", Concat(Conv(8, 1), five=Conv(4, 5))),
        ("residual { conv 8 1x1 } project conv 8 1x1", Residual(Seq(Conv(8, 1)), Conv(8, 1))),
        ("residual (conv 8 1x1) project {\nconv 8 1x1\n}", Residual(Conv(8, 1), Seq(Conv(8, 1)))),
        ("residual residual relu project tanh", Residual(Residual(Relu, Activation("tanh")))),
        ("gate sigmoid", Gate(Activation("sigmoid"))),
        ("tap 5 head linear 10", Tap("5", Linear(10))),
        ("shared tower relu", Shared("tower", Relu)),
        (
            "dag (x, last) {\n  a: x -> relu\n  b: (a, last) -> add\n  c: b -> concat { relu }\n} -> (c)",
            Dag(("x", "last"), (("a", Relu, ("x",)), ("b", "add", ("a", "last")), ("c", Concat(Relu), ("b",))), ("c",)),
        ),
    ],
)
def test_what_people_type_is_understood(text, blueprint):
    reading = read(text)
    assert reading.blueprint == blueprint
    assert reading.volume is None
    assert read(write(reading.blueprint)).blueprint == blueprint


def test_the_input_may_be_said():
    assert read("input 3x224x224; relu")[:2] == (Relu, Volume(3, 224, 224))
    assert read("\n# a vector\ninput 10\nrelu").volume == Volume(10)
    assert read("input: relu")[:2] == (Seq(input=Relu), None)


# ── a layer of one's own ──


@dataclass(frozen=True, repr=False)
class Maxout(Layer):
    """Largest of some channels (Goodfellow et al. 2013)."""

    pieces: int
    mode: str
    scale: float = 1.0
    over: tuple[int, ...] = field(default_factory=tuple)
    _: KW_ONLY
    same: bool = False
    note: str | None = None

    def place(self, volume: Volume) -> Placed:
        return Placed(volume._replace(channels=volume.channels // self.pieces))


@dataclass(frozen=True, repr=False)
class Softmax(Layer):
    """Named like a word that the notation has."""


OURS_AND_YOURS = {**LAYERS, "Maxout": Maxout}


@pytest.mark.parametrize(
    "layer",
    [
        Maxout(2, "max"),
        Maxout(3, "no", scale=-2.5e-7, over=(3,), same=True, note='with "quotes", a\nnewline and 3x3'),
        Maxout(-1, "", scale=7, over=(4, 2), note="none"),
        Maxout(1, "1e5", over=(-3, -2, -1, 0), note="1..3"),
    ],
)
def test_a_layer_of_ones_own_needs_no_code_here(layer):
    blueprint = Seq(Conv(8, 3), layer, out=layer)
    text = write(blueprint)
    assert read(text, layers=OURS_AND_YOURS).blueprint == blueprint
    with pytest.raises(CannotRead, match='no layer is called "maxout"'):
        read(text)


def test_a_layer_of_ones_own_is_checked_by_its_types():
    with pytest.raises(CannotRead, match="line 1, column 20: scale is") as caught:
        read("maxout 2 max scale big", layers=OURS_AND_YOURS)
    assert "wanted is a number" in str(caught.value)


def test_a_layer_named_like_a_word_of_ours_is_refused_both_ways():
    with pytest.raises(CannotMake, match='"softmax" is a word of the notation already'):
        read("relu", layers={**LAYERS, "Softmax": Softmax})
    with pytest.raises(CannotWrite, match='"softmax" is a word of the notation already'):
        write(Softmax())


@pytest.mark.parametrize(
    ("blueprint", "said"),
    [
        (Foreign(dict), "it is code, and a text holds none"),
        (Maxout([1], "a"), "numbers, words and tuples"),
        (Maxout(1, "a", scale=float("inf")), "numbers, words and tuples"),
        (Seq(**{"a" * 81: Relu}), "81 signs; 80 are the most"),
    ],
)
def test_what_a_text_cannot_hold_is_not_written(blueprint, said):
    with pytest.raises(CannotWrite, match=said):
        write(blueprint)


@pytest.mark.parametrize(
    "around",
    [
        Seq,
        Gate,
        lambda part: Residual(Tap("t", part), project=Relu),
        lambda part: Dag(("x",), (("y", part, ("x",)),), "y"),
    ],
    ids=["blocks", "words", "parentheses", "dags"],
)
def test_what_is_too_deep_to_be_read_is_not_written(around):
    blueprint, written = Conv(8, 3, padding=((0, 1), (2, 3))), []
    for _ in range(70):
        with suppress(CannotWrite):
            written.append(write(blueprint))
            assert read(written[-1]).blueprint == blueprint
        blueprint = around(blueprint)
    assert 20 < len(written) < 66
    with pytest.raises(CannotWrite, match="nested deeper than 64"):
        write(blueprint)


# ── the page ──


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)


def test_what_the_page_shows_is_so():
    examples = blocks("striate")
    assert len(examples) > 5
    for text in examples:
        reading = read(text)
        assert read(write(reading.blueprint, reading.volume))[:2] == reading[:2]
        if reading.volume:
            draft(reading.blueprint, reading.volume)


def test_what_the_page_says_is_refused_is_refused_in_those_words():
    for wrong, said in zip(blocks("striate refused"), blocks("text refusal"), strict=True):
        with pytest.raises(CannotRead) as caught:
            read(wrong)
        assert str(caught.value) == said.rstrip("\n")


def test_the_page_lists_every_layer_as_it_is_written():
    written = [word.usage for word in words(LAYERS).values() if word.layer is not Activation]
    assert blocks("text layers") == ["\n".join(written) + "\n"], "the list in docs/notation.md follows the layers"
    assert f"`{'`, `'.join(ACTIVATIONS)}`" in PAGE.read_text(encoding="utf-8").replace("\n", " ")


def test_the_pages_python_does_what_it_says():
    names: dict[str, object] = {}
    for code in blocks("python"):
        exec(code, names)
    assert names


WIRED = """input 3x16x16
stem: conv 4 3x3 padding 1
2 * residual {
  conv 4 3x3 padding 1
  relu
}
down: residual { conv 8 3x3 stride 2 padding 1 } project { conv 8 2x2 stride 2 }
arms: concat {
  left: conv 2 1x1
  right: { relu; conv 2 1x1 }
}
dense {
  conv 2 1x1
}
gate {
  globalpool
  conv 6 1x1
}
tap aux head { globalpool
  linear 3 }
shared twin conv 4 1x1
dag x {
  a: x -> conv 4 1x1
  sum: (a, x) -> add
} -> sum
"""


def test_each_node_of_a_text_has_its_line() -> None:
    reading = read(WIRED)
    lines = WIRED.split("\n")
    words = {"Conv": "conv", "Linear": "linear", "GlobalPool": "globalpool", "Activation": "relu"}
    graph = draft(reading.blueprint, reading.volume or "3x16x16")
    for node in graph.nodes[1:]:
        assert node.name in reading.lines, (node.name, reading.lines)
        stands = lines[reading.lines[node.name] - 1]
        word = words.get(type(node.op).__name__)
        assert word is None or word in stands, (node.name, stands)
    assert reading.lines["1.body.0"] == reading.lines["2.body.0"] == 4
    assert read("conv 4 3x3").lines == {"": 1}
    assert read("\nresidual {\n  conv 4 3x3 padding 1\n}").lines == {"": 2, "body": 2, "body.0": 3}
