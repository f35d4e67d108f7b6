"""How Striate says no: a fact, the numbers, the way out.

Every error that a user can cause is a `Refusal`; its text is part of the product and is tested. What cannot, and where;
the sum, which is
valid Python; what fits, each remedy found by trying it. Nothing here is for our own mistakes: those are `assert`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cached_property
from typing import Any

LONGEST_WORD, LONGEST_LINE = 240, 1200  # characters; a path may have 4,096, and an argument as many as somebody typed


def brief(text: str) -> str:
    """What somebody is told, line by line, without the middle of what is longer than anybody reads."""
    words = rf"\S{{{LONGEST_WORD + 1},}}"
    lines = (re.sub(words, lambda word: _ends(word[0], LONGEST_WORD), line) for line in text.split("\n"))
    return "\n".join(_ends(line, LONGEST_LINE) for line in lines)


def _ends(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 4 :]}"


class Refusal(ValueError):
    """A fact, the numbers, the way out: `str()` is those lines, what is very long in them shortened.

    `fact` is a whole sentence ("Cannot place conv1: …"), `why` the arithmetic, `ways` what would fit. `where` names the
    place in the network or
    the file, `layer` and `volume` are the two that do not go together, where there are such.
    """

    fact: str
    why: str
    ways: str
    written: str = ""  # where the text that the network was read from says so: "line 4: conv 16 5x5 stride 2"
    remedies: tuple[Any, ...] = ()  # each change that was tried and fits, least first

    def __init__(
        self, fact: str, why: str = "", ways: str = "", *, where: str = "", layer: object = None, volume: object = None
    ) -> None:
        super().__init__(fact)
        self.fact, self.why, self.ways = fact, why, ways
        self.where, self.layer, self.volume = where, layer, volume

    def __str__(self) -> str:
        return brief("\n    ".join(line for line in (self.fact, self.written, self.why, self.ways) if line))


class CannotMake(Refusal):
    """A layer or a wiring is given a number that means nothing: no channels, a stride of 0, 1e9 filters."""


class CannotJoin(Refusal):
    """The volumes that a concat, an add or a multiply receives do not go together."""


class CannotRead(Refusal):
    """A text or a file is not what it should be; names the line, the column or the byte where it can."""

    line: int = 0  # from 1; 0 where it is not one place in a text
    column: int = 0


class CannotWrite(Refusal):
    """A file or folder cannot be written; what stood there before still stands."""


class CannotBuild(Refusal):
    """A graph cannot become a module: no torch form for a layer, or more memory than there is."""


class CannotLoad(Refusal):
    """Weights do not fit the network they are meant for."""


class CannotTrain(Refusal):
    """Data, network and recipe do not go together."""


class CannotPlace(Refusal):
    """A layer does not go on the volume it is given. Remedies are searched for only when they are read, and each is
    tried.
    """

    def __init__(
        self,
        layer: object,
        volume: object,
        why: str,
        *,
        search: Callable[[], Iterable[Any]] = tuple,
        otherwise: str = "",
    ) -> None:
        super().__init__("", why, layer=layer, volume=volume)
        self.search, self.otherwise = search, otherwise

    @property
    def fact(self) -> str:
        return f"Cannot place {self.where + ': ' if self.where else ''}{self.layer!r} on {self.volume}"

    @fact.setter
    def fact(self, _: str) -> None:
        """The fact follows from where, layer and volume; `where` is learned on the way up."""

    @cached_property
    def remedies(self) -> tuple[Any, ...]:  # type: ignore[override]
        return tuple(self.search())

    @property
    def ways(self) -> str:
        found = [f"What fits: {', '.join(map(str, self.remedies))}"] if self.remedies else []
        ways = "; or ".join([*found, *([self.otherwise] if self.otherwise else [])])
        return ways and f"{ways}."

    @ways.setter
    def ways(self, _: str) -> None:
        """Found by trying, when read."""


class NotFound(Refusal):
    """A name that is not among the known ones; says which are near."""

    def __init__(self, kind: str, name: str, known: Iterable[str], see: str = "") -> None:
        known = list(known)
        alike = {_folded(k): k for k in reversed(known)}
        near = [alike[k] for k in get_close_matches(_folded(name), alike, n=3, cutoff=0.6)]
        near = near or [k for k in known if name and name.lower() in k][:3]
        ways = (f" Near: {', '.join(near)}." if near else "") + (
            f" All of them: {see}" if see else f" Known: {', '.join(known)}." if not near else ""
        )
        super().__init__(f'No {kind} "{name}".{ways}', where=name)
        self.near = tuple(near)


def _folded(name: str) -> str:
    """As a hurried eye reads it: capitals are no different, nor O from 0, nor l from 1."""
    return name.lower().translate({ord("o"): "0", ord("l"): "1"})
