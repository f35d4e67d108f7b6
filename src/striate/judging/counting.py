"""How far long work is: a bar on a terminal, a line now and then off it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from striate.blueprint.said import visible

SILENCE = 10.0  # seconds at most without a line, off a terminal


@contextmanager
def counting(what: str, total: int, stream: TextIO, noun: str = "image") -> Iterator[Callable[[int], None]]:
    """A function to be told how many of `total` images (or of another `noun`) are done. The bar goes when the work is
    done; work shorter than SILENCE says nothing off a terminal.
    """
    with (_bar if stream.isatty() else _lines)(visible(what), total, stream, noun) as tick:
        yield tick


@contextmanager
def _lines(what: str, total: int, stream: TextIO, noun: str) -> Iterator[Callable[[int], None]]:
    begun = said = time.monotonic()

    def tick(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= SILENCE and done < total:
            left = timedelta(seconds=round((now - begun) / done * (total - done)))
            rate = done / (now - begun)
            print(f"{what}: {done:,} of {total:,} {noun}s, {rate:,.3g} a second, {left} left", file=stream, flush=True)
            said = now

    yield tick


@contextmanager
def _bar(what: str, total: int, stream: TextIO, noun: str) -> Iterator[Callable[[int], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from striate.cost.terminal import looked_at

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(f"{noun}s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=looked_at(stream), transient=True) as progress:
        task = progress.add_task(Text(what).plain, total=total)
        yield lambda done: progress.update(task, completed=done)
