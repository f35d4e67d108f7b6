"""What a verb says: the one place where names out of files meet a terminal."""

from __future__ import annotations

import os

import click

from striate.blueprint.said import visible


def say(text: object, err: bool = False) -> None:
    """A line or some, to stdout or stderr; what would steer the terminal is written out. Of several processes that
    torchrun started, the first one speaks; what is wrong they all say.
    """
    if err or os.environ.get("RANK", "0") == "0":
        click.echo(visible(str(text), but="\n\t"), err=err)
