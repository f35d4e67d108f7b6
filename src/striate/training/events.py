"""What happens while a network learns, as values: the terminal, the log, the lab and the tests read the same stream."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, get_args


@dataclass(frozen=True)
class Started:
    """Before the first step."""

    examples: int
    validation: int
    classes: tuple[str, ...]
    parameters: int
    epochs: int
    steps: int  # of the whole training
    precision: str
    device: str
    out: Path | None = None
    step: int = 0  # so many are learnt already: a run that is gone on with


@dataclass(frozen=True)
class Step:
    """One batch learnt; `step` counts from 1 over all epochs. `loss` is this batch's, before the step."""

    step: int
    epoch: int
    loss: float
    lr: float
    examples: int


@dataclass(frozen=True)
class Epoch:
    """All images seen once; the shares of right answers are on those held out (None: none were)."""

    epoch: int
    step: int
    train_loss: float
    loss: float | None
    top1: float | None
    seconds: float
    rate: float  # training images a second, judging left out


@dataclass(frozen=True)
class LayerFlow:
    """What flows through a layer; None where there is no such thing.

    mean, deviation: of its values; weight, gradient: the norms (root of the sum of squares) of its matrix of weights
    and of the loss's gradient by it; update: by how much of its norm a step changed the weight; dead: of a ReLU, the
    share of channels that were zero on all images and cells.
    """

    name: str
    mean: float
    deviation: float
    weight: float | None
    gradient: float | None
    update: float | None
    dead: float | None


@dataclass(frozen=True)
class Flow:
    """What flowed through the network on the last batch of an epoch; layers in the order they run."""

    epoch: int
    step: int
    layers: tuple[LayerFlow, ...]

    def __post_init__(self) -> None:
        rows = (row if isinstance(row, LayerFlow) else LayerFlow(**row) for row in self.layers)  # JSON has tables
        object.__setattr__(self, "layers", tuple(rows))


@dataclass(frozen=True)
class Kept:
    """The network as it is after this epoch is on the disk, as the run's model."""

    path: Path
    epoch: int
    top1: float | None


@dataclass(frozen=True)
class Checkpoint:
    """All that the training is after this step is on the disk: from there it can be gone on with, to the bit."""

    path: Path
    step: int


@dataclass(frozen=True)
class Warning:
    """Something to know; training goes on."""

    text: str


@dataclass(frozen=True)
class Done:
    """The last event: finished, or stopped by hand; `kept` is the epoch whose network is on the disk."""

    finished: bool
    epoch: int
    step: int
    kept: int
    top1: float | None
    seconds: float


Event = Started | Step | Epoch | Flow | Kept | Checkpoint | Warning | Done
EVENTS = {kind.__name__.lower(): kind for kind in get_args(Event)}


# The line of a step, whose fields are numbers: between two steps, with nothing in the caches, json would take longer.
# Python's own finite numbers are written as JSON has them; others (nan, numpy's) are left to json.
OWN = frozenset({int, float})
STEP = '{"event": "step", ' + ", ".join(f'"{field.name}": %({field.name})r' for field in fields(Step)) + "}"


def as_line(event: Event) -> str:
    """The event as one line of JSON: {"event": "step", …}."""
    if isinstance(event, Step):
        numbers = vars(event).values()
        if OWN.issuperset(map(type, numbers)) and all(map(isfinite, numbers)):
            return STEP % vars(event)
    said: dict[str, Any] = {"event": type(event).__name__.lower(), **asdict(event)}
    return json.dumps(said, default=str, ensure_ascii=False)


def from_line(line: str) -> Event | None:
    """The event that `as_line` wrote; None for a line that is not whole."""
    try:
        said = json.loads(line)
        kind = EVENTS[said.pop("event")]
        return kind(
            **{name: Path(value) if name in ("path", "out") and value else value for name, value in said.items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@dataclass
class Control:
    """Steers a training from elsewhere (a signal, a page, another thread); read between steps."""

    lr: float | None = None  # in place of the recipe's, from the next step on
    wanted: bool = False  # a checkpoint, after the step under way
    _stopped: threading.Event = field(default_factory=threading.Event)
    _going: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._going.set()

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def checkpoint(self) -> None:
        """Write one after the step that is under way."""
        self.wanted = True

    def stop(self) -> None:
        """After the step that is under way; what was learnt is saved."""
        self._stopped.set()
        self._going.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def wait(self) -> bool:
        """Blocks while paused; False when it is time to stop."""
        if not self._going.is_set():  # to ask is quicker than to wait for what is there
            self._going.wait()
        return not self.stopped
