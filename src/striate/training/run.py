"""A run: one training, a folder: model.safetensors, recipe.json, log.jsonl, curves.png; further logs where they are
wanted; checkpoints on the way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from striate.blueprint import CannotTrain, CannotWrite
from striate.blueprint.files import unwritten, write_atomically
from striate.blueprint.modelfile import MODEL
from striate.training import logs
from striate.training.checkpoint import forget, listed
from striate.training.curves import Curves, draw
from striate.training.events import Done, Epoch, Event, Step, Warning, as_line, from_line
from striate.training.recipe import KEPT, Recipe

LOG, CURVES = "log.jsonl", "curves.png"  # and a model file
REDRAW = 30.0  # seconds between pictures while it goes on


def claim(out: str | Path) -> Path:
    """A new folder: `out`, or out-2, out-3, … where that is taken. Raises CannotWrite."""
    out = Path(out)
    if not out.name or out.name == "..":
        there = out.resolve()
        raise CannotWrite(
            f"Cannot make a run's folder {out}: that is {there}, which is there already.",
            ways="Name a new folder in it: --out runs/NAME.",
            where=str(out),
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = out if number == 1 else out.with_name(f"{out.name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        if isinstance(error, FileExistsError | NotADirectoryError):
            why = f"{next((p for p in out.parents if p.is_file()), out.parent)} is a file, not a folder"
        raise CannotWrite(
            f"Cannot make a run's folder {out}: {why}.", "", "Choose another place: --out runs/NAME.", where=str(out)
        ) from None
    raise AssertionError("count does not end")


def recorded(
    events: Generator[Event, None, None],
    folder: Path,
    recipe: Recipe,
    after: tuple[int, int] | None = None,
    wanted: Sequence[str] = (),
) -> Iterator[Event]:
    """The same events, each written to the log as it comes, and the curves drawn; the recipe stands there from the
    start. A run that goes on `after` a step and an epoch keeps the log as far as that. `wanted`: further logs.

    A refusal that ends it stands in the log as a warning. A new run that ends before there is a model or anything to go
    on from leaves no folder. Raises CannotWrite, and CannotTrain where another process writes this run.
    """
    with _alone(folder):
        yield from _recorded(events, folder, recipe, after, wanted)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """As long as it lasts, or the process lives, nobody else writes this run: two would mix their logs and checkpoints.
    Raises CannotTrain where somebody does. Where the system has no such locks, nobody is asked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CannotTrain(
                    f"Cannot go on with {folder}: another process is training it now.",
                    ways=f"Wait for it, or end it first; or begin from its model: striate train {folder} --data PATH.",
                ) from None
        yield
    finally:
        os.close(handle)


def _recorded(
    events: Generator[Event, None, None],
    folder: Path,
    recipe: Recipe,
    after: tuple[int, int] | None,
    wanted: Sequence[str],
) -> Iterator[Event]:
    seen, drawn = Curves(), time.monotonic()
    try:
        write_atomically(folder / KEPT, recipe.model_dump_json(indent=2) + "\n")
        logs.begun(folder, wanted)
        before = list(_logged(folder / LOG, *after)) if after else []
        past = [event for _, event in before]
        for event in past:
            seen.add(event)
        whole = "".join(line for line, _ in before) if after else None
        with closing(events), _log(folder / LOG, whole) as write, logs.kept(folder, past) as tell:
            try:
                for event in events:
                    write(as_line(event) + "\n")
                    seen.add(event)
                    tell(event)
                    if isinstance(event, Done) or (isinstance(event, Epoch) and time.monotonic() - drawn > REDRAW):
                        write_atomically(folder / CURVES, draw(seen, folder.name))
                        drawn = time.monotonic()
                    yield event
            except CannotTrain as refusal:
                write(as_line(Warning(str(refusal))) + "\n")  # whoever watches has it from the exception
                raise
    finally:
        if after is None and not (folder / MODEL).exists() and not gone_on_with(folder):
            _undo(folder)


def gone_on_with(folder: Path) -> bool:
    """Whether a step was learnt that a checkpoint holds."""
    return any(not path.name.startswith("0" * 10) for path in listed(folder))


def _logged(path: Path, step: int, epoch: int) -> Iterator[tuple[str, Event]]:
    """The lines up to what was learnt by then; what is later, or cut short, will be learnt again."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            match event := from_line(line):
                case None:
                    return
                case Step() if event.step > step:
                    return
                case Epoch() if event.epoch > epoch:
                    return
            yield line, event


@contextmanager
def _log(path: Path, before: str | None) -> Iterator[Callable[[str], object]]:
    """What appends to a new file, or behind what was there `before`, a line at once on its way to the disk. Raises
    CannotWrite.
    """
    if before is not None:
        write_atomically(path, before)

    def write(text: str) -> None:
        try:
            os.write(handle, text.encode())
        except OSError as error:
            raise unwritten(path, error) from None

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if before is None else os.O_APPEND), 0o666)
    except OSError as error:
        raise unwritten(path, error) from None
    try:
        yield write
    finally:
        os.close(handle)


def _undo(folder: Path) -> None:
    """Take away what `recorded` wrote, and the folder unless somebody put something there."""
    forget(folder)
    with suppress(OSError):
        for name in (KEPT, LOG, CURVES):
            (folder / name).unlink(missing_ok=True)
        logs.removed(folder)
        folder.rmdir()
