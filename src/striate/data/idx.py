"""A folder of IDX files: MNIST, Fashion-MNIST and their kin (yann.lecun.com/exdb/mnist, "the IDX file format"), gzipped
or not.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO

import torch

from striate.blueprint import CannotRead
from striate.data.images import Images
from striate.data.memory import room_for

LARGEST = 1 << 14  # an image's side
MOST = 100_000_000  # images
LABELS = 256
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
NAMES = {  # split -> how its files begin; images and labels follow
    "train": ("train-images", "train-labels"),
    "test": ("t10k-images", "t10k-labels"),
}


def find(folder: Path, start: str) -> Path | None:
    """train-images-idx3-ubyte, train-images.idx3-ubyte, either with .gz; the plain one first."""
    found = sorted(
        path for path in folder.glob(f"{start}[.-]idx?-ubyte*") if path.name.endswith(("-ubyte", "-ubyte.gz"))
    )
    return found[0] if found else None


def is_idx(folder: Path) -> bool:
    return any(find(folder, start) for starts in NAMES.values() for start in starts)


def read(folder: Path) -> tuple[Images, Images]:
    """(train, test) of a folder with the four files. Raises CannotRead: one missing, cut short, or something else."""
    train, test = (_split(folder, *NAMES[split]) for split in ("train", "test"))
    if train.volume != test.volume or max(test.labels) >= len(train.classes):
        raise CannotRead(
            f"Cannot read {folder}: its two parts do not belong together.",
            f"train: {train.volume}, {len(train.classes)} classes; test: {test.volume}, {int(max(test.labels)) + 1} classes.",
        )
    return train, Images(test.pixels, test.labels, train.classes, test.source)


def _split(folder: Path, images: str, labels: str) -> Images:
    paths = [find(folder, start) for start in (images, labels)]
    for path, start in zip(paths, (images, labels), strict=True):
        if path is None:
            raise CannotRead(
                f"Cannot read {folder}: it has no {start}-idx?-ubyte (or .gz).",
                "",
                "MNIST's four files are train-images, train-labels, t10k-images, t10k-labels.",
            )
    pixels, targets = _read(paths[0], 3), _read(paths[1], 1)  # type: ignore[arg-type]
    if len(pixels) != len(targets):
        raise CannotRead(
            f"Cannot read {folder}: {len(pixels):,} images in {paths[0].name}, {len(targets):,} labels in {paths[1].name}."
        )  # type: ignore[union-attr]
    known = FASHION if "fashion" in str(folder.resolve()).lower() else tuple(map(str, range(LABELS)))
    count = int(targets.max()) + 1
    classes = known[:count] if count <= len(known) else tuple(map(str, range(count)))
    return Images(pixels.unsqueeze(1), targets.long(), classes, str(folder))


def _read(path: Path, axes: int) -> torch.Tensor:
    """One file: 00 00 08 (unsigned bytes), the number of axes, each axis as 4 bytes, then the values, last axis
    fastest.
    """
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        wanted = 4 * (1 + axes)
        head = _bytes(file, wanted)
        if len(head) < wanted:
            raise CannotRead(
                f"Cannot read {path}: an IDX header has {wanted} bytes, {len(head)} are there.",
                "",
                "Fetch the file again.",
            )
        if head[:4] != bytes([0, 0, 8, axes]):
            raise CannotRead(
                f"Cannot read {path}: it begins {head[:4].hex(' ')}, where an IDX file of {'images' if axes == 3 else 'labels'} begins 00 00 08 {axes:02}.",
                "",
                "It is some other file, or it was compressed and its name does not end in .gz."
                if head[:2] == b"\x1f\x8b"
                else "It is some other file.",
            )
        shape = [int.from_bytes(head[4 * i : 4 * i + 4], "big") for i in range(1, axes + 1)]
        count, *sides = shape
        if not 0 < count <= MOST or any(not 0 < side <= LARGEST for side in sides):
            raise CannotRead(
                f"Cannot read {path}: its header states {'×'.join(map(str, shape))}.",
                f"At most {MOST:,} images of {LARGEST:,}×{LARGEST:,}, and at least one.",
            )
        room_for(prod(shape), f"the {count:,} items that {path.name} states")
        body = _bytes(file, prod(shape) + 1)
    if len(body) != prod(shape):
        found = f"{len(body) + wanted:,} found" if len(body) < prod(shape) else "more found"
        raise CannotRead(
            f"Cannot read {path}: {'×'.join(map(str, shape))} makes {prod(shape) + wanted:,} bytes with the header, {found}.",
            "",
            "It was cut short or changed; fetch it again.",
        )
    return torch.frombuffer(body, dtype=torch.uint8).view(shape)


def _bytes(file: IO[bytes], count: int) -> bytearray:
    """Up to `count` bytes: those before the end, or before the place where a compressed file is damaged."""
    body = bytearray()
    try:
        while len(body) < count and (part := file.read(min(1 << 24, count - len(body)))):
            body += part
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # what was whole is counted, and the count is what the refusal says
    return body
