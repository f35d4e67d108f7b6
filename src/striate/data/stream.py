"""Images that do not fit in memory: threads decode ahead, without the interpreter's lock, into batches made once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from striate.blueprint import CannotRead, Refusal
from striate.data.augment import Augmentation, Crop, Flip
from striate.data.batches import Batches, dealt, mixed
from striate.data.chance import Chance
from striate.data.images import Images, InMemory, Picture, Skipped, Streamed
from striate.data.mix import Mix
from striate.data.preprocessing import Grid, Preprocessing, resampled
from striate.data.threads import apart, cores

UNREADABLE = 0.05  # more than this share is not a blemish but a wrong folder
AHEAD = 3  # batches that are made while one is used, at most
RUN = 32  # images a thread takes at a time, at most, to augment them together
TURNS = 8  # each thread takes of a batch that has nothing to be augmented: the last do not wait long for each other
ROOM = 1 << 20  # bytes: what a core keeps close to it
HELD = 1 << 25  # bytes: of files that wait for their boxes


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
    a share of UNREADABLE of the whole source the epoch ends with a CannotRead. A batch of which nothing is left is not
    dealt; its epoch and place are in `undealt`.
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
    spare: list[np.ndarray] = field(default_factory=list)  # batches that were used: for those to come

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, without the first `start`, which are not decoded either (nor is it known what of
        them cannot be read). Raises CannotRead where too many images cannot be read.
        """
        with ThreadPoolExecutor(self._threads, "decode", apart) as pool:
            ahead: deque[_Making] = deque()
            try:
                for place, index in islice(enumerate(self.deck(number)), start, None):
                    ahead.append(self._begun(place, index, number, pool))
                    if len(ahead) > self._ahead:
                        yield from self._finished(ahead[0], number)
                        ahead.popleft()
                while ahead:
                    yield from self._finished(ahead[0], number)
                    ahead.popleft()
            finally:  # also where one fails, or nobody wants the rest
                for making in ahead:
                    making.left.clear()

    def deck(self, number: int) -> Iterator[Tensor]:
        """As `Batches.deck`."""
        return dealt(len(self.images), self.size, self.seed, number, self.shuffle, self.rank, self.ranks)

    @property
    def _threads(self) -> int:
        return self.threads or cores()

    @property
    def _ahead(self) -> int:
        """Batches that are made while one is used: two runs for each thread, but few batches, for they are large."""
        return max(1, min(AHEAD, -(-2 * RUN * self._threads // self.size)))

    def _lent(self, n: int) -> Tensor:
        """N×C×H×W, channels last, in memory that comes back when the last who uses it is gone: new pages would take as
        long as normalising. (An array that a tensor lies in lives as long as the tensor's memory; so that is known.)
        """
        channels, height, width = self.preprocessing.volume
        kind = np.float32 if torch.device(self.device).type == "cpu" else np.uint8
        most = min(self.size, len(self.images))
        whole = self.spare.pop() if self.spare else np.empty((most, height, width, channels), kind)  # in large pages
        array = whole[:n]
        finalize(array, self._back, whole).atexit = False
        with torch.inference_mode(False):  # whoever judges is in it, the threads are not
            return torch.from_numpy(array).permute(0, 3, 1, 2)

    def _back(self, whole: np.ndarray) -> None:
        if len(self.spare) < self._ahead + 2:  # under way, and one in use
            self.spare.append(whole)

    def _begun(self, place: int, index: Tensor, number: int, pool: ThreadPoolExecutor) -> _Making:
        """The threads fill a batch as the network reads it; where that is on a device, bytes are enough, a quarter
        of it.
        """
        n, batch = len(index), self._lent(len(index))
        run = RUN if self.augment else max(1, n // (TURNS * self._threads))
        left = deque(slice(at, at + run) for at in range(0, n, run))
        making = _Making(place, index, batch, [None] * n, left, [])
        making.turns.extend(pool.submit(self._decode, making, number) for _ in range(min(self._threads, len(left))))
        return making

    def _finished(self, making: _Making, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch, when all of it is decoded; none where nothing of it could be. (Of several processes each deals as
        many as the others, one of no images where it must be: they would wait for each other.)
        """
        for turn in making.turns:
            turn.result()
        torch.set_num_threads(torch.get_num_threads())  # what the pool's threads said of themselves is for them alone
        batch, which, lost = making.batch, making.which, making.lost
        if any(lost):
            self._told([skipped for skipped in lost if skipped])
            whole = torch.tensor([skipped is None for skipped in lost])
            batch, which = batch[whole], which[whole]
        if not len(which) and self.ranks == 1:
            self.undealt.append((number, making.place))
            return
        x = batch if batch.is_floating_point() else self.preprocessing.normalise(batch, self.device)
        y = self.images.labels.index_select(0, which).to(self.device)
        mix = self.mix if len(which) else None
        yield mixed(x, y, len(self.images.classes), mix, Chance(self.seed, number, which))

    def _told(self, lost: list[Skipped]) -> None:
        self.skipped.update((str(skipped.path), skipped) for skipped in lost if str(skipped.path) not in self.skipped)
        blemished(self.images, lost)

    def _decode(self, making: _Making, number: int) -> None:
        """Images of a batch, as long as the threads have left some, into their places; of what could not be read, why
        (in its place is whatever was there).
        """
        which, places = making.which.tolist(), self.preprocessing.rows(making.batch).numpy()
        room = np.empty(ROOM, np.uint8)  # where each is decoded: it stays close to the processor
        for run in _taken(making.left):
            if self.augment:
                making.lost[run] = self._augmented(
                    Chance(self.seed, number, making.which[run]), making.batch[run], room
                )
            else:
                making.lost[run] = self._prepared(which[run], places[run], room)

    def _augmented(self, chance: Chance, into: Tensor, room: np.ndarray) -> list[Skipped | None]:
        """Prepared, augmented and normalised while they are in the processor's cache."""
        pixels = torch.empty_like(into, dtype=torch.uint8) if into.is_floating_point() else into
        first, second = (*self.augment, None)[:2]
        if isinstance(first, Crop):
            flip = second if isinstance(second, Flip) else None
            turned = flip.drawn(chance.of(1)).tolist() if flip else [False] * len(pixels)
            lost, done = self._cropped(first, turned, chance, pixels, room), 2 if flip else 1
        else:
            lost, done = self._prepared(chance.index.tolist(), self.preprocessing.rows(pixels).numpy(), room), 0
        for place, augmentation in islice(enumerate(self.augment), done, None):
            pixels = augmentation(pixels, chance.of(place))
        if into.is_floating_point():
            self.preprocessing.normalise(pixels, into=into)
        elif pixels is not into:
            into.copy_(pixels)
        return lost

    def _prepared(self, which: list[int], places: np.ndarray, room: np.ndarray) -> list[Skipped | None]:
        """As they are (uint8), or as the network reads them (float32)."""
        lost: list[Skipped | None] = [None] * len(which)
        for at, (i, into) in enumerate(zip(which, places, strict=True)):
            read = self._read(self.images.pictures[i], self.preprocessing.covered, room)
            if isinstance(read, Skipped):
                lost[at] = read
            else:
                self.preprocessing.place(read, into)
        return lost

    def _cropped(
        self, crop: Crop, turned: list[bool], chance: Chance, pixels: Tensor, room: np.ndarray
    ) -> list[Skipped | None]:
        """Boxes of images as their headers say they are, each decoded no larger than its box needs; drawn for as many
        at once as may be held. Those `turned` have left and right exchanged.
        """
        lost: list[Skipped | None] = [None] * len(pixels)
        held: dict[int, tuple[InMemory, Grid]] = {}
        for place, i in enumerate(chance.index.tolist()):
            try:
                picture = self.images.pictures[i].held()
                held[place] = picture, picture.header().grid
            except Refusal as refusal:
                lost[place] = Skipped(Path(self.images.pictures[i].name), str(refusal))
            if held and (place + 1 == len(lost) or sum(picture.size for picture, _ in held.values()) > HELD):
                height, width = torch.tensor([grid for _, grid in held.values()]).unbind(1)
                boxes = crop.drawn(chance.some(torch.tensor(list(held))).of(0), height, width)
                for (at, (picture, grid)), box in zip(held.items(), boxes.T.tolist(), strict=True):
                    lost[at] = self._box(picture, grid, box, turned[at], pixels[at], room)
                held.clear()
        return lost

    def _box(
        self, picture: Picture, grid: Grid, box: list[int], turned: bool, into: Tensor, room: np.ndarray
    ) -> Skipped | None:
        """top, left, rows, columns of a picture of that grid, scaled into its place."""
        size = self.preprocessing.size
        needed = tuple(-(-side * n // part) for side, n, part in zip(grid, size, box[2:], strict=True))
        read = self._read(picture, (needed[0], needed[1]), room)
        if isinstance(read, Skipped):
            return read
        (top, bottom), (left, right) = (
            _edges(start * n / side, (start + length) * n / side, n)  # as it was decoded
            for start, length, n, side in zip(box[:2], box[2:], read.shape[1:], grid, strict=True)
        )
        made = resampled(read[None, :, top:bottom, left:right], size)[0]
        into.copy_(made.flip(2) if turned else made)  # where it is in the cache
        return None

    def _read(self, picture: Picture, least: Grid, room: np.ndarray) -> Tensor | Skipped:
        try:
            return picture.read(self.preprocessing.channels, least, room)
        except Refusal as refusal:
            return Skipped(Path(picture.name), str(refusal))


class _Making(NamedTuple):
    """A batch under way: its place in the epoch, its images, where they go, what was lost, which images are left (the
    thread that comes first takes them: all are busy to the end), and the threads' promises.
    """

    place: int
    which: Tensor
    batch: Tensor
    lost: list[Skipped | None]
    left: deque[slice]
    turns: list[Future[None]]


def _edges(start: float, end: float, n: int) -> tuple[int, int]:
    """Of at least one of `n` cells."""
    first = min(round(start), n - 1)
    return first, max(round(end), first + 1)


def _taken(left: deque[slice]) -> Iterator[slice]:
    with suppress(IndexError):
        while True:
            yield left.popleft()


def blemished(images: Streamed, lost: list[Skipped]) -> None:
    """What of a source cannot be read is noted. Raises CannotRead where, over all its splits, it is too much, and where
    of these images none is left.
    """
    unread, of = images.lost, images.of or len(images)
    unread.update((str(skipped.path), skipped) for skipped in lost)
    if len(unread) > UNREADABLE * of:
        raise too_many(images.source, list(unread.values()), of)
    names = [str(Path(picture.name)) for picture in images.pictures] if len(unread) >= len(images) else []
    if names and all(name in unread for name in names):
        raise too_many(images.source, [unread[name] for name in names], len(images))


def too_many(source: str, skipped: list[Skipped], of: int) -> CannotRead:
    """The refusal where it is no longer a blemish."""
    return CannotRead(
        f"Cannot use {source}: {len(skipped)} of its {of} images cannot be read.",
        "\n    ".join(reason for _, reason in skipped[:3]),
        f"Up to {UNREADABLE:.0%} would be left out; take these away, or fetch them again.",
    )
