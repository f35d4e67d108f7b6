"""A folder of IDX files: MNIST, Fashion-MNIST and their kin (yann.lecun.com/exdb/mnist, "the IDX file format"), gzipped
or not.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import IO, cast

import torch

from striate.blueprint import CannotRead
from striate.data.images import Images
from striate.data.memory import room_for

LARGEST = 1 << 14  # an image's side
MOST = 100_000_000  # images
GZIP = b"\x1f\x8b"
DENSEST = 1032  # bytes that a byte of deflate can stand for (zlib.net/zlib_tech.html)
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
    if train.volume != test.volume or (highest := int(test.labels.max())) >= len(train.classes):
        raise CannotRead(
            f"Cannot read {folder}: its two parts do not belong together.",
            f"train: {train.volume}, {len(train.classes)} classes; test: {test.volume}, labels up to {highest}.",
        )
    return train, replace(test, classes=train.classes)


def _split(folder: Path, *starts: str) -> Images:
    paths = [found for start in starts if (found := find(folder, start))]
    if len(paths) < len(starts):
        missing = next(start for start in starts if not find(folder, start))
        raise CannotRead(
            f"Cannot read {folder}: it has no {missing}-idx?-ubyte, and none with .gz.",
            ways="MNIST's four files are train-images, train-labels, t10k-images and t10k-labels.",
        )
    pixels, targets = _read(paths[0], 3), _read(paths[1], 1)
    if len(pixels) != len(targets):
        names = [path.name for path in paths]
        raise CannotRead(f"Cannot read {folder}: {len(pixels):,} in {names[0]}, {len(targets):,} in {names[1]}.")
    known = FASHION if "fashion" in str(folder.resolve()).lower() else ()
    count = int(targets.max()) + 1
    classes = known[:count] if count <= len(known) else tuple(map(str, range(count)))
    return Images(pixels.unsqueeze(1), targets.long(), classes, str(folder))


def _read(path: Path, axes: int) -> torch.Tensor:
    """One file: 00 00 08 (unsigned bytes), the number of axes, each axis as 4 bytes; then the values."""
    with path.open("rb") as file:
        if path.suffix == ".gz" and (start := file.read(2)) not in (b"", GZIP):
            fact = f"Cannot read {path}: it begins {start.hex(' ')}, a .gz file begins {GZIP.hex(' ')}."
            raise CannotRead(fact, ways="If it is not compressed, take .gz off its name; else fetch it again.")
    with cast(IO[bytes], (gzip.open if path.suffix == ".gz" else open)(path, "rb")) as file:
        shape = _header(path, _bytes(file, 4 * (1 + axes)), axes)
        size = prod(shape)
        room_for(size, f"the {shape[0]:,} items that {path.name} states")
        if path.suffix == ".gz" and size > (most := DENSEST * path.stat().st_size):
            stated = f"{'×'.join(map(str, shape))} = {size:,} bytes are stated"
            fact = f"Cannot read {path}: {stated}, its {path.stat().st_size:,} compressed ones hold at most {most:,}."
            raise CannotRead(fact, ways="It was cut short or changed; fetch it again.")
        body = _bytes(file, size + 1)
    if len(body) != size:
        header = 4 * (1 + axes)
        found = f"{len(body) + header:,} bytes were found" if len(body) < size else "more were found"
        stated = f"{'×'.join(map(str, shape))} + {header} = {size + header:,} bytes are stated"
        raise CannotRead(f"Cannot read {path}: {stated}, {found}.", ways="It was cut short or changed; fetch it again.")
    return torch.frombuffer(body, dtype=torch.uint8).view(shape)


def _header(path: Path, head: bytearray, axes: int) -> list[int]:
    """The axes that a header states. Raises CannotRead."""
    if head[:4] != bytes([0, 0, 8, axes]):
        kind = {1: "labels", 3: "images"}[axes]
        fact = f"it begins {head[:4].hex(' ') or 'and ends at once'}, an IDX file of {kind} begins 00 00 08 {axes:02}"
        zipped = "It was compressed, and its name does not end in .gz." if head[:2] == GZIP else ""
        raise CannotRead(f"Cannot read {path}: {fact}.", ways=zipped or "It is some other file, or damaged.")
    if len(head) < 4 * (1 + axes):
        raise CannotRead(
            f"Cannot read {path}: {len(head)} bytes were found, its header alone has {4 * (1 + axes)}.",
            ways="It was cut short; fetch it again.",
        )
    shape = [int.from_bytes(head[4 * i : 4 * i + 4], "big") for i in range(1, axes + 1)]
    if not 0 < shape[0] <= MOST or any(not 0 < side <= LARGEST for side in shape[1:]):
        raise CannotRead(
            f"Cannot read {path}: its header states {'×'.join(map(str, shape))}.",
            f"From 1 to {MOST:,} images of at most {LARGEST:,}×{LARGEST:,} can be read.",
        )
    return shape


def _bytes(file: IO[bytes], count: int) -> bytearray:
    """Up to `count` bytes: those before the end, or before the place where a compressed file is damaged."""
    body = bytearray()
    try:
        while len(body) < count and (part := file.read(min(1 << 24, count - len(body)))):
            body += part
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # what was whole is counted, and the count is what the refusal says
    return body
