"""Notation: a blueprint as text, both ways: one canonical form, and those in which papers and lectures write networks.

reading = read("input 1x32x32; conv 6 5x5; relu; maxpool 2x2; linear 10")
reading.blueprint, reading.volume       # Seq(Conv(6, 5), …), Volume(1, 32, 32)
write(reading.blueprint, reading.volume)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from striate.blueprint.layer import Layer
from striate.blueprint.layers import LAYERS
from striate.blueprint.notation.text import UNSAID, Choice, Reading, Skipped, check_length, without_choice
from striate.blueprint.refusal import CannotRead, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint

__all__ = ["Choice", "Reading", "Skipped", "read", "write"]


def read(text: str, layers: Mapping[str, type[Layer]] = LAYERS, choice: Choice = UNSAID) -> Reading:
    """The network that a text describes, in whichever form. Your own layers go in `layers`, by class name.

    `choice` is for what only a listing leaves open: Choice(column="D"), Choice(numbers={"N": 2}).

    Raises CannotRead, with `line` and `column`. Nothing in the text is run, and repeats are counted before they are
    drawn.
    """
    from striate.blueprint.notation.canonical import read_canonical

    check_length(text)
    try:
        ours = read_canonical(text, layers)
    except CannotRead:
        if choice == UNSAID and not _is_listing(text, layers):
            raise
    else:
        without_choice("this text", choice)
        return ours
    from striate.blueprint.notation.listing import read_listing

    return read_listing(text, *choice)


def _is_listing(text: str, layers: Mapping[str, type[Layer]]) -> bool:
    """Of a text that does not read as ours: is it a listing, or ours with a slip? The form that has more of its lines.

    A slip must never pass as prose between the lines of a listing.
    """
    from striate.blueprint.notation.canonical import lines_understood
    from striate.blueprint.notation.listing import check

    ours, of = lines_understood(text, layers)
    if 2 * ours > of or not of or re.match(r"\s*input\s+[0-9x×]+\s*(;|#|\n|$)", text):
        return False
    try:
        found = check(text)
    except Refusal:
        return not ours
    taken = sum(1 for line in text.splitlines() if line.strip()) - len(found.skipped)
    return bool(found.listings or found.patterns) and taken > ours


def write(blueprint: Blueprint, volume: Volume | None = None) -> str:
    """The canonical form; `read` gives the same blueprint back. Raises CannotWrite for what is code (Foreign)."""
    from striate.blueprint.notation.printer import write_canonical

    return write_canonical(blueprint, volume)
