"""What data is: pixels and labels in memory, the classes they stand for, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from striate.blueprint import CannotTrain, Volume
from striate.data.decode import Header
from striate.data.preprocessing import Grid, Preprocessing

FULL: Grid = (1 << 30, 1 << 30)  # no side is that long: nothing is decoded smaller than it is


@dataclass(frozen=True, eq=False)
class Images:
    """Pixels uint8 N×C×H×W and labels int64 N, resident in memory; `classes[label]` is what a label stands for."""

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> Images:
        """Some of them: a slice, or a tensor of indices."""
        return replace(self, pixels=self.pixels[index], labels=self.labels[index])

    @property
    def volume(self) -> Volume:
        """Of one image."""
        return Volume(*self.pixels.shape[1:])

    def to(self, device: torch.device | str) -> Images:
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))


class Picture(Protocol):
    """One image that is not in memory yet: a file, a part of an archive, an item of a data set."""

    @property
    def name(self) -> str: ...

    def held(self) -> InMemory:
        """The same, what there is to be read of it in memory. Raises CannotRead."""

    def header(self) -> Header:
        """Raises CannotRead."""

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        """uint8 channels×H×W, no smaller than `least` or than it is; perhaps in `room`, bytes that the next may
        overwrite. Raises CannotRead.
        """


class InMemory(Picture, Protocol):
    """A picture of which nothing more has to be fetched."""

    @property
    def size(self) -> int:
        """Bytes that it takes, as it lies there."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """Images that are decoded anew each epoch because they do not fit in memory; `rule` says what each becomes.

    They may be some of their source's: it has `of` images in all its splits (0: these are all), and the splits share
    `lost`, those of them that turned out unreadable, by name.
    """

    pictures: tuple[Picture, ...]
    labels: Tensor
    classes: tuple[str, ...]
    source: str
    rule: Preprocessing
    of: int = 0
    lost: dict[str, Skipped] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> Streamed:
        """Some of them: a slice, or a tensor of indices."""
        chosen = torch.arange(len(self))[index].tolist()
        return replace(self, pictures=tuple(self.pictures[i] for i in chosen), labels=self.labels[index])

    @property
    def volume(self) -> Volume:
        """Of one image, prepared."""
        return self.rule.volume

    def to(self, device: torch.device | str) -> Streamed:
        """Themselves: each batch goes there when it is made."""
        return self


class Skipped(NamedTuple):
    """A file that could not be read: it is left out, and said once."""

    path: Path
    reason: str


@dataclass(frozen=True, eq=False)
class Splits:
    """Images to learn from and images to be judged by, as the network will see them, and the rule that made them so.

    `validation` is there where the source brings one; else a share of `train` is held out by whoever trains.
    """

    train: Images | Streamed
    test: Images | Streamed
    preprocessing: Preprocessing
    validation: Images | Streamed | None = None
    skipped: tuple[Skipped, ...] = ()
    told: str = ""  # what was done to the images, in one line
    origin: str = ""  # where `open_data` found them, for who wants them again; "" for what somebody made
    seed: int = 0  # by which they were split

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes


def stratified(labels: Tensor, held: int | float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (kept, held out): `held` of them, or that share, with every class in proportion; each in ascending order.

    Every example gets its place in its shuffled class as a share of the class; those that come first, over all
    classes, are held out. So the count is exact and no class is off by more than one.
    """
    count = held if isinstance(held, int) else round(held * len(labels))
    if not 0 < count < len(labels):
        raise CannotTrain(f"Cannot hold out {held} of {len(labels):,} images: none would be left on one side.")
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = labels.bincount()
    place = torch.cat([(torch.arange(n) + 0.5) / n for n in sizes.tolist()])
    order = by_class[place.argsort(stable=True)]
    return order[count:].sort().values, order[:count].sort().values
