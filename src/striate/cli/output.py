"""What a verb says: the one place where names out of files meet a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from striate.blueprint.said import visible

if TYPE_CHECKING:
    from striate.data.opening import Counting


def say(text: object, err: bool = False) -> None:
    """A line or some, to stdout or stderr; what would steer the terminal is written out. Of several processes that
    torchrun started, the first one speaks; what is wrong with one alone, that one.
    """
    if err or os.environ.get("RANK", "0") == "0":
        click.echo(visible(str(text), but="\n\t"), err=err)


def reading(data: str) -> Counting:
    """Tells how far it is while the images of `data` are decoded into memory; of several processes the first tells."""
    from striate.data.opening import unheard
    from striate.judging.counting import counting

    alone = os.environ.get("RANK", "0") == "0"
    return (lambda total: counting(f"Reading {data}", total, sys.stderr)) if alone else unheard
