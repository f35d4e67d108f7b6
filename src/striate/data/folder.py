"""A folder of pictures: one folder a class, in train and val (or test) folders or split here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from striate.blueprint import CannotRead
from striate.data.decode import SUFFIXES
from striate.data.images import Picture, Splits, stratified
from striate.data.opening import Listing, Opening, opened
from striate.data.pictures import File

TRAIN, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
HELD = 0.2  # of a folder without splits, for the test


def read(root: Path, how: Opening) -> Splits:
    """A folder of pictures as splits. Raises CannotRead, CannotTrain."""
    return opened(*_listings(root, how.seed), str(root), how)


def _listings(root: Path, seed: int) -> tuple[dict[str, Listing], tuple[str, ...]]:
    """Paths and labels of each split ("train", and "test" or "validation" or both), and the classes, in alphabetical
    order.
    """
    parts = {
        name: found
        for name, words in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
        if (found := next((child for child in _folders(root) if child.name.lower() in words), None))
    }
    if "train" in parts and len(parts) == 1:
        raise CannotRead(
            f"Cannot learn from {root}: {parts['train'].name} is there, but neither val nor test.",
            "",
            "Add one of them, or name the folder of classes itself and it is split for you.",
        )
    if "train" not in parts:
        classes, listing = _classes(root)
        kept, held = stratified(listing.labels, HELD, seed)
        take = lambda index: Listing([listing.pictures[i] for i in index.tolist()], listing.labels[index])  # noqa: E731
        return {"train": take(kept), "test": take(held)}, classes
    classes, train = _classes(parts["train"])
    listings = {"train": train}
    for name, folder in parts.items():
        if name != "train":
            theirs, listings[name] = _classes(folder, known=classes)
            if unknown := [c for c in theirs if c not in classes]:
                here = parts["train"].name
                raise CannotRead(
                    f"Cannot learn from {root}: {folder.name} has the class {unknown[0]}, {here} has not.",
                    f"{here}: {', '.join(classes)}.",
                )
    return listings, classes


def _classes(folder: Path, known: tuple[str, ...] = ()) -> tuple[tuple[str, ...], Listing]:
    """The class folders of a folder and what is in them; labels by their place in `known`, or else in the alphabet."""
    found = {child.name: _pictures(child) for child in _folders(folder)}
    found = {name: paths for name, paths in found.items() if paths or _folders(folder)}
    if not any(found.values()):
        loose = len(_pictures(folder))
        fact = f"its {loose} images are in no class folder" if loose else "there are no images in it"
        raise CannotRead(
            f"Cannot learn from {folder}: {fact}.",
            "",
            f"Make a folder for each class, for instance {folder}/ants and {folder}/bees, with {_kinds()} in them.",
        )
    if empty := [name for name, paths in found.items() if not paths]:
        raise CannotRead(
            f"Cannot learn from {folder}: {empty[0]} has no images.", "", f"Fill it with {_kinds()}, or take it away."
        )
    if len(found) == 1 and not known:
        raise CannotRead(
            f"Cannot learn from {folder}: one class, {next(iter(found))}. To tell apart takes two.",
            "",
            "Add a folder with images of something else.",
        )
    if not known and (few := [name for name, paths in found.items() if len(paths) < 2]):
        raise CannotRead(
            f"Cannot learn from {folder}: {few[0]} has one image. To learn and to be judged takes two.",
            "",
            "Add images, or take the class away.",
        )
    classes = tuple(found)
    place = {name: i for i, name in enumerate(known or classes)}
    paths: list[Picture] = [File(path) for name in classes for path in found[name]]
    labels = [place.get(name, -1) for name in classes for _ in found[name]]
    return classes, Listing(paths, torch.tensor(labels))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, in an order that does not depend on the disk."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in SUFFIXES)


def others(folder: Path) -> dict[str, int]:
    """How many files below a folder are no pictures by their names, by suffix: the most first."""
    suffixes = (path.suffix.lower() for path in _files(folder))
    return dict(Counter(suffix for suffix in suffixes if suffix not in SUFFIXES).most_common())


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden, links not followed into folders."""

    def refuse(error: OSError) -> None:
        raise CannotRead(f"Cannot read {error.filename}: {(error.strerror or str(error)).lower()}.") from None

    for where, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(where, name) for name in names if not name.startswith("."))


def _kinds() -> str:
    return "JPEG, PNG or other pictures"
