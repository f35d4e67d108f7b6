"""A training as people watch it: a bar with rate and time left on a terminal, a line now and then off it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TextIO

from striate.training.events import Epoch, Event, Started, Step, Warning

LINES = 20  # at most, off a terminal


def shown(events: Iterator[Event], stream: TextIO) -> Iterator[Event]:
    """The same events, each shown on `stream` as it passes."""
    return _bars(events, stream) if stream.isatty() else _lines(events, stream)


def introduction(event: Started) -> str:
    held = f", {event.validation:,} held out" if event.validation else ""
    images = f"{event.examples:,} images to learn from{held}, {len(event.classes)} classes"
    way = f"{event.epochs} epochs, {event.steps:,} steps, {event.precision} on {event.device}"
    return f"{images}; {event.parameters:,} parameters; {way}"


def line(event: Epoch, epochs: int) -> str:
    width = len(str(epochs))
    held = f"   held out: {event.top1:7.2%}, loss {event.loss:.4f}" if event.top1 is not None else ""
    return f"epoch {event.epoch:{width}}/{epochs}   loss {event.train_loss:.4f}{held}   {event.rate:,.0f} images/s"


def _lines(events: Iterator[Event], stream: TextIO) -> Iterator[Event]:
    epochs, begun = 0, time.monotonic()
    for event in events:
        match event:
            case Started():
                epochs = event.epochs
                print(introduction(event), file=stream, flush=True)
            case Epoch() if event.epoch % -(-epochs // LINES) == 0 or event.epoch in (1, epochs):
                left = (time.monotonic() - begun) / event.epoch * (epochs - event.epoch)
                more = f", {timedelta(seconds=round(left))} left" if event.epoch < epochs else ""
                print(line(event, epochs) + more, file=stream, flush=True)
            case Warning():
                print(event.text, file=stream, flush=True)
        yield event


def _bars(events: Iterator[Event], stream: TextIO) -> Iterator[Event]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=stream, highlight=False)
    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=None),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("{task.fields[held]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console, refresh_per_second=8) as progress:
        task, epochs = progress.add_task("", epoch="", loss="", held="", rate=""), 0
        seen, since = 0, time.monotonic()
        for event in events:
            match event:
                case Started():
                    epochs = event.epochs
                    progress.console.print(introduction(event))
                    progress.update(task, total=event.steps)
                case Step():
                    seen += event.examples
                    if (now := time.monotonic()) - since > 0.25:
                        progress.update(task, loss=f"{event.loss:.4f}", rate=f"{seen / (now - since):,.0f} images/s")
                        seen, since = 0, now
                    progress.update(task, completed=event.step, epoch=f"{event.epoch}/{epochs}")
                case Epoch():
                    progress.update(task, held="" if event.top1 is None else f"held out {event.top1:.2%}")
                case Warning():
                    progress.console.print(event.text)
            yield event
