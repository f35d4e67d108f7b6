"""What somebody wants to be shown of a network, as one value, and what they get."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain, Refusal, Volume
from striate.data import Images, Splits, Streamed, open_data
from striate.data.preprocessing import Preprocessing
from striate.judging.judged import images_for
from striate.judging.trained import preprocessing_of
from striate.visualize.images import Seen, seen
from striate.visualize.units import Unit, map_layer, unit

SEED = 0
Tick = Callable[[int], None]
Progress = Callable[[str, int, str], AbstractContextManager[Tick]]  # of what, how many, of which noun


def silent(what: str, total: int, noun: str) -> AbstractContextManager[Tick]:
    return nullcontext(lambda done: None)


def unprepared(volume: Volume) -> Preprocessing:
    """Values of 0..1 as they are: for a network that has not learnt, and so expects nothing."""
    channels, *grid = volume
    return Preprocessing(channels, (grid[0], grid[1]), (grid[0], grid[1]), (0.0,) * channels, (1.0,) * channels)


class Data(NamedTuple):
    """A data set as a model reads it; `strange`: why its classes are not the model's, or nothing."""

    name: str
    splits: Splits
    strange: str = ""

    def some(self, most: int) -> Images | Streamed:
        """At most so many of the test images, evenly chosen."""
        return evenly(self.splits.test, most)

    def judged(self, most: int) -> Images | Streamed:
        """The same, with labels that are the model's classes. Raises CannotTrain."""
        if self.strange:
            raise CannotTrain(self.strange)
        return self.some(most)


def evenly(images: Images | Streamed, most: int) -> Images | Streamed:
    if len(images) <= most:
        return images
    return images[torch.linspace(0, len(images) - 1, most).round().long()]


class Other(NamedTuple):
    """Another network, and what it goes by."""

    model: nn.Module
    name: str


class Wanted(NamedTuple):
    """A model and the `name` it goes by; what is to be seen in it, of which `image` (a file) or `data`, `along` which
    folder of weights, with `boxes` (a folder or file), beside which `other` network. What is not said is chosen: layer,
    unit (text, as of `unit`), method, measure, target, how many images and points.
    """

    model: nn.Module
    name: str
    image: str = ""
    data: Data | None = None
    unit: str = ""
    layer: str = ""
    method: str = ""
    measure: str = ""
    target: str | int | None = None
    like: str = ""
    along: str = ""
    boxes: str = ""
    other: Other | None = None
    points: int | None = None
    images: int | None = None
    seed: int = SEED
    folder: Path | None = None  # where what takes long keeps what it has
    progress: Progress = silent

    @property
    def rule(self) -> Preprocessing:
        return preprocessing_of(self.model)

    @property
    def title(self) -> str:
        return f"{self.image}, {self.name}" if self.image else self.name

    def seen(self) -> Seen:
        """The image. Raises CannotRead."""
        return seen(self.model, [self.image])

    def some(self, most: int) -> Images | Streamed:
        assert self.data is not None
        return self.data.some(self.images or most)

    def judged(self, most: int) -> Images | Streamed:
        assert self.data is not None
        return self.data.judged(self.images or most)

    def chosen_layer(self, x: Tensor) -> str:
        return self.layer or (self.read_unit().layer if self.unit else map_layer(self.model, x))

    def read_unit(self) -> Unit:
        return unit(self.model, self.unit)


class View(NamedTuple):
    """What is shown: a PNG, the same as facts for JSON, and said in a line (or a few); `kept`, folders that were for
    going on with it, and are for nothing now.
    """

    png: bytes
    facts: dict[str, Any]
    line: str
    kept: tuple[Path, ...] = ()


def opened(model: nn.Module, source: str) -> Data:
    """A data set by the model's own rule; where it tells other classes apart, without labels to go by. Raises
    CannotRead, CannotTrain.
    """
    try:
        return Data(source, images_for(model, source))
    except CannotTrain as strange:
        rule = preprocessing_of(model)
        return Data(source, open_data(source, preprocessing=rule), str(Refusal(strange.fact, strange.why)))
