"""Further logs of a run, beside log.jsonl: epochs.csv for spreadsheets, event files for TensorBoard.

What log.jsonl has is the truth: where a run is gone on with, they are written anew from it, so that nothing is in them
twice. Which ones a run has is seen by what is in its folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from striate.blueprint import CannotTrain, NotFound
from striate.blueprint.files import unwritten, write_atomically
from striate.training.events import Epoch, Event, Flow, Step

EPOCHS, BOARD = "epochs.csv", "tensorboard"
Write = Callable[[Event], None]


def checked(wanted: Sequence[str]) -> None:
    """Raises NotFound for a log that there is none of, CannotTrain where its package is not there."""
    for name in wanted:
        if name not in LOGS:
            raise NotFound("log", name, LOGS)
    if "tensorboard" in wanted:
        _writer()


def begun(folder: Path, wanted: Sequence[str]) -> None:
    """Each with nothing in it: from now on the run has it. Raises CannotWrite."""
    if "csv" in wanted:
        write_atomically(folder / EPOCHS, table([]))
    if "tensorboard" in wanted:
        try:
            (folder / BOARD).mkdir(exist_ok=True)
        except OSError as error:
            raise unwritten(folder / BOARD, error) from None


@contextmanager
def kept(folder: Path, before: Sequence[Event]) -> Iterator[Write]:
    """What writes an event into each log that the run has; `before`: what happened already."""
    with ExitStack() as stack:
        there = [log for name, log in LOGS.items() if (folder / PLACES[name]).exists()]
        logs = [stack.enter_context(log(folder, before)) for log in there]

        def write(event: Event) -> None:
            for log in logs:
                log(event)

        yield write


def removed(folder: Path) -> None:
    """Takes away what `begun` and `kept` wrote."""
    (folder / EPOCHS).unlink(missing_ok=True)
    _emptied(folder / BOARD)
    with suppress(FileNotFoundError):
        (folder / BOARD).rmdir()


def table(epochs: Sequence[Epoch]) -> str:
    """A line for each epoch under a line of names; what there is not is empty."""
    text = io.StringIO()
    rows = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    rows.writeheader()
    rows.writerows(asdict(epoch) for epoch in epochs)
    return text.getvalue()


@contextmanager
def _csv(folder: Path, before: Sequence[Event]) -> Iterator[Write]:
    """Written whole after every epoch."""
    epochs = [event for event in before if isinstance(event, Epoch)]
    write_atomically(folder / EPOCHS, table(epochs))

    def write(event: Event) -> None:
        if isinstance(event, Epoch):
            epochs.append(event)
            write_atomically(folder / EPOCHS, table(epochs))

    yield write


@contextmanager
def _tensorboard(folder: Path, before: Sequence[Event]) -> Iterator[Write]:
    """Scalars by step: each step's loss and learning rate, each epoch's figures, the flow of each layer."""
    try:
        _emptied(folder / BOARD)
        with _writer()(str(folder / BOARD)) as board:

            def write(event: Event) -> None:
                try:
                    for name, value in scalars(event):
                        board.add_scalar(name, value, event.step)  # type: ignore[union-attr]
                    if isinstance(event, Epoch):
                        board.flush()
                except OSError as error:
                    raise unwritten(folder / BOARD, error) from None

            for event in before:
                write(event)
            yield write
    except OSError as error:
        raise unwritten(folder / BOARD, error) from None


def scalars(event: Event) -> list[tuple[str, float]]:
    """The numbers of an event by TensorBoard's names, in groups."""
    match event:
        case Step():
            found: list[tuple[str, float | None]] = [("train/loss", event.loss), ("train/lr", event.lr)]
        case Epoch():
            found = [("epoch/train_loss", event.train_loss), ("epoch/images_a_second", event.rate)]
            found += [("held_out/loss", event.loss), ("held_out/top1", event.top1)]
        case Flow():
            names = ("gradient", "update", "dead")
            found = [(f"flow_{name}/{layer.name}", getattr(layer, name)) for layer in event.layers for name in names]
        case _:
            return []
    return [(name, value) for name, value in found if value is not None]


def _writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise CannotTrain(
            "Cannot write logs for TensorBoard: the package tensorboard is not there.",
            ways="pip install 'striate[tensorboard]'; log.jsonl and --log csv need nothing.",
        ) from None
    return SummaryWriter


def _emptied(folder: Path) -> None:
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()


LOGS = {"csv": _csv, "tensorboard": _tensorboard}
PLACES = {"csv": EPOCHS, "tensorboard": BOARD}
