"""Batches of resident images: shuffled, augmented and normalised a whole batch at a time, by vectorised operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.augment import Augmentation, augmented
from striate.data.chance import Chance, order
from striate.data.images import Images, Skipped
from striate.data.mix import Mix
from striate.data.preprocessing import Preprocessing
from striate.data.resident import Crops

WORTH = 1 << 16  # numbers in a batch from which several threads are quicker (measured: Zen 5, two cores)
MIXING = 63  # the stream of chance that no augmentation of a chain has


@dataclass(frozen=True, eq=False)
class Batches:
    """Deals out `images` in batches of about `size`: x float32 N×C×H×W (channels last), y int64 N, or, where images are
    mixed, float32 N×classes.

    The order and every random choice follow from seed, epoch and image, so the same seed gives the same batches, at any
    epoch, in any process. Every image is dealt once an epoch; batches differ in size by one at most, so that the last
    is never a stray single. With `ranks` processes each is dealt a run of every batch, `rank` saying which; together
    they are the batch that one process would get.
    """

    images: Images
    preprocessing: Preprocessing
    size: int
    seed: int = 0
    augment: tuple[Augmentation, ...] = ()
    mix: Mix | None = None
    shuffle: bool = True
    device: torch.device | str = "cpu"
    rank: int = 0
    ranks: int = 1
    skipped: ClassVar[Mapping[str, Skipped]] = MappingProxyType({})  # what is in memory has been read
    undealt: ClassVar[tuple[tuple[int, int], ...]] = ()

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, without the first `start`: those that follow are what they would have been. Raises
        nothing of its own.
        """
        home = self._home
        every = Chance(self.seed, number, torch.arange(len(self.images), device=home), device=home)
        starts = self._crops.starts(every) if self._crops else None
        for index in islice(self.deck(number), start, None):
            chance = Chance(self.seed, number, index, device=home)
            labels = self.images.labels
            y = labels.index_select(0, index.to(labels.device)).to(self.device)
            yield mixed(self._images(chance, starts), y, len(self.images.classes), self.mix, chance)

    def deck(self, number: int) -> Iterator[Tensor]:
        """The images of each batch of an epoch, by their places."""
        return dealt(len(self.images), self.size, self.seed, number, self.shuffle, self.rank, self.ranks, self._home)

    @property
    def _home(self) -> torch.device:
        """Where all is chosen: beside the images where they lie on a GPU, else on the processor."""
        where = self.images.pixels.device
        return where if where.type == "cuda" and self.images.labels.device == where else torch.device("cpu")

    @cached_property
    def _crops(self) -> Crops | None:
        return Crops.prepared(self.images.pixels, self.augment)

    def _images(self, chance: Chance, starts: Tensor | None) -> Tensor:
        """What the network reads of the images of `chance`; with `starts`, their crops are prepared and begin there."""
        with one_thread(len(chance.index) * self.images.volume.size < WORTH):
            if self._crops and starts is not None:
                pixels = self._crops(starts.index_select(0, chance.index), chance)
            else:
                pixels = self.images.pixels.index_select(0, chance.index.to(self.images.pixels.device))
                pixels = augmented(pixels, self.augment, chance)
            return self.preprocessing.normalise(pixels, self.device)


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Several take longer to meet than so little takes to do."""
    before = torch.get_num_threads()
    if wanted and before > 1:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
    else:
        yield


def mixed(x: Tensor, y: Tensor, classes: int, mix: Mix | None, chance: Chance) -> tuple[Tensor, Tensor]:
    """A batch as it is dealt: its labels, or, where two images become one, how much of each class there is."""
    return mix(x, F.one_hot(y, classes).float(), chance.of(MIXING)) if mix else (x, y)


def dealt(
    count: int,
    size: int,
    seed: int,
    epoch: int,
    shuffle: bool,
    rank: int = 0,
    ranks: int = 1,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """The indices of each batch of an epoch, int64; of several ranks, this one's run of it, cut between pairs."""
    deck = order(count, seed, epoch, device) if shuffle else torch.arange(count, device=device)
    for batch in deck.tensor_split(-(-count // size)):
        pairs = -(-len(batch) // 2)
        yield batch if ranks == 1 else batch[2 * (pairs * rank // ranks) : 2 * (pairs * (rank + 1) // ranks)]
