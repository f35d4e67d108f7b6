"""Images that do not fit in memory: threads decode ahead, without the interpreter's lock, into batches made once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint import CannotRead, Refusal
from striate.data.augment import Augmentation, ResizedCrop
from striate.data.batches import Batches, dealt, mixed, one_thread
from striate.data.chance import Chance
from striate.data.images import Images, Skipped, Streamed
from striate.data.mix import Mix
from striate.data.preprocessing import Grid, Preprocessing

UNREADABLE = 0.05  # more than this share is not a blemish but a wrong folder
AHEAD = 3  # batches that are made while one is used
RUN = 8  # images a thread takes at a time


def deal(
    images: Images | Streamed, preprocessing: Preprocessing, size: int, *rest: Any, **how: Any
) -> Batches | Stream:
    """Batches of images wherever they are: `Batches` of those in memory, a `Stream` of the others."""
    kind = Batches if isinstance(images, Images) else Stream
    return kind(images, preprocessing, size, *rest, **how)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Stream:
    """As `Batches`, of images that are decoded as they are wanted: the same order, the same chance.

    What cannot be read is left out of its batch, never replaced, and its reason kept in `skipped`, once a name; beyond
    a share of UNREADABLE the epoch ends with a CannotRead. A batch of which nothing is left is not dealt; its epoch and
    place are in `undealt`.
    """

    images: Streamed
    preprocessing: Preprocessing
    size: int
    seed: int = 0
    augment: tuple[Augmentation, ...] = ()
    mix: Mix | None = None
    shuffle: bool = True
    device: torch.device | str = "cpu"
    rank: int = 0
    ranks: int = 1
    threads: int = 0  # 0: one a core
    skipped: dict[str, Skipped] = field(default_factory=dict)
    undealt: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, without the first `start`, which are not decoded either (nor is it known what of
        them cannot be read). Raises CannotRead where too many images cannot be read.
        """
        deck = dealt(len(self.images), self.size, self.seed, number, self.shuffle, self.rank, self.ranks)
        with torch.inference_mode(False):  # whoever judges is in it, the threads are not
            channels, height, width = self.preprocessing.volume  # laid out as decoders give them: rows are copied whole
            shape = (self.size, height, width, channels)
            spare = [torch.empty(shape, dtype=torch.uint8).permute(0, 3, 1, 2) for _ in range(AHEAD + 1)]
        with ThreadPoolExecutor(self.threads or _cores(), "decode", torch.set_num_threads, (1,)) as pool:
            ahead: deque[_Making] = deque()
            try:
                for place, index in islice(enumerate(deck), start, None):
                    ahead.append(self._begun(place, index, number, spare.pop(), pool))
                    if not spare:
                        yield from self._finished(ahead.popleft(), number, spare)
                while ahead:
                    yield from self._finished(ahead.popleft(), number, spare)
            finally:  # also where nobody wants the rest
                for making in ahead:
                    for run in making.runs:
                        run.cancel()

    def _begun(self, place: int, index: Tensor, number: int, pixels: Tensor, pool: ThreadPoolExecutor) -> _Making:
        runs = [
            pool.submit(self._decode, index[at : at + RUN], number, pixels[at : at + RUN])
            for at in range(0, len(index), RUN)
        ]
        return _Making(place, index, pixels, runs)

    def _finished(self, making: _Making, number: int, spare: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch, when all of it is decoded; none where nothing of it could be."""
        lost = [skipped for run in making.runs for skipped in run.result()]
        torch.set_num_threads(torch.get_num_threads())  # what the pool's threads said of themselves is for them alone
        pixels, which = making.pixels[: len(making.which)], making.which
        if any(lost):
            self._told(skipped for skipped in lost if skipped)
            whole = torch.tensor([skipped is None for skipped in lost])
            pixels, which = pixels[whole], which[whole]
        chance = Chance(self.seed, number, which)
        with one_thread(True):  # the other cores decode
            for place, augmentation in enumerate(self.augment):
                if place or not isinstance(augmentation, ResizedCrop):  # that was done where it was decoded
                    pixels = augmentation(pixels, chance.of(place))
            x = self.preprocessing.normalise(pixels, self.device)
        spare.append(making.pixels)
        if len(which):
            y = self.images.labels.index_select(0, which).to(self.device)
            yield mixed(x, y, len(self.images.classes), self.mix, chance)
        else:
            self.undealt.append((number, making.place))

    def _told(self, lost: Iterator[Skipped]) -> None:
        self.skipped.update((str(skipped.path), skipped) for skipped in lost if str(skipped.path) not in self.skipped)
        if len(self.skipped) > UNREADABLE * len(self.images):
            raise too_many(self.images.source, list(self.skipped.values()), len(self.images))

    def _decode(self, index: Tensor, number: int, into: Tensor) -> list[Skipped | None]:
        return [self._one(i, number, place) for i, place in zip(index.tolist(), into, strict=False)]

    def _one(self, i: int, number: int, into: Tensor) -> Skipped | None:
        """One image, prepared or, where it is the first thing asked, cropped at random, into its place."""
        picture, rule = self.images.pictures[i], self.preprocessing
        first = self.augment[0] if self.augment else None
        try:
            if isinstance(first, ResizedCrop):
                chance = Chance(self.seed, number, torch.tensor([i]))
                into.copy_(_cropped(picture.read(rule.channels), first, chance.of(0), rule.size))
            else:
                into.copy_(rule.prepare(picture.read(rule.channels, rule.covered).unsqueeze(0))[0])
        except Refusal as refusal:
            return Skipped(Path(picture.name), str(refusal))
        return None


class _Making(NamedTuple):
    """A batch under way: its place in the epoch, its images, where they go, and the threads' promises."""

    place: int
    which: Tensor
    pixels: Tensor
    runs: list[Future[list[Skipped | None]]]


def _cropped(pixels: Tensor, crop: ResizedCrop, chance: Chance, size: Grid) -> Tensor:
    top, left, rows, columns = crop.drawn(chance, *pixels.shape[1:])[:, 0].tolist()
    box = pixels[None, :, top : top + rows, left : left + columns]
    return F.interpolate(box, size, mode="bilinear", antialias=True)[0]


def too_many(source: str, skipped: list[Skipped], of: int) -> CannotRead:
    """The refusal where it is no longer a blemish."""
    return CannotRead(
        f"Cannot learn from {source}: {len(skipped)} of its {of} images cannot be read.",
        "\n    ".join(reason for _, reason in skipped[:3]),
        f"Up to {UNREADABLE:.0%} would be left out; take these away, or fetch them again.",
    )


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
