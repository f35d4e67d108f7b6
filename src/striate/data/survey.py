"""What is in a data set: counted, measured, and looked through for what would spoil a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.data.folder import others
from striate.data.images import Images, Skipped, Splits, Streamed
from striate.data.pictures import File
from striate.data.preprocessing import Grid
from striate.data.threads import cores

AT_ONCE = 1024  # images


class Double(NamedTuple):
    """The same pixels twice: a test image that is learnt from is no test."""

    test: str
    train: str


class Contradiction(NamedTuple):
    """The same pixels under two classes: whatever is learnt of one is wrong of the other."""

    one: str
    one_class: str
    other: str
    other_class: str


@dataclass(frozen=True)
class Survey:
    """`counts[split][class]`; sizes height × width as they are in the files; mean and deviation of the channels of the
    training images, 0..1, each image weighing by its area; `inside` are images that the training set has twice, of them
    `contradictions` under two classes; `others`: how many files of the folder are no pictures by their suffix.
    """

    source: str
    counts: dict[str, dict[str, int]]
    sizes: dict[str, Grid]  # smallest, median, largest, by area
    mean: tuple[float, ...]
    std: tuple[float, ...]
    doubles: tuple[Double, ...]
    inside: int
    contradictions: tuple[Contradiction, ...]
    skipped: tuple[Skipped, ...]
    others: dict[str, int] = field(default_factory=dict)

    @property
    def imbalance(self) -> float:
        """How many times the largest class of the training images is the smallest."""
        sizes = self.counts["train"].values()
        return max(sizes) / max(1, min(sizes))

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "counts": self.counts,
            "imbalance": self.imbalance,
            "sizes": {name: list(grid) for name, grid in self.sizes.items()},
            "mean": list(self.mean),
            "std": list(self.std),
            "in_train_and_test": [double._asdict() for double in self.doubles],
            "twice_in_train": self.inside,
            "in_two_classes": [contradiction._asdict() for contradiction in self.contradictions],
            "unreadable": [{"path": str(path), "reason": reason} for path, reason in self.skipped],
            "other_files": self.others,
        }


class _Seen(NamedTuple):
    """Of one image: its name, label, grid, digest, and sums over its pixels by channel."""

    name: str
    label: int
    grid: Grid
    digest: bytes
    first: Tensor
    second: Tensor


def survey(splits: Splits, source: str, tick: Callable[[int], object] = lambda done: None) -> Survey:
    """Every image decoded once, at its own size; `tick` hears how many are done. Raises nothing of its own: what cannot
    be read is in the result.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    counts: dict[str, dict[str, int]] = {}
    grids: Counter[Grid] = Counter()
    skipped: list[Skipped] = list(splits.skipped)
    learnt: dict[bytes, _Seen] = {}
    doubles, contradictions, inside, sums, cells, done = [], [], 0, torch.zeros(2, 3, dtype=torch.double), 0, 0
    for split, images in parts.items():
        if images is None or (split == "validation" and images is splits.test):
            continue
        there = counts[split] = dict.fromkeys(images.classes, 0)
        for seen in _resident(images, split) if isinstance(images, Images) else _streamed(images):
            tick(done := done + 1)
            if isinstance(seen, Skipped):
                skipped.append(seen)
                continue
            there[images.classes[seen.label]] += 1
            grids[seen.grid] += 1
            if split == "train":
                first = learnt.setdefault(seen.digest, seen)
                inside += first is not seen
                if first.label != seen.label:
                    classes = images.classes
                    contradictions.append(
                        Contradiction(first.name, classes[first.label], seen.name, classes[seen.label])
                    )
                sums[0] += seen.first
                sums[1] += seen.second
                cells += seen.grid[0] * seen.grid[1]
            elif seen.digest in learnt:
                doubles.append(Double(seen.name, learnt[seen.digest].name))
    mean = sums[0] / max(1, cells)
    std = (sums[1] / max(1, cells) - mean**2).clamp(min=0).sqrt()
    channels = splits.preprocessing.channels
    return Survey(
        source,
        counts,
        _sizes(grids),
        tuple(mean.tolist())[:channels],
        tuple(std.tolist())[:channels],
        tuple(doubles),
        inside,
        tuple(contradictions),
        tuple(skipped),
        others(Path(splits.origin)) if _in_a_folder(splits) else {},
    )


def _in_a_folder(splits: Splits) -> bool:
    train = splits.train
    return Path(splits.origin).is_dir() and isinstance(train, Streamed) and isinstance(train.pictures[0], File)


def _resident(images: Images, split: str) -> Iterator[_Seen]:
    """Every image, in order; what is added up is added up for many at once."""
    for at in range(0, len(images), AT_ONCE):
        pixels, labels = images.pixels[at : at + AT_ONCE], images.labels[at : at + AT_ONCE].tolist()
        for i, (label, first, second) in enumerate(zip(labels, *_sums(pixels), strict=True)):
            yield _Seen(f"{split} {at + i}", label, images.volume.grid, _digest(pixels[i]), first, second)


def _streamed(images: Streamed) -> Iterator[_Seen | Skipped]:
    """Every image, in order; threads decode."""

    def look(i: int) -> _Seen | Skipped:
        name = images.pictures[i].name
        try:
            pixels = images.pictures[i].read(images.rule.channels)
        except Refusal as refusal:
            return Skipped(Path(name), str(refusal))
        first, second = _sums(pixels.unsqueeze(0))
        grid = (pixels.shape[1], pixels.shape[2])
        return _Seen(name, int(images.labels[i]), grid, _digest(pixels), first[0], second[0])

    with ThreadPoolExecutor(cores()) as pool:
        for at in range(0, len(images), AT_ONCE):  # so that results do not pile up
            yield from pool.map(look, range(at, min(at + AT_ONCE, len(images))))


def _sums(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Of the values 0..1 of uint8 N×C×H×W and of their squares, double N×C."""
    cells = pixels.flatten(2).int()
    return cells.sum(2).double() / 255, cells.square().sum(2).double() / 255**2


def _digest(pixels: Tensor) -> bytes:
    """The same of the same pixels only."""
    return blake2b(pixels.contiguous().numpy().tobytes(), digest_size=16, salt=b"%d" % pixels.shape[2]).digest()


def _sizes(grids: Counter[Grid]) -> dict[str, Grid]:
    every = sorted(grids.elements(), key=lambda grid: (grid[0] * grid[1], grid))
    return {"smallest": every[0], "median": every[len(every) // 2], "largest": every[-1]} if every else {}
