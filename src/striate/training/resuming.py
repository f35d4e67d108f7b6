"""A run that was cut off goes on from its last checkpoint, to the bits that it would have had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from striate.blueprint import CannotRead, CannotTrain
from striate.blueprint.modelfile import MODEL
from striate.data import Preprocessing, Splits, Streamed, open_data
from striate.data.opening import Counting, unheard
from striate.training.checkpoint import read
from striate.training.events import Control, Done, Event, Warning, from_line
from striate.training.lesson import Lesson, lesson
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
    counting: Counting = unheard,
) -> Resumed:
    """The run in `folder` from its newest whole checkpoint; where a newer one is damaged, the first event after Started
    says so. On the same machine with the same threads it ends with the weights it would have had without a break.

    `data`: by default where it was found the first time; in memory or streamed as it was then, whatever memory is free
    now (`counting` as `open_data` has it). Raises CannotRead (no checkpoint, none that is whole, the network's or the
    data's files), CannotTrain (finished already; other images than those it learnt from; no memory for them).
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
        known, every, step = _known(said), float(said["every"]), int(numbers["step"])
        after, was = (step, len(numbers["epochs"])), tuple(metadata["classes"])
    except (KeyError, TypeError, ValueError):
        raise CannotRead(f"Cannot go on with {folder}: its checkpoint lacks what a run needs.") from None
    splits = data if isinstance(data, Splits) else _opened(folder, data or origin, seed, rule, known.streamed, counting)
    if was != splits.classes:
        raise CannotTrain(
            f"Cannot go on with {folder}: the images in {splits.train.source} are not those it learnt from.",
            f"They are of {_some(splits.classes)}; those were of {_some(was)}.",
            f"Bring them back, or begin a new run with its model: striate train {folder} --data PATH.",
        )
    model, ranks = Network(snapshot.graph), here()
    model.metadata = metadata
    place = torch.device(device) if device else device_here()
    course = lesson(model, splits, recipe, place, saved=True, ranks=ranks)
    if other := _other(folder, course, known):
        raise other
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


def _some(classes: Sequence[str]) -> str:
    return f"{len(classes):,} classes, {', '.join(map(str, classes[:3]))}{' …' * (len(classes) > 3)}"


class Known(NamedTuple):
    """By which the images are known again that a checkpoint was learnt from; `streamed` None where it does not say."""

    images: str
    streamed: bool | None
    lost: frozenset[str]


def _known(said: dict[str, Any]) -> Known:
    """Raises KeyError, TypeError."""
    streamed = said.get("streamed")
    return Known(str(said["images"]), streamed if isinstance(streamed, bool) else None, frozenset(said.get("lost", ())))


def _other(folder: Path, course: Lesson, known: Known) -> CannotTrain | None:
    """The first reason why these are not the images that were learnt from; None where they are."""
    source, streamed, fact = course.learnt.source, isinstance(course.learnt, Streamed), f"Cannot go on with {folder}:"
    anew = f"begin a new run with its model: striate train {folder} --data PATH."
    if known.streamed not in (None, streamed):
        places = "in memory", "streamed from the disk"
        return CannotTrain(
            f"{fact} the images of {source} are {places[streamed]}, those it learnt from were {places[not streamed]}.",
            ways=f"Open them as they were: open_data(path, streamed={known.streamed}).",
        )
    if course.known["images"] == known.images:
        return None
    for name in sorted(course.lost.keys() - known.lost):
        lost = course.lost[name]
        return CannotTrain(
            f"{fact} {lost.path}, which it learnt from, cannot be read now.", lost.reason, f"Bring it back, or {anew}"
        )
    for name in sorted(known.lost - course.lost.keys()):
        return CannotTrain(
            f"{fact} {name} of {source} could not be read when it began, and can be now.",
            ways=f"To learn from it, too, {anew}",
        )
    return CannotTrain(
        f"{fact} the images in {source} are not those it learnt from.", ways=f"Bring them back, or {anew}"
    )


def _opened(
    folder: Path, source: str | Path, seed: int, rule: Preprocessing, streamed: bool | None, counting: Counting
) -> Splits:
    if not str(source):
        raise CannotTrain(
            f"Cannot go on with {folder}: its images were given by a program, and no file says where they are.",
            ways="Give them again: striate.resume(folder, data).",
        )
    return open_data(source, seed=seed, preprocessing=rule, streamed=streamed, counting=counting)


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
    return CannotRead(
        f"Cannot go on with {folder}: it has no checkpoint.",
        ways=f"Begin again, as it was: striate train NET --data PATH --recipe {folder}.",
    )
