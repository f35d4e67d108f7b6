"""A folder of pictures: one folder a class, in train and val (or test) folders or split here."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import CannotRead, Refusal
from striate.data.decode import SUFFIXES, Header, read_header, read_image
from striate.data.images import Images, Skipped, Splits, stratified
from striate.data.memory import SMALLER, room_for
from striate.data.preprocessing import Grid, Preprocessing

TRAIN, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
HELD = 0.2  # of a folder without splits, for the test
LARGEST_ICON = 256  # images all of one grid are taken as they are up to this; photos may be of one size by chance
GLANCES = 64  # headers read to learn what the pictures are like
UNREADABLE = 0.05  # more than this share is not a blemish but a wrong folder


class Listing(NamedTuple):
    """Paths of one split and the class of each."""

    paths: list[Path]
    labels: Tensor


def read(root: Path, fitting: Callable[[int, Grid | None], Preprocessing], seed: int) -> Splits:
    """Everything decoded, prepared by the rule that `fitting` gives for images of so many channels and that grid (None:
    of many). Raises CannotRead, CannotTrain.
    """
    listings, classes = _listings(root, seed)
    every = [path for listing in listings.values() for path in listing.paths]
    seen = _glance(every)
    native = seen[0].grid if len({header.grid for header in seen}) == 1 else None
    if native and max(native) > LARGEST_ICON:
        native = None
    rule = fitting(max((header.channels for header in seen), default=3), native)
    room_for(len(every) * rule.volume.size, f"{len(every):,} images of {rule.volume}", SMALLER)
    images, skipped = {}, []
    for name, listing in listings.items():
        images[name], lost = _decoded(listing, classes, rule, str(root))
        skipped += lost
    if len(skipped) > UNREADABLE * len(every):
        raise CannotRead(
            f"Cannot learn from {root}: {len(skipped)} of its {len(every)} images cannot be read.",
            "\n    ".join(reason for _, reason in skipped[:3]),
            f"Up to {UNREADABLE:.0%} would be left out; take these away, or fetch them again.",
        )
    return Splits(
        images["train"],
        images["test"] if "test" in images else images["validation"],
        rule.measured(images["train"].pixels),
        images.get("validation") if "test" in images else None,
        tuple(skipped),
        f"{len(every):,} images, {rule.told(native)}",
    )


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
        take = lambda index: Listing([listing.paths[i] for i in index.tolist()], listing.labels[index])  # noqa: E731
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
    paths = [path for name in classes for path in found[name]]
    labels = [place.get(name, -1) for name in classes for _ in found[name]]
    return classes, Listing(paths, torch.tensor(labels))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, links not followed into folders, in an order that does not depend on the disk."""
    return sorted(
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )


def _kinds() -> str:
    return "JPEG, PNG or other pictures"


def _glance(paths: list[Path]) -> list[Header]:
    seen = []
    for path in paths[:: max(1, len(paths) // GLANCES)]:
        try:
            seen.append(read_header(path))
        except Refusal:
            continue  # counted where it is decoded
    return seen


def _decoded(
    listing: Listing, classes: tuple[str, ...], rule: Preprocessing, source: str
) -> tuple[Images, list[Skipped]]:
    """Threads decode (the decoders release the GIL) into one tensor; what cannot be read is left out, and why kept."""
    pixels = torch.empty(len(listing.paths), *rule.volume, dtype=torch.uint8)

    def decode(i: int) -> Skipped | None:
        try:
            pixels[i] = rule.prepare(read_image(listing.paths[i], rule.channels, rule.grid).unsqueeze(0))[0]
        except Refusal as refusal:
            return Skipped(listing.paths[i], str(refusal))
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lost = list(pool.map(decode, range(len(listing.paths))))
    whole = torch.tensor([skipped is None for skipped in lost])
    if not whole.all():
        pixels, labels = pixels[whole], listing.labels[whole]
    else:
        labels = listing.labels
    return Images(pixels, labels, classes, source), [skipped for skipped in lost if skipped]
