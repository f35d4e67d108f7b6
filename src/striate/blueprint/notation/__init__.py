"""Notation: a blueprint as text, both ways: one canonical form, and those in which papers and lectures write networks.

reading = read("input 1x32x32; conv 6 5x5; relu; maxpool 2x2; linear 10")
reading.blueprint, reading.volume       # Seq(Conv(6, 5), …), Volume(1, 32, 32)
write(reading.blueprint, reading.volume)
"""

from __future__ import annotations

from collections.abc import Mapping

from striate.blueprint.layer import Layer
from striate.blueprint.layers import LAYERS
from striate.blueprint.notation.text import Reading, Skipped, check_length
from striate.blueprint.refusal import CannotRead
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint

__all__ = ["Reading", "Skipped", "read", "write"]


def read(text: str, layers: Mapping[str, type[Layer]] = LAYERS) -> Reading:
    """The network that a text describes, in whichever form. Your own layers go in `layers`, by class name.

    Raises CannotRead, with `line` and `column`. Nothing in the text is run, and repeats are counted before they are
    drawn.
    """
    from striate.blueprint.notation.canonical import read_canonical

    check_length(text)
    try:
        return read_canonical(text, layers)
    except CannotRead:  # of a text that is neither, this is what to say
        from striate.blueprint.notation.listing import looks_like_listing, read_listing

        if not looks_like_listing(text):
            raise
    reading: Reading = read_listing(text)
    return reading


def write(blueprint: Blueprint, volume: Volume | None = None) -> str:
    """The canonical form; `read` gives the same blueprint back. Raises CannotWrite for what is code (Foreign)."""
    from striate.blueprint.notation.printer import write_canonical

    return write_canonical(blueprint, volume)
