"""A training as people watch it: a bar with rate and time left on a terminal, a line now and then off it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import TextIO

from striate.blueprint.said import counted, visible
from striate.judging.counting import SILENCE
from striate.training.events import Epoch, Event, Started, Step, Warning

LINES = 20  # of epochs at most, off a terminal
RATE, BAR, HELD, ELAPSED = 76, 80, 58, 96  # columns from which a terminal has room for it: no number is cut


def shown(
    events: Iterator[Event], stream: TextIO, unread: Callable[[], object] | None = None
) -> Generator[Event, None, None]:
    """The same events, each shown on `stream` as it passes. Where nobody reads a pipe any more, `unread` is called, and
    they pass on; without it that is a BrokenPipeError.
    """
    return _bars(events, stream) if stream.isatty() else _lines(events, stream, unread)


def introduction(event: Started) -> str:
    held = f", {event.validation:,} held out" if event.validation else ""
    images = f"{counted(event.examples, 'image')} to learn from{held}, {len(event.classes)} classes"
    way = f"{counted(event.epochs, 'epoch')}, {counted(event.steps, 'step')}, {event.precision} on {event.device}"
    on = f"; on from step {event.step:,}" if event.step else ""
    return f"{images}; {event.parameters:,} parameters; {way}{on}"


def line(event: Epoch, epochs: int) -> str:
    width = len(str(epochs))
    held = f"   held out: {event.top1:7.2%}, loss {event.loss:.4f}" if event.top1 is not None else ""
    return f"epoch {event.epoch:{width}}/{epochs}   loss {event.train_loss:.4f}{held}   {event.rate:,.0f} images/s"


def _lines(
    events: Iterator[Event], stream: TextIO, unread: Callable[[], object] | None
) -> Generator[Event, None, None]:
    epochs = steps = first = seen = 0
    begun = said = counting = time.monotonic()
    for event in events:
        now, told = time.monotonic(), ""
        match event:
            case Started():
                epochs, steps, first = event.epochs, event.steps, event.step
                told = introduction(event)
            case Step():
                seen += event.examples
                if now - said >= SILENCE:
                    rate = f"{seen / (now - counting):,.0f} images/s"
                    where = f"epoch {event.epoch:{len(str(epochs))}}/{epochs}   step {event.step:,}/{steps:,}"
                    left = _left(now - begun, event.step - first, steps - first)
                    told = f"{where}   loss {event.loss:.4f}   {rate}{left}"
            case Epoch() if event.epoch % -(-epochs // LINES) == 0 or event.epoch in (1, epochs):
                told = line(event, epochs) + _left(now - begun, event.step - first, steps - first)
            case Warning():
                told = visible(event.text, but="\n")
        if told:
            try:
                print(told, file=stream, flush=True)
            except BrokenPipeError:
                if not unread:
                    raise
                unread()
            seen, said, counting = 0, now, now
        yield event


def _left(spent: float, done: int, whole: int) -> str:
    return f", {timedelta(seconds=round(spent / done * (whole - done)))} left" if 0 < done < whole else ""


def _bars(events: Iterator[Event], stream: TextIO) -> Generator[Event, None, None]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from striate.cost.terminal import looked_at

    console = looked_at(stream)
    columns = (
        (0, TextColumn("epoch {task.fields[epoch]}")),
        (BAR, BarColumn(bar_width=None)),
        (0, TextColumn("loss {task.fields[loss]}")),
        (HELD, TextColumn("{task.fields[held]}")),
        (RATE, TextColumn("{task.fields[rate]}")),
        (ELAPSED, TimeElapsedColumn()),
        (0, TextColumn("left")),
        (0, TimeRemainingColumn(elapsed_when_finished=False)),
    )
    with Progress(
        *(column for least, column in columns if console.width >= least), console=console, refresh_per_second=8
    ) as progress:
        task, epochs = progress.add_task("", epoch="", loss="", held="", rate=""), 0
        seen, since = 0, time.monotonic()
        for event in events:
            match event:
                case Started():
                    epochs = event.epochs
                    progress.console.print(introduction(event))
                    progress.update(task, total=event.steps, completed=event.step)
                case Step():
                    seen += event.examples
                    if (now := time.monotonic()) - since > 0.25:
                        progress.update(task, loss=f"{event.loss:.4f}", rate=f"{seen / (now - since):,.0f} images/s")
                        seen, since = 0, now
                    progress.update(task, completed=event.step, epoch=f"{event.epoch}/{epochs}")
                case Epoch():
                    progress.update(task, held="" if event.top1 is None else f"held out {event.top1:.2%}")
                case Warning():
                    progress.console.print(visible(event.text, but="\n"), markup=False)
            yield event
