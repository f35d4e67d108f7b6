"""Reading the canonical form: a small recursive descent, so that every refusal knows what was wanted and where.

text   = [input 3x224x224] items            one unnamed part alone is that part; anything else is the Seq of its items
items  = item (newline or ;) item …
item   = [name:] part  |  3 * part          a part without a name is named by its place, from 0
part   = { items }  |  concat { items }  |  dense { items }
       | residual part [project part]  |  gate part  |  tap name [head part]  |  shared name part
       | dag names { name: names -> part … } -> names
       | (part)  |  layer
layer  = word, what it must have, then fields by name: conv 64 7x7 stride 2 padding 3 bias no
value  = 3 | 3x1 | 0.5 | yes | no | none | word | "any text" | (value, …), where 0..57 counts
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

from striate.blueprint.graph import MOST_NODES
from striate.blueprint.layer import Layer
from striate.blueprint.notation.text import DEEPEST, LONGEST_NAME, Reading, near, short
from striate.blueprint.notation.tokens import Token, Tokens
from striate.blueprint.notation.words import BLOCKS, SPAN, WIRED, Word, hints, suits, value_of, wanted, words
from striate.blueprint.refusal import CannotRead, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import JOINS, Blueprint, Dag, Seq

MOST_LINES = 1000  # looked at to tell what a text was meant to be
EXAMPLE = "For instance: input 1x32x32; conv 6 5x5; relu; maxpool 2x2; linear 10"
ELSEWHERE = {  # what people write who come from elsewhere, or a line too late
    "input": "The input's size stands before the first part.",
    "project": "It stands where the body of its residual ends, on the same line: } project { … }",
    "head": "It stands behind the name of its tap, on the same line: tap aux head { … }",
    "flatten": "linear flattens what it reads.",
    "fc": "A fully connected layer is linear: linear 10",
    "pool": "There are maxpool, avgpool and globalpool.",
    "lrn": "Its whole name: localresponsenorm",
    "seq": "A sequence is { … }.",
    "sequential": "A sequence is { … }.",
}
ROOMS = {"dense": ("block",), "body": ("body",), "project": ("project",), "gate": ("gate",)}  # as wirings draw them
Made = TypeVar("Made")


def read_canonical(text: str, layers: Mapping[str, type[Layer]]) -> Reading:
    """The canonical form. Raises CannotRead."""
    return _Reader(text, words(layers)).whole()


def lines_understood(text: str, layers: Mapping[str, type[Layer]]) -> tuple[int, int]:
    """How many of a text's first lines read by themselves, braces aside, and of how many: whether ours was meant."""
    known, count = words(layers), 0
    lines = [line for line in re.split(r"[;\n]", text, maxsplit=MOST_LINES)[:MOST_LINES] if line.strip()]
    for line in lines:
        with suppress(CannotRead):
            _Reader(re.sub(r"\{\s*$", "{}", line.strip(" \t\r}")), known).whole()
            count += 1
    return count, len(lines)


class _Reader(Tokens):
    def __init__(self, text: str, known: Mapping[str, Word]) -> None:
        super().__init__(text)
        self.words = known
        self.drawn = self.here = 0
        self.path: tuple[str, ...] = ()  # the names of all that is open
        self.spots: list[tuple[str, int]] = []  # each part's path, and the character at which it begins

    # ── the whole, and sequences ──

    def whole(self) -> Reading:
        self.lines()
        volume = None
        if self.token.said == "input" and self.after(self.token.end).kind != ":":
            self.next()
            volume = self.volume()
        parts = self.items(None)
        if not parts:
            self.stop("there is no layer in this text.", EXAMPLE)
        alone = len(parts) == 1 and parts[0].name is None and not parts[0].repeated
        return Reading(parts[0].part if alone else Seq(**_named(parts)), volume, lines=self.places(alone))

    def places(self, alone: bool) -> dict[str, int]:
        """The line of each part by its path, as the graph's nodes are named; a part alone has no name."""
        breaks = [found.start() for found in re.finditer("\n", self.text)]
        return {path.partition(".")[2] if alone else path: bisect(breaks, at) + 1 for path, at in self.spots}

    @contextmanager
    def inside(self, *names: str) -> Iterator[None]:
        before, self.path = self.path, (*self.path, *names)
        yield
        self.path = before

    def volume(self) -> Volume:
        token = self.token
        if token.kind != "word" or len(token.said) > 40:
            self.stop(f"the input's size is wanted, not {token}.", "As channels x height x width: input 3x224x224")
        try:
            volume = Volume.parse(self.next().said)
        except Refusal as refusal:
            self.stop(_said(refusal), at=token)
        self.line_ends("the input's size")
        return volume

    def items(self, opening: Token | None, *within: str) -> list[_Item]:
        """Parts, each `within` a room of its own, until the } that answers `opening`, or the end of the text."""
        parts: list[_Item] = []
        seen: set[str] = set()
        while True:
            self.lines()
            if self.token.kind == "end":
                if opening:
                    self.stop("this { is not closed.", at=opening)
                return parts
            if self.token.kind == "}":
                if not opening:
                    self.stop("this } closes nothing.")
                self.next()
                return parts
            start, before = self.token, self.drawn
            name = self.name() if self.after(start.end).kind == ":" else None
            times = self.times(name)
            mark, first = len(self.spots), name or str(len(parts))
            self.spots.append((".".join((*self.path, first)), start.at))
            with self.inside(first, *within):
                part = self.part(())
            self.drawn = before + (self.drawn - before) * (1 if times is None else times)
            if self.drawn > MOST_NODES:
                self.stop(f"with this, {self.drawn:,} parts would be drawn; {MOST_NODES:,} are the most.", at=start)
            end = len(self.spots)
            for _ in range(1 if times is None else times):
                key = name or str(len(parts))
                if key in seen:
                    self.stop(f"two parts are called {short(key)}; each has a name of its own.", at=start)
                seen.add(key)
                parts.append(_Item(name, key, part, times is not None))
                if key != first:
                    self.again(mark, end, first, key)
            self.line_ends("a part")

    def again(self, mark: int, end: int, first: str, key: str) -> None:
        """The spots of a repeat's first part, for another."""
        old, new = (".".join((*self.path, name)) for name in (first, key))
        self.spots += [(new + path[len(old) :], at) for path, at in self.spots[mark:end]]

    def name(self) -> str:
        token = self.token
        name = self.name_said("a name")
        if not name or "." in name:
            self.stop(f"a part is called {token}; a name is not empty and has no dots.", at=token)
        self.need(":", "behind the name")
        return name

    def times(self, name: str | None) -> int | None:
        token = self.token
        if token.kind != "word" or self.after(token.end).kind != "*":
            return None
        if name is not None:
            ways = f"Write {name}: {{ {token.said} * … }}"
            self.stop("a repeat has no name; its parts are named by their places.", ways)
        if not re.fullmatch(r"[0-9]{1,40}", token.said) or not int(token.said):
            self.stop(f"{token} is not how often: a whole number from 1.")
        self.next(), self.next()
        return int(token.said)

    def line_ends(self, what: str) -> None:
        if self.token.kind not in ("\n", ";", "}", "end"):
            self.stop(f"after {what} comes the end of the line or a semicolon, not {self.token}.")

    # ── one part ──

    def part(self, follow: tuple[str, ...]) -> Blueprint:
        """One part; `follow` are the words that may come behind it on its line."""
        with self.deeper():
            self.drawn += 1
            token = self.token
            self.spots.append((".".join(self.path), token.at))
            if self.eat("{"):
                return Seq(**_named(self.items(token)))
            if self.eat("("):
                self.lines()
                part = self.part(())
                self.lines()
                self.need(")", "behind the part")
                return part
            if token.kind != "word":
                self.stop(f"a layer is wanted, not {token}.", EXAMPLE)
            self.next()
            word = token.said.lower()
            if word in BLOCKS:
                opening = self.need("{", f"behind {word}")
                return self.made(token, BLOCKS[word], _named(self.items(opening, *ROOMS.get(word, ()))))
            if word in WIRED:
                return self.made(token, WIRED[word], self.wired(WIRED[word], follow))
            if word == "dag":
                return self.made(token, Dag, self.dag())
            if word not in self.words:
                known = [*self.words, *BLOCKS, *WIRED, "dag"]
                what = f"no layer is called {short(token.said)}.{near(token.said, known)}"
                self.stop(what, ELSEWHERE.get(word, ""), at=token)
            return self.layer(self.words[word], token, follow)

    def made(
        self, token: Token, make: Callable[..., Made], values: dict[str, Any], places: Mapping[str, Token] | None = None
    ) -> Made:
        """The layer or wiring itself; what it refuses is said where it was written."""
        try:
            return make(**values)
        except Refusal as refusal:
            said = _said(refusal)
            told = re.search(r": (\w+) is ", said)
            self.stop(said, at=(places or {}).get(told[1], token) if told else token)
        except (TypeError, ValueError) as error:
            self.stop(f"{token.said} cannot be made so: {error}.", at=token)

    def wired(self, wiring: Any, follow: tuple[str, ...]) -> dict[str, Any]:
        """What must be said in the order of the fields, then `project …` or `head …`."""
        *bare, last = fields(wiring)
        optional = last.name if last.default is None else ""
        values: dict[str, Any] = {}
        for field in bare if optional else [*bare, last]:
            if field.name == "name":
                values["name"] = self.name_said("a name")
            else:
                with self.inside(*ROOMS.get(field.name, ())):
                    values[field.name] = self.part((*follow, optional) if optional else follow)
        if optional and self.token.said == optional:
            self.next()
            with self.inside(*ROOMS.get(optional, (values.get("name", ""),))):
                values[optional] = self.part(follow)
        return values

    def layer(self, word: Word, token: Token, follow: tuple[str, ...]) -> Layer:
        values, places = dict(word.said), {}
        written = f"It is written: {word.usage}"
        for field in word.bare:
            if self.token.kind not in ("word", "text", "("):
                self.stop(f"{word.word} is without its {field.name}.", written)
            places[field.name] = self.token
            values[field.name] = self.field(word, field.name)
        while self.token.kind in ("word", "text", "(") and self.token.said not in follow:
            name = self.token
            if name.said not in word.named:
                left = [n for n in word.named if n not in values]
                if left and not re.match(r"[^\W\d]", name.said):
                    self.stop(f"which field of {word.word} is {name}?", f"By name, for instance: {left[0]} {name.said}")
                if name.said.lower() in self.words:
                    self.line_ends(word.word)
                self.stop(f"{word.word} has no field {short(name.said)}.{near(name.said, word.named)}", written)
            if name.said in values:
                self.stop(f"{name.said} is said twice.")
            self.next()
            if self.token.kind not in ("word", "text", "("):
                self.stop(f"the value of {name.said} is wanted, not {self.token}.")
            places[name.said] = self.token
            values[name.said] = self.field(word, name.said)
        return self.made(token, word.layer, values, places)

    def field(self, word: Word, name: str) -> object:
        token, hint = self.token, hints(word.layer).get(name, Any)
        value = self.value()
        if not suits(value, hint):
            self.stop(f"{name} is {short(self.text[token.at : self.here])}; wanted is {wanted(hint)}.", at=token)
        return value

    def value(self, level: int = 0) -> object:
        token = self.next()
        self.here = token.end
        if token.kind == "text":
            return self.string(token)
        if token.kind == "word":
            try:
                return value_of(token.said)
            except ValueError:
                self.stop(f"{token} is too large a number.", at=token)
        if token.kind != "(" or level > DEEPEST:
            self.stop(f"a value is wanted, not {token}.", at=token)
        values: list[object] = []
        self.lines()
        while not (closing := self.eat(")")):
            if self.token.kind == "word" and (span := SPAN.fullmatch(self.token.said)):
                values += self.span(self.next(), span)
            else:
                values.append(self.value(level + 1))
            self.lines()
            if self.token.kind != ")":
                self.need(",", "between the values, and ) at their end")
                self.lines()
        self.here = closing.end
        return tuple(values)

    def span(self, token: Token, span: re.Match[str]) -> range:
        if len(token.said) > 40 or not 0 <= int(span[2]) - int(span[1]) < MOST_NODES:
            self.stop(f"{token} does not count up, or too far: 0..57 is 58 numbers.", at=token)
        self.drawn += int(span[2]) - int(span[1])
        if self.drawn > MOST_NODES:
            self.stop(f"with this, {self.drawn:,} values would be drawn; {MOST_NODES:,} are the most.", at=token)
        return range(int(span[1]), int(span[2]) + 1)

    def string(self, token: Token) -> str:
        try:
            return str(json.loads(token.said))
        except ValueError:
            self.stop(f"{token} has a backslash that means nothing.", 'As in JSON: \\" and \\\\ and \\n', at=token)

    def name_said(self, what: str) -> str:
        token = self.eat("word", "text") or self.stop(f"{what} is wanted, not {self.token}.")
        name = token.said if token.kind == "word" else self.string(token)
        if len(name) > LONGEST_NAME:
            self.stop(f"this name has {len(name):,} signs; {LONGEST_NAME} are the most.", at=token)
        return name

    # ── a dag: dag x { left: x -> conv 8 3x3; sum: (left, x) -> add } -> sum ──

    def dag(self) -> dict[str, Any]:
        takes, _ = self.wires()
        opening = self.need("{", "behind the names that come in")
        steps: list[tuple[str, Blueprint | str, tuple[str, ...]]] = []
        self.lines()
        while not self.eat("}"):
            if self.token.kind == "end":
                self.stop("this { is not closed.", at=opening)
            name = self.name_said("the name of a step")
            self.need(":", "behind the name of a step")
            inputs, _ = self.wires()
            self.need("->", "behind what a step reads, as in y: x -> relu")
            join = self.token.said in JOINS and self.after(self.token.end).kind != "{"
            with self.inside(name):
                self.spots.append((".".join(self.path), self.token.at))
                steps.append((name, self.next().said if join else self.part(()), inputs))
            self.drawn += join
            self.line_ends("a step")
            self.lines()
        self.need("->", "behind a dag, and the names that leave")
        gives, several = self.wires()
        return {"takes": takes, "steps": tuple(steps), "gives": gives if several else gives[0]}

    def wires(self) -> tuple[tuple[str, ...], bool]:
        """One name, or several as (a, b); and whether they were written as several."""
        if not self.eat("("):
            return (self.name_said("the name of a wire"),), False
        names: list[str] = []
        while not self.eat(")"):
            names.append(self.name_said("the name of a wire"))
            if self.token.kind != ")":
                self.need(",", "between names, and ) at their end")
        return tuple(names), True


class _Item(NamedTuple):
    name: str | None
    key: str  # its name, or its place
    part: Blueprint
    repeated: bool


def _named(items: list[_Item]) -> dict[str, Any]:
    return {item.key: item.part for item in items}


def _said(refusal: Refusal) -> str:
    """What a refusal says, without the words that begin it: ours has its own."""
    said = re.sub(r"^Cannot (make|read|start from) ", "", refusal.fact)
    return said[:300]
