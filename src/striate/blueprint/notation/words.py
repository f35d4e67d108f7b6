"""The words of the canonical form: a layer is called by its class name in lower case, its fields by theirs.

All of it follows from the dataclass, so that a layer of your own is read and written like ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import lru_cache
from math import isfinite
from textwrap import wrap
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from striate.blueprint.layer import Layer
from striate.blueprint.layers import ACTIVATIONS
from striate.blueprint.notation.text import LONGEST_NAME, short
from striate.blueprint.refusal import CannotMake, CannotWrite
from striate.blueprint.wiring import JOINS, Concat, Dense, Gate, Residual, Shared, Tap, Wiring

# Words that say some of their layer's fields themselves.
SAYING: dict[str, tuple[str, Mapping[str, object]]] = {
    "maxpool": ("Pool", {"kind": "max"}),
    "avgpool": ("Pool", {"kind": "average"}),
    "depthwise": ("Conv", {"out_channels": None, "groups": None}),
    **{kind: ("Activation", {"kind": kind}) for kind in ACTIVATIONS},
}
BLOCKS: dict[str, type[Wiring]] = {"concat": Concat, "dense": Dense}  # and { … } alone is a Seq
WIRED: dict[str, type[Wiring]] = {"residual": Residual, "gate": Gate, "tap": Tap, "shared": Shared}
OURS = {*SAYING, *BLOCKS, *WIRED, *JOINS, "dag", "input"}

WIDE = 80  # columns of a block that stands on one line, and of the numbers in a long tuple
CONSTANTS: dict[str, object] = {"yes": True, "no": False, "none": None}
PLAIN = re.compile(r"[\w-]+")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
PAIR = re.compile(r"([0-9]+)[x×]([0-9]+)")
SPAN = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)")


class Word(NamedTuple):
    """How a layer is written: its word, what the word says, the fields that follow bare, those that may by name."""

    word: str
    layer: type[Layer]
    said: Mapping[str, object]
    bare: tuple[Field[Any], ...]
    named: Mapping[str, Field[Any]]

    @property
    def usage(self) -> str:
        return " ".join([self.word, *(f.name for f in self.bare), *(f"[{name}]" for name in self.named)])


def default_of(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def word_of(layer: type[Layer], said: Mapping[str, object], word: str) -> Word:
    asked = [f for f in fields(layer) if f.init and f.name not in said]
    bare = tuple(f for f in asked if default_of(f) is MISSING)
    return Word(word, layer, said, bare, {f.name: f for f in asked if f not in bare})


def words(layers: Mapping[str, type[Layer]]) -> dict[str, Word]:
    """Every word that begins a layer.

    A layer of yours that is named like another word is refused (CannotMake): its text would not read back.
    """
    found = {word: word_of(layers[name], said, word) for word, (name, said) in SAYING.items() if name in layers}
    for name, layer in layers.items():
        word = name.lower()
        if word in OURS or word in CONSTANTS or word in found:
            raise CannotMake(f'Cannot call a layer {name}: "{word}" is a word of the notation already.')
        found[word] = word_of(layer, {}, word)
    return found


def hints(layer: Any) -> Mapping[str, Any]:
    """The types of a layer's fields; none where they cannot be told."""
    return _hints(layer)


@lru_cache(maxsize=256)
def _hints(layer: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(layer)
    except (NameError, TypeError):
        return {}


def suits(value: object, hint: Any) -> bool:
    """Is a value of the type that a field is declared with? What is not understood suits."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(suits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple and inside[-1:] == (...,):
        return isinstance(value, tuple) and all(suits(v, inside[0]) for v in value)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inside) and all(map(suits, value, inside))
    if hint in (int, float):
        return type(value) is int or (type(value) is float and hint is float)
    return not isinstance(hint, type) or isinstance(value, hint)


def wanted(hint: Any) -> str:
    """The same, as it is asked for: "a whole number, or none"."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return ", or ".join(dict.fromkeys(map(wanted, inside)))
    if origin is Literal:
        return "one of " + ", ".join(map(str, inside))
    if origin is tuple:
        pair = {(int, int): "two as 3x1", (int, ...): "whole numbers as (0, 1, 2)"}
        return pair.get(inside, "((top, bottom), (left, right))" if len(inside) == 2 else "values as (1, 2)")
    known = {int: "a whole number", float: "a number", bool: "yes or no", str: "a word", NoneType: "none"}
    return known.get(hint, "a value")


def value_of(word: str) -> object:
    """What a bare word says: yes, no, none, a number, a size (3x3 is 3 for both axes, 3x1 is two), or itself.

    Raises ValueError for a number that is none: 1e999, or a thousand digits.
    """
    if word in CONSTANTS:
        return CONSTANTS[word]
    if pair := PAIR.fullmatch(word):
        rows, columns = int(pair[1]), int(pair[2])
        return rows if rows == columns else (rows, columns)
    if number := NUMBER.fullmatch(word):
        value = float(word) if number[2] or number[3] or "." in word else int(word)
        if len(word) > 400 or not isfinite(value):
            raise ValueError(word)
        return value
    return word


def quoted(name: str) -> str:
    """A name as it is written: bare where its signs allow. Raises CannotWrite where it is too long to be read."""
    if len(name) > LONGEST_NAME:
        raise CannotWrite(
            f"Cannot write {short(name)} as text: it has {len(name):,} signs; {LONGEST_NAME} are the most."
        )
    return name if PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def spelled(value: Any, field: str = "", hint: Any = None) -> str:
    """A value as `value_of` reads it back."""
    if value is None or isinstance(value, bool):
        return "none" if value is None else ("no", "yes")[value]
    if isinstance(value, int):
        return f"{value}x{value}" if field == "kernel_size" and value >= 0 else str(int(value))
    if isinstance(value, float) and isfinite(value):
        return repr(float(value))
    if isinstance(value, str):
        bare = PLAIN.fullmatch(value) and len(value) <= 400 and value_of(value) == value
        return value if bare else json.dumps(value, ensure_ascii=False)
    if not isinstance(value, tuple):
        raise CannotWrite(f"Cannot write {value!r}: the notation has numbers, words and tuples of them.")
    pair = len(value) == 2 and all(type(v) is int and v >= 0 for v in value) and value[0] != value[1]
    if pair and get_args(hint)[-1:] != (...,):
        return f"{value[0]}x{value[1]}"
    text = ", ".join(_spans(value))
    if len(text) > WIDE and all(type(v) is int for v in value):
        return "(\n    " + "\n    ".join(wrap(text, WIDE)) + "\n)"
    return f"({text})"


def _spans(values: tuple[Any, ...]) -> list[str]:
    """The values of a tuple; three or more whole numbers that count up are said as 0..57."""
    said: list[str] = []
    i = 0
    while i < len(values):
        j = i + 1
        while j < len(values) and type(values[j]) is type(values[i]) is int and values[j] == values[i] + j - i:
            j += 1
        if j - i > 2:
            said.append(f"{values[i]}..{values[j - 1]}")
            i = j
        else:
            said.append(spelled(values[i]))
            i += 1
    return said
