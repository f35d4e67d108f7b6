"""A run that was cut off goes on from its last checkpoint, to the bits that it would have had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from striate.blueprint import CannotRead, CannotTrain
from striate.blueprint.modelfile import MODEL
from striate.data import Preprocessing, Splits, open_data
from striate.training.checkpoint import read
from striate.training.events import Control, Done, Event, Warning, from_line
from striate.training.lesson import lesson
from striate.training.loop import Run, begun
from striate.training.prepare import prepared
from striate.training.ranks import device_here, here
from striate.training.recipe import revised
from striate.training.run import LOG
from striate.training.state import State


class Resumed(NamedTuple):
    """The data that the run learns from, opened again, and what happens from here on."""

    data: Splits
    events: Iterator[Event]


def resume(folder: str | Path, data: Splits | str | Path | None = None, **how: Any) -> Iterator[Event]:
    """The events of `resumed`."""
    return resumed(folder, data, **how).events


def resumed(
    folder: str | Path,
    data: Splits | str | Path | None = None,
    *,
    control: Control | None = None,
    device: str | torch.device | None = None,
) -> Resumed:
    """The run in `folder` from its newest whole checkpoint; where a newer one is damaged, the first event after Started
    says so. On the same machine with the same threads it ends with the weights it would have had without a break.

    `data`: by default where it was found the first time. Raises CannotRead (no checkpoint, none that is whole, the
    network's or the data's files), CannotTrain (finished already; other images than those it learnt from).
    """
    folder = Path(folder)
    snapshot, damaged = read(folder)
    if snapshot is None:
        raise _nothing(folder, damaged)
    from striate.nn.build import Network

    said = snapshot.said
    try:
        recipe, metadata, numbers = revised(**said["recipe"]), dict(said["metadata"]), said["state"]
        rule, (origin, seed) = Preprocessing.from_json(metadata["preprocessing"]), said["origin"]
        images, every, step = said["images"], float(said["every"]), int(numbers["step"])
        after = step, len(numbers["epochs"])
    except (KeyError, TypeError, ValueError):
        raise CannotRead(f"Cannot go on with {folder}: its checkpoint lacks what a run needs.") from None
    splits = data if isinstance(data, Splits) else _opened(folder, data or origin, seed, rule)
    model, ranks = Network(snapshot.graph), here()
    model.metadata = metadata
    place = torch.device(device) if device else device_here()
    course = lesson(model, splits, recipe, place, saved=True, ranks=ranks)
    if course.fingerprint != images:
        raise CannotTrain(
            f"Cannot go on with {folder}: the images in {splits.train.source} are not those it learnt from.",
            ways="Bring them back, or begin a new run with its model: striate train RUN --data PATH.",
        )
    prepared(model, course.recipe)
    run = Run(course, folder if ranks.first else None, control or Control(), every)
    told = [Warning(f"{one} Gone on from step {step:,} instead.") for one in damaged]

    def beginning() -> State:
        state = begun(course)
        try:
            state.restore(snapshot.tensors, numbers)
        except (RuntimeError, KeyError, TypeError, ValueError, IndexError):
            raise CannotRead(f"Cannot go on with {folder}: its checkpoint is not of its own network.") from None
        return state

    return Resumed(splits, _with(told, run.recorded(beginning, after)))


def _with(warnings: list[Warning], events: Iterator[Event]) -> Iterator[Event]:
    """The warnings come second: first comes what is begun."""
    yield next(events)
    yield from warnings
    yield from events


def _opened(folder: Path, source: str | Path, seed: int, rule: Preprocessing) -> Splits:
    if not str(source):
        raise CannotTrain(
            f"Cannot go on with {folder}: its images were given by a program, and no file says where they are.",
            ways="Give them again: striate.resume(folder, data).",
        )
    return open_data(source, seed=seed, preprocessing=rule)


def _nothing(folder: Path, damaged: list[str]) -> CannotRead | CannotTrain:
    if damaged:
        return CannotRead(f"Cannot go on with {folder}: none of its {len(damaged)} checkpoints is whole.", damaged[0])
    if not (folder / LOG).is_file():
        return CannotRead(
            f"Cannot go on with {folder}: it is no run.", ways="A run is the folder that striate train made: runs/NAME."
        )
    with (folder / LOG).open(encoding="utf-8", errors="replace") as log:
        finished = any(isinstance(event := from_line(line), Done) and event.finished for line in log)
    if finished and (folder / MODEL).exists():
        return CannotTrain(
            f"Cannot go on with {folder}: it is finished.", ways=f"To train its model further: striate train {folder}."
        )
    return CannotRead(f"Cannot go on with {folder}: it has no checkpoint.", ways="Begin again: striate train.")
