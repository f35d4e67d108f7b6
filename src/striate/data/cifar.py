"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"): 32×32 colour.

Both forms in which they are given out: binary batches (a byte or two of labels, then 3,072 of pixels, an image), and
Python's, read without running anything that is in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from striate.blueprint import CannotRead
from striate.data import pickled
from striate.data.images import Images
from striate.data.memory import room_for

SIDE, PIXELS = 32, 3 * 32 * 32
LONGEST = 1 << 16  # bytes of a list of names


class Layout(NamedTuple):
    """How one of the four folders is written: its files, and what stands where in them."""

    name: str
    train: tuple[str, ...]
    test: str
    names: str  # the file that says what the labels stand for
    many: int  # classes
    labels: int = 0  # binary: bytes before an image's pixels, the last of them the label
    keys: tuple[bytes, bytes] = (b"", b"")  # python: of the labels, and of the names


LAYOUTS = (
    Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        10,
        labels=1,
    ),
    Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 100, labels=2),
    Layout(
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
        10,
        keys=(b"labels", b"label_names"),
    ),
    Layout("cifar-100-python", ("train",), "test", "meta", 100, keys=(b"fine_labels", b"fine_label_names")),
)


def find(root: Path) -> tuple[Path, Layout] | None:
    """The folder that holds the batches (`root`, or the one in it that bears their name) and how they are written."""
    for layout in LAYOUTS:
        for folder in (root, root / layout.name):
            if all((folder / name).is_file() for name in (layout.train[0], layout.test)):
                return folder, layout
    return None


def read(folder: Path, layout: Layout) -> tuple[Images, Images]:
    """(train, test). Raises CannotRead: one missing, cut short, or something else."""
    every = (*layout.train, layout.test, layout.names)
    if missing := [name for name in every if not (folder / name).is_file()]:
        raise CannotRead(
            f"Cannot read {folder}: it has no {missing[0]}.", ways=f"{layout.name} has {', '.join(every)}."
        )
    room_for(sum((folder / name).stat().st_size for name in every), f"{layout.name}")
    classes = _classes(folder / layout.names, layout)
    train, test = ([_batch(folder / name, layout) for name in names] for names in (layout.train, (layout.test,)))
    return _images(train, classes, folder), _images(test, classes, folder)


def _images(batches: list[tuple[np.ndarray, np.ndarray]], classes: tuple[str, ...], folder: Path) -> Images:
    pixels = torch.from_numpy(np.concatenate([pixels for pixels, _ in batches])).view(-1, 3, SIDE, SIDE)
    labels = torch.from_numpy(np.concatenate([labels for _, labels in batches])).long()
    return Images(pixels, labels, classes, str(folder))


def _batch(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 N×3072 (red, green, blue, each by rows) and labels N."""
    pixels, labels = _python(path, layout.keys[0]) if layout.keys[0] else _binary(path, layout.labels)
    if not len(labels):
        raise CannotRead(f"Cannot read {path}: there are no images in it.")
    if len(wrong := labels[(labels < 0) | (labels >= layout.many)]):
        raise CannotRead(
            f"Cannot read {path}: it has the label {wrong[0]}, of {layout.many} classes.",
            ways="It is some other file, or damaged.",
        )
    return pixels, labels


def _binary(path: Path, before: int) -> tuple[np.ndarray, np.ndarray]:
    record = before + PIXELS
    flat = np.fromfile(path, np.uint8)
    if len(flat) % record:
        raise CannotRead(
            f"Cannot read {path}: {len(flat):,} bytes are {len(flat) // record:,} images of {record:,} bytes "
            f"and {len(flat) % record:,} more.",
            ways="It was cut short or changed; fetch it again.",
        )
    records = flat.reshape(-1, record)
    return records[:, before:], records[:, before - 1]


def _python(path: Path, key: bytes) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = _entries(path, b"data", key)
    if not (isinstance(pixels, np.ndarray) and isinstance(labels, list) and all(type(v) is int for v in labels)):
        raise CannotRead(f"Cannot read {path}: its data is no array, or its labels are no whole numbers.")
    if pixels.shape != (len(labels), PIXELS):
        raise CannotRead(
            f"Cannot read {path}: its data is {'×'.join(map(str, pixels.shape))}, its {len(labels):,} labels want "
            f"{len(labels)}×{PIXELS}."
        )
    return pixels, np.array(labels, np.int64)


def _entries(path: Path, *keys: bytes) -> list[Any]:
    table = pickled.read(path)
    if not isinstance(table, dict) or (missing := [key for key in keys if key not in table]):
        lacks = "a table" if not isinstance(table, dict) else missing[0].decode()
        raise CannotRead(f"Cannot read {path}: {lacks} is not in it.", ways="It is some other file.")
    return [table[key] for key in keys]


def _classes(path: Path, layout: Layout) -> tuple[str, ...]:
    if layout.keys[0]:
        names = _entries(path, layout.keys[1])[0]
        found = [name.decode("utf-8", "replace") for name in names if isinstance(name, bytes)]
    else:
        with path.open("rb") as file:
            lines = file.read(LONGEST).decode("utf-8", "replace").splitlines()
        found = [line.strip() for line in lines if line.strip()]
    if len(found) != layout.many or len(set(found)) != layout.many:
        raise CannotRead(f"Cannot read {path}: {len(set(found))} names, {layout.many} classes.")
    return tuple(found)
