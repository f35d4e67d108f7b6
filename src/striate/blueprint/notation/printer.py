"""Writing the canonical form: blocks of up to three short layers on a line, equal unnamed neighbours once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby
from typing import Any

from striate.blueprint.layer import Layer
from striate.blueprint.layers import Foreign
from striate.blueprint.notation.text import DEEPEST
from striate.blueprint.notation.words import (
    BLOCKS,
    OURS,
    SAYING,
    WIDE,
    WIRED,
    default_of,
    hints,
    quoted,
    spelled,
    word_of,
)
from striate.blueprint.refusal import CannotWrite
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Dag, Part, Seq

FEW = 3  # layers of a block on one line


def write_canonical(blueprint: Blueprint, volume: Volume | None) -> str:
    """The text, ending in a newline. Raises CannotWrite."""
    head = f"input {'x'.join(map(str, volume[:1] if volume.is_vector else volume))}\n\n" if volume else ""
    if isinstance(blueprint, Seq) and blueprint.parts and [name for name, _ in blueprint.parts] != ["0"]:
        return head + "\n".join(_items(blueprint.parts, 1)) + "\n"
    return head + _part(blueprint, 0) + "\n"


def _part(part: Any, depth: int) -> str:
    if depth >= DEEPEST:
        raise CannotWrite(f"Cannot write a blueprint nested deeper than {DEEPEST} levels.")
    if isinstance(part, Foreign):
        raise CannotWrite(f"Cannot write {part!r} as text: it is code, and a text holds none.")
    if isinstance(part, Layer):
        return _layer(part)
    if isinstance(part, Seq):
        return _block(part.parts, depth)
    if isinstance(part, Dag):
        return _dag(part, depth)
    word = type(part).__name__.lower()
    if type(part) is BLOCKS.get(word):
        return f"{word} {_block(next(iter(vars(part).values())), depth)}"
    if type(part) is WIRED.get(word):
        return _wired(word, part, depth)
    raise CannotWrite(f"Cannot write {part!r} as text: the notation has no such wiring.")


def _layer(layer: Layer) -> str:
    values = {f.name: getattr(layer, f.name) for f in fields(layer) if f.init}
    name = type(layer).__name__
    saying = (
        (word, said)
        for word, (owner, said) in SAYING.items()
        if owner == name and all(field in values and values[field] == value for field, value in said.items())
    )
    word, said = next(saying, (name.lower(), {}))
    if not said and word in OURS:
        raise CannotWrite(f'Cannot write {layer!r} as text: "{word}" is a word of the notation already.')
    how, types = word_of(type(layer), said, word), hints(type(layer))
    text = [word, *(spelled(values[f.name], f.name, types.get(f.name)) for f in how.bare)]
    for name, field in how.named.items():
        if values[name] != default_of(field):
            text += [name, spelled(values[name], name, types.get(name))]
    return " ".join(text)


def _items(parts: Iterable[Part], depth: int) -> list[str]:
    """One text an item: `name: part`, or `3 * part` for a run of equal parts that are named by their places."""
    placed = [(name if name != str(i) else "", part) for i, (name, part) in enumerate(parts)]
    items = []
    for (name, part), run in groupby(placed):
        text, times = _part(part, depth), sum(1 for _ in run)
        items.append(f"{quoted(name)}: {text}" if name else f"{times} * {text}" if times > 1 else text)
    return items


def _block(parts: tuple[Part, ...], depth: int) -> str:
    items = _items(parts, depth + 1)
    if not items:
        return "{}"
    line = f"{{ {'; '.join(items)} }}"
    flat = (
        all(isinstance(part, Layer) for _, part in parts)
        and len(items) <= FEW
        and len(line) <= WIDE
        and "\n" not in line
    )
    return line if flat else f"{{\n{_indented(items)}\n}}"


def _wired(word: str, wiring: Any, depth: int) -> str:
    """Fields bare; the last one by name where it may be left out and is not."""
    *first, last = ((f, getattr(wiring, f.name)) for f in fields(wiring))
    optional = last[0].default is None
    more = optional and last[1] is not None
    text = [word]
    for field, value in first if optional else [*first, last]:
        if field.name == "name":
            text.append(quoted(value))
        elif more and not isinstance(value, (Seq, *BLOCKS.values())):
            text.append(f"({_part(value, depth + 2)})")  # so that it is seen where it ends
        else:
            text.append(_part(value, depth + 1))
    if more:
        text += [last[0].name, _part(last[1], depth + 1)]
    return " ".join(text)


def _dag(dag: Dag, depth: int) -> str:
    steps = [
        f"{quoted(name)}: {_wires(inputs)} -> {part if isinstance(part, str) else _part(part, depth + 1)}"
        for name, part, inputs in dag.steps
    ]
    gives = quoted(dag.gives) if isinstance(dag.gives, str) else _wires(dag.gives, several=True)
    return f"dag {_wires(dag.takes)} {{\n{_indented(steps)}\n}} -> {gives}"


def _wires(names: tuple[str, ...], several: bool = False) -> str:
    return quoted(names[0]) if len(names) == 1 and not several else f"({', '.join(map(quoted, names))})"


def _indented(items: list[str]) -> str:
    return "\n".join("    " + item.replace("\n", "\n    ") for item in items)
