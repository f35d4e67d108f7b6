"""A folder of pictures: one folder a class, in train and val (or test) folders or split here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import CannotRead, Refusal
from striate.data.decode import SUFFIXES, Header
from striate.data.images import Images, Picture, Skipped, Splits, Streamed, stratified
from striate.data.memory import fits
from striate.data.pictures import File
from striate.data.preprocessing import Grid, Preprocessing
from striate.data.stream import UNREADABLE, too_many

TRAIN, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
HELD = 0.2  # of a folder without splits, for the test
LARGEST_ICON = 256  # images all of one grid are taken as they are up to this; photos may be of one size by chance
GLANCES = 64  # headers read to learn what the pictures are like
SAMPLE = 512  # images of which the mean and deviation of streamed ones are taken


class Listing(NamedTuple):
    """The pictures of one split and the class of each."""

    pictures: list[Picture]
    labels: Tensor


def read(root: Path, fitting: Callable[[int, Grid | None], Preprocessing], seed: int, looking: bool = False) -> Splits:
    """Everything decoded, prepared by the rule that `fitting` gives for images of so many channels and that grid (None:
    of many). Raises CannotRead, CannotTrain.
    """
    listings, classes = _listings(root, seed)
    rule, native = ruled([picture for listing in listings.values() for picture in listing.pictures], fitting)
    return opened(listings, classes, rule, str(root), native, looking)


def ruled(
    pictures: Sequence[Picture], fitting: Callable[[int, Grid | None], Preprocessing]
) -> tuple[Preprocessing, Grid | None]:
    """The rule for pictures like these, and the grid they all have (None: of many)."""
    seen = _glance(pictures)
    native = seen[0].grid if len({header.grid for header in seen}) == 1 else None
    if native and max(native) > LARGEST_ICON:
        native = None
    return fitting(max((header.channels for header in seen), default=3), native), native


def opened(
    listings: Mapping[str, Listing],
    classes: tuple[str, ...],
    rule: Preprocessing,
    source: str,
    native: Grid | None,
    looking: bool = False,
) -> Splits:
    """Pictures of the splits "train" and "test" or "validation" or both: decoded into memory where they take less than
    SHARE of what is free, else (and for whoever is only `looking`) left where they are and streamed. Raises CannotRead.
    """
    count = sum(len(listing.labels) for listing in listings.values())
    told = f"{count:,} images, {rule.told(native)}"
    images: dict[str, Images | Streamed] = {}
    skipped: list[Skipped] = []
    if not looking and fits(count * rule.volume.size):
        for name, listing in listings.items():
            images[name], lost = _decoded(listing, classes, rule, source)
            skipped += lost
        if len(skipped) > UNREADABLE * count:
            raise too_many(source, skipped, count)
    else:
        for name, (pictures, labels) in listings.items():
            images[name] = Streamed(tuple(pictures), labels, classes, source, rule)
        told += ", streamed from the disk"
    sample = images["train"]
    if isinstance(sample, Streamed) and not rule.mean:
        chosen = torch.arange(0, len(sample), -(-len(sample) // SAMPLE))
        pictures, labels = listings["train"]
        sample, lost = _decoded(Listing([pictures[i] for i in chosen.tolist()], labels[chosen]), classes, rule, source)
        if len(lost) == len(chosen) or (not looking and len(lost) > UNREADABLE * len(chosen)):
            raise too_many(source, lost, len(chosen))
    return Splits(
        images["train"],
        images["test"] if "test" in images else images["validation"],
        rule.measured(sample.pixels) if isinstance(sample, Images) else rule,
        images.get("validation") if "test" in images else None,
        tuple(skipped),
        told,
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
    """Every picture below a folder, links not followed into folders, in an order that does not depend on the disk."""

    def refuse(error: OSError) -> None:
        raise CannotRead(f"Cannot read {error.filename}: {(error.strerror or str(error)).lower()}.") from None

    return sorted(
        Path(where, name)
        for where, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )


def _kinds() -> str:
    return "JPEG, PNG or other pictures"


def _glance(pictures: Sequence[Picture]) -> list[Header]:
    seen = []
    for picture in pictures[:: max(1, len(pictures) // GLANCES)]:
        try:
            seen.append(picture.header())
        except Refusal:
            continue  # counted where it is decoded
    return seen


def _decoded(
    listing: Listing, classes: tuple[str, ...], rule: Preprocessing, source: str
) -> tuple[Images, list[Skipped]]:
    """Threads decode (the decoders release the GIL) into one tensor; what cannot be read is left out, and why kept."""
    pictures, labels = listing
    pixels = torch.empty(len(pictures), *rule.volume, dtype=torch.uint8)

    def decode(i: int) -> Skipped | None:
        try:
            pixels[i] = rule.prepare(pictures[i].read(rule.channels, rule.covered).unsqueeze(0))[0]
        except Refusal as refusal:
            return Skipped(Path(pictures[i].name), str(refusal))
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lost = list(pool.map(decode, range(len(pictures))))
    whole = torch.tensor([skipped is None for skipped in lost])
    if not whole.all():
        pixels, labels = pixels[whole], labels[whole]
    return Images(pixels, labels, classes, source), [skipped for skipped in lost if skipped]
