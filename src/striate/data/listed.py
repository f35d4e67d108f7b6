"""Pictures that come with their labels as words: a CSV of paths, tar shards, a torch Dataset."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from striate.blueprint import CannotRead
from striate.data import shards
from striate.data.folder import HELD, TEST, TRAIN, VALIDATION
from striate.data.images import Picture, Splits, stratified
from striate.data.opening import Listing, Opening, opened
from striate.data.pictures import File, Item

LONGEST = 1 << 30  # bytes of a CSV
PARTS = {word: name for name, words in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)) for word in words}


def read_csv(path: Path, how: Opening) -> Splits:
    """Lines of path,label or path,label,split; paths start from the list's own folder; a first line that says "path" is
    a heading. Raises CannotRead, CannotTrain.
    """
    if (size := path.stat().st_size) > LONGEST:
        raise CannotRead(f"Cannot read {path}: {size:,} bytes, at most {LONGEST:,} for a list.")
    pictures: list[Picture] = []
    labels, parts = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file, strict=True), 1):
                cells = [cell.strip() for cell in row]
                if not any(cells) or (number == 1 and cells[0].lower() in ("path", "image", "file", "filename")):
                    continue
                part = PARTS.get(cells[2].lower()) if len(cells) == 3 else ""
                if not 2 <= len(cells) <= 3 or not all(cells) or part is None:
                    raise CannotRead(
                        f"Cannot read {path}: line {number} is {','.join(row)[:80]!r}.",
                        ways="A line is path,label or path,label,split, split one of train, val, test.",
                    )
                pictures.append(File(path.parent / cells[0]))
                labels.append(cells[1])
                parts.append(part)
    except (UnicodeDecodeError, csv.Error) as error:
        raise CannotRead(
            f"Cannot read {path}: {error}.", ways="A list is UTF-8 text, a line of path,label each."
        ) from None
    return _splits(pictures, labels, parts, str(path), how)


def read_shards(paths: list[Path], source: str, how: Opening) -> Splits:
    """Tar shards. Where their names (train-0007.tar) or folders (val/0007.tar) tell several splits, it is those, else
    it is split by the seed. Raises CannotRead, CannotTrain.
    """
    pictures, labels = shards.listed(paths)
    parts = {path: _part(path) for path in paths}
    several = len(set(parts.values())) > 1
    return _splits(list(pictures), labels, [parts[p.archive] if several else "" for p in pictures], source, how)


def _part(path: Path) -> str:
    """The split that a shard's name tells, or else its folder's; "" where none is told."""
    words = [*re.split("[^a-z]+", path.stem.lower()), path.parent.name.lower()]
    return next((PARTS[word] for word in words if word in PARTS), "")


def read_dataset(dataset: Any, how: Opening) -> Splits:
    """Any torch Dataset with a length, of (image, label). Raises CannotRead, CannotTrain."""
    name = type(dataset).__name__
    try:
        count = len(dataset)
    except TypeError:
        raise CannotRead(f"Cannot learn from {name}: it has no length, so it could not be shuffled.") from None
    targets = getattr(dataset, "targets", None)
    if targets is None or len(targets) != count:
        targets = [_target(dataset, i) for i in range(count)]
    numbers = [target.item() if hasattr(target, "item") else target for target in targets]
    known = getattr(dataset, "classes", None)
    if known and all(isinstance(n, int) and 0 <= n < len(known) for n in numbers):
        labels, classes = [str(known[n]) for n in numbers], tuple(map(str, known))
    else:
        labels, classes = list(map(str, numbers)), ()
    return _splits([Item(dataset, i) for i in range(count)], labels, [""] * count, name, how, classes)


def _target(dataset: Any, i: int) -> Any:
    try:
        _, target = dataset[i]
    except (TypeError, ValueError):
        name = type(dataset).__name__
        raise CannotRead(f"Cannot learn from {name}: its item {i} is not a pair of image and label.") from None
    return target


def _splits(
    pictures: Sequence[Picture],
    labels: list[str],
    parts: list[str],
    source: str,
    how: Opening,
    classes: tuple[str, ...] = (),
) -> Splits:
    """By `parts` where they are said, else by the seed."""
    found = sorted(set(labels), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    classes = classes or tuple(found)
    if len(found) < 2:
        what = f"one class, {found[0]}. To tell apart takes two" if found else "there are no images in it"
        raise CannotRead(f"Cannot learn from {source}: {what}.")
    place = {name: i for i, name in enumerate(classes)}
    targets = torch.tensor([place[label] for label in labels])
    groups: dict[str, torch.Tensor]
    if any(parts):
        groups = {
            name: torch.tensor([i for i, part in enumerate(parts) if part == name]).long()
            for name in ("train", "validation", "test")
            if name in parts
        }
        if not all(parts) or "train" not in groups or len(groups) < 2:
            raise CannotRead(
                f"Cannot learn from {source}: its splits are {', '.join(groups)}"
                f"{'' if all(parts) else ', and of some images none is said'}.",
                ways="Say train, and val or test, of every one; or say none, and it is split for you.",
            )
    else:
        groups = dict(zip(("train", "test"), stratified(targets, HELD, how.seed), strict=True))
    listings = {name: Listing([pictures[i] for i in group.tolist()], targets[group]) for name, group in groups.items()}
    return opened(listings, classes, source, how)
