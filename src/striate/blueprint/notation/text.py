"""A text while it is read: how long it may be, how a place in it is refused, and what a reading gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

from striate.blueprint.refusal import CannotRead
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint

LONGEST = 2**20  # characters; GoogLeNet takes 6,000
DEEPEST = 64  # blocks within blocks
LONGEST_NAME = 80  # each node is called by the names of all that it stands in
WIDEST = 100  # columns of a line shown in a refusal


class Skipped(NamedTuple):
    """A line that was passed over: prose between the lines of a listing."""

    line: int
    text: str


class Reading(NamedTuple):
    """What a text says: the network, its input where the text names one, and in which form it was written.

    A listing also claims things (volumes, parameters, memory), and has lines that were passed over; the canonical form
    has neither.
    """

    blueprint: Blueprint
    volume: Volume | None = None
    form: str = "canonical"
    skipped: tuple[Skipped, ...] = ()
    claims: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()  # what the text leaves open, and what was taken
    lines: Mapping[str, int] = MappingProxyType({})  # of the canonical form: where each part stands, by its node's name


class Choice(NamedTuple):
    """Which network of a text that leaves it open: a column of a table of several, numbers for a pattern's letters."""

    column: str | None = None
    numbers: Mapping[str, int] = MappingProxyType({})


UNSAID = Choice()


def without_choice(name: str, choice: Choice, ways: str = "") -> None:
    """Refuse a choice where there is nothing to choose: it would change nothing, and nobody would know."""
    if choice != UNSAID:
        column = [f"--column {choice.column}"] if choice.column is not None else []
        said = " ".join([*column, *(f"--set {letter}={n}" for letter, n in choice.numbers.items())])
        raise CannotRead(
            f"Cannot use {said} with {name}: it is one network, without columns and letters.",
            "--column is for a table of several networks, --set for a pattern such as [(CONV-RELU)*N-POOL]*M-FC.",
            ways,
        )


def refuse(text: str, at: int, what: str, ways: str = "") -> CannotRead:
    """The refusal that points at character `at`: line and column, what is wrong, the line with a caret, the way out.

    Cannot read line 2, column 1: no layer is called "conf". Near: conv.
        conf 64 3x3
        ^
    """
    start = text.rfind("\n", 0, at) + 1
    line, column = text.count("\n", 0, at) + 1, at - start + 1
    end = text.find("\n", start)
    first = max(start, at - WIDEST // 2)
    shown = text[first : min(len(text) if end < 0 else end, first + WIDEST)].rstrip()
    caret = "".join("\t" if sign == "\t" else " " for sign in shown[: at - first].ljust(at - first)) + "^"
    if not first > start:
        bare = shown.lstrip()
        caret, shown = caret[min(len(shown) - len(bare), at - first) :], bare
    refusal = CannotRead(
        f"Cannot read line {line}, column {column}: {what}", f"{shown}\n    {caret}" if shown else "", ways
    )
    refusal.line, refusal.column = line, column
    refusal.where = f"line {line}, column {column}"
    return refusal


def near(word: str, known: Iterable[str]) -> str:
    """ " Near: conv, concat.", or nothing."""
    found = get_close_matches(word.lower(), list(known), n=3, cutoff=0.6) if len(word) <= 40 else []
    return f" Near: {', '.join(found)}." if found else ""


def short(word: str) -> str:
    """A word as a refusal quotes it."""
    return f'"{word}"' if len(word) <= 40 else f'"{word[:37]}…"'


def check_length(text: str) -> None:
    if len(text) > LONGEST:
        raise CannotRead(f"Cannot read a text of {len(text):,} characters; a network takes {LONGEST:,} at the most.")
