"""What is in a data set: counted, measured, and looked through for what would spoil a training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.data.images import Images, Skipped, Splits, Streamed
from striate.data.preprocessing import Grid


class Double(NamedTuple):
    """The same pixels twice: a test image that is learnt from is no test."""

    test: str
    train: str


@dataclass(frozen=True)
class Survey:
    """`counts[split][class]`; sizes height × width as they are in the files; mean and deviation of the channels of the
    training images, 0..1, each image weighing by its area; `inside` are images that the training set has twice.
    """

    source: str
    counts: dict[str, dict[str, int]]
    sizes: dict[str, Grid]  # smallest, median, largest, by area
    mean: tuple[float, ...]
    std: tuple[float, ...]
    doubles: tuple[Double, ...]
    inside: int
    skipped: tuple[Skipped, ...]

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
            "unreadable": [{"path": str(path), "reason": reason} for path, reason in self.skipped],
        }


class _Seen(NamedTuple):
    """Of one image: its name, label, grid, digest, and sums over its pixels by channel."""

    name: str
    label: int
    grid: Grid
    digest: bytes
    first: Tensor
    second: Tensor


def survey(splits: Splits, source: str) -> Survey:
    """Every image decoded once, at its own size. Raises nothing of its own: what cannot be read is in the result."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    counts: dict[str, dict[str, int]] = {}
    grids: Counter[Grid] = Counter()
    skipped: list[Skipped] = list(splits.skipped)
    learnt: dict[bytes, str] = {}
    doubles, inside, sums, cells = [], 0, torch.zeros(2, 3, dtype=torch.double), 0
    for split, images in parts.items():
        if images is None or (split == "validation" and images is splits.test):
            continue
        there = counts[split] = dict.fromkeys(images.classes, 0)
        for seen in _seen(images, split):
            if isinstance(seen, Skipped):
                skipped.append(seen)
                continue
            there[images.classes[seen.label]] += 1
            grids[seen.grid] += 1
            if split == "train":
                inside += seen.digest in learnt
                learnt.setdefault(seen.digest, seen.name)
                sums[0] += seen.first
                sums[1] += seen.second
                cells += seen.grid[0] * seen.grid[1]
            elif seen.digest in learnt:
                doubles.append(Double(seen.name, learnt[seen.digest]))
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
        tuple(skipped),
    )


def _seen(images: Images | Streamed, split: str) -> Iterator[_Seen | Skipped]:
    """Every image, in order; threads decode."""
    from pathlib import Path

    def look(i: int) -> _Seen | Skipped:
        if isinstance(images, Images):
            name, pixels = f"{split} {i}", images.pixels[i]
        else:
            name = images.pictures[i].name
            try:
                pixels = images.pictures[i].read(images.rule.channels)
            except Refusal as refusal:
                return Skipped(Path(name), str(refusal))
        digest = blake2b(pixels.contiguous().numpy().tobytes(), digest_size=16, salt=b"%d" % pixels.shape[2])
        values = pixels.flatten(1).double() / 255
        first, second = values.sum(1), values.square().sum(1)
        grid = (pixels.shape[1], pixels.shape[2])
        return _Seen(name, int(images.labels[i]), grid, digest.digest(), first, second)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for at in range(0, len(images), 1024):  # so that results do not pile up
            yield from pool.map(look, range(at, min(at + 1024, len(images))))


def _sizes(grids: Counter[Grid]) -> dict[str, Grid]:
    every = sorted(grids.elements(), key=lambda grid: (grid[0] * grid[1], grid))
    return {"smallest": every[0], "median": every[len(every) // 2], "largest": every[-1]} if every else {}
