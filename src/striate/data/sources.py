"""`open_data`: from a word or a path to splits that a network can read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from striate.blueprint import CannotRead, CannotTrain
from striate.data import cifar, digits, folder, idx, listed, shards
from striate.data.images import Images, Splits
from striate.data.memory import SMALLER, room_for
from striate.data.opening import Counting, Opening, Rule, unheard
from striate.data.preprocessing import LARGEST, Grid, Preprocessing

WAYS = (
    "Data is: digits (they come with scikit-learn), a folder of IDX files as MNIST has them, CIFAR's batches, "
    "a folder with a folder of images for each class, a .csv of path,label, or shards/{0000..0127}.tar."
)
COMPRESSED = frozenset((".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar"))
SEEDS = 1 << 31


def open_data(
    source: str | Path | Dataset[Any],
    size: int | Grid | None = None,
    channels: int | None = None,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    looking: bool = False,
    streamed: bool | None = None,
    counting: Counting = unheard,
) -> Splits:
    """`"digits"`, a folder of IDX files, of CIFAR's batches or of pictures, a CSV of path,label, tar shards (a folder,
    or `shards/{train,val}-{0000..0127}.tar`), or any torch Dataset with a length, as uint8 of `channels`×`size`: in
    memory where it takes less than four fifths of what is free, else streamed; or, of pictures, as `streamed` says.

    `size` (None: as the images are) is the network's input: images a little smaller get zeros around them (28 -> 32, as
    LeCun's), others are scaled (antialiased bilinear; the short side, then the centre). With `preprocessing`, a trained
    network's, they are prepared as it says. `seed` splits a folder that comes without splits. Who is only `looking`
    gets files where they lie, however many of them cannot be read. `counting` is asked, where pictures are decoded into
    memory, for what is to hear how many are done: it is told how many there are, and gives a context.

    Raises CannotRead for what is not there or not whole, CannotTrain for what cannot be learnt from.
    """
    grid = (size, size) if isinstance(size, int) else size
    if grid and not all(1 <= n <= LARGEST for n in grid):
        raise CannotTrain(f"Cannot make images of {grid[0]}×{grid[1]}: sides go from 1 to {LARGEST:,}.")
    if not 0 <= seed < SEEDS:
        raise CannotTrain(f"Cannot split by the seed {seed}: seeds go from 0 to {SEEDS - 1:,}.")
    if channels not in (None, 1, 3):
        raise CannotTrain(f"Cannot make images of {channels} channels: grey is 1, colour 3.")

    def rule(seen: int, native: Grid | None) -> Preprocessing:
        return preprocessing or Preprocessing.fitting(channels or seen, native, grid)

    how = Opening(rule, seed, looking, streamed, counting)
    if not isinstance(source, str | Path):
        return listed.read_dataset(source, how)
    if not str(source).strip():
        raise CannotRead("Cannot read data: its path is empty.", ways=WAYS)
    origin = "digits" if str(source) == "digits" else os.path.abspath(source)
    return replace(_opened(source, how), origin=origin, seed=seed)


def _opened(source: str | Path, how: Opening) -> Splits:
    path = Path(source)
    if path.suffix == ".tar":
        return listed.read_shards(shards.expanded(str(source)), str(source), how)
    if path.suffix == ".csv" and path.is_file():
        return listed.read_csv(path, how)
    if str(source) == "digits":
        return _fitted(*digits.digits(), how.fitting)
    if not path.is_dir():
        if path.suffix.lower() in COMPRESSED and path.is_file():
            raise CannotRead(
                f"Cannot read data from {source}: it is compressed.",
                ways="Unpack it: folders are read, and plain .tar shards where they lie.",
            )
        kind = "a file, not a folder" if path.is_file() else "not there"
        raise CannotRead(f"Cannot read data from {source}: it is {kind}.", ways=WAYS)
    if idx.is_idx(path):
        return _fitted(*idx.read(path), how.fitting)
    if batches := cifar.find(path):
        return _fitted(*cifar.read(*batches), how.fitting)
    if tars := shards.within(path):
        return listed.read_shards(tars, str(source), how)
    return folder.read(path, how)


def _fitted(train: Images, test: Images, rule: Rule) -> Splits:
    """Splits of images that are all of one grid."""
    if len(train.labels.unique()) < 2:
        count = len(train)
        raise CannotTrain(
            f"Cannot learn from {train.source}: one class in its {count:,} images. To tell apart takes two."
        )
    native, count = train.volume, len(train) + len(test)
    wanted = rule(native.channels, native.grid)
    room_for(count * wanted.volume.size, f"{count:,} images of {wanted.volume}", SMALLER)
    train, test = (replace(images, pixels=wanted.prepare(images.pixels).contiguous()) for images in (train, test))
    return Splits(train, test, wanted.measured(train.pixels), told=f"{count:,} images, {wanted.told(native.grid)}")
