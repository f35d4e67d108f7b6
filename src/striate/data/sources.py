"""`open_data`: from a word or a path to splits that a network can read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from striate.blueprint import CannotRead, CannotTrain
from striate.data import digits, folder, idx
from striate.data.images import Images, Splits
from striate.data.preprocessing import Grid, Preprocessing

WAYS = (
    "Data is: digits (they come with scikit-learn), a folder of IDX files as MNIST has them, "
    "or a folder with a folder of images for each class."
)
SMALLEST, LARGEST = 1, 4096


def open_data(source: str | Path, size: int | Grid | None = None, channels: int | None = None, seed: int = 0) -> Splits:
    """`"digits"`, a folder of IDX files, or a folder of pictures, as uint8 tensors of `channels`×`size`.

    `size` (None: as the images are) is the network's input: images a little smaller get zeros around them (28 -> 32, as
    LeCun's), others are scaled (antialiased bilinear; the short side, then the centre). `seed` splits a folder that
    comes without splits. Raises CannotRead for what is not there or not whole, CannotTrain for what cannot be learnt
    from.
    """
    grid = (size, size) if isinstance(size, int) else size
    if grid and not all(SMALLEST <= n <= LARGEST for n in grid):
        raise CannotTrain(f"Cannot make images of {grid[0]}×{grid[1]}: sides go from {SMALLEST} to {LARGEST:,}.")
    if channels not in (None, 1, 3):
        raise CannotTrain(f"Cannot make images of {channels} channels: grey is 1, colour 3.")
    if str(source) == "digits":
        return _fitted(*digits.digits(), grid, channels)
    path = Path(source)
    if not path.is_dir():
        kind = "a file, not a folder" if path.is_file() else "not there"
        raise CannotRead(
            f"Cannot read data from {source}: it is {kind}.",
            "",
            WAYS,
        )
    if idx.is_idx(path):
        return _fitted(*idx.read(path), grid, channels)
    return folder.read(path, channels, grid, seed)


def _fitted(train: Images, test: Images, size: Grid | None, channels: int | None) -> Splits:
    """Splits of images that are all of one grid."""
    if len(train.labels.unique()) < 2:
        raise CannotTrain(
            f"Cannot learn from {train.source}: one class in its {len(train):,} images. To tell apart takes two."
        )
    native = train.volume
    rule = Preprocessing.fitting(channels or native.channels, native.grid, size)
    train, test = (replace(images, pixels=rule.prepare(images.pixels)) for images in (train, test))
    return Splits(
        train, test, rule.measured(train.pixels), told=f"{len(train) + len(test):,} images, {rule.told(native.grid)}"
    )
