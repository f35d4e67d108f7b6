"""Where things are in images, as data sets for detection say it: Pascal VOC's XML beside the images, or one JSON file
as COCO's. As shares of an image, and in the pixels that a network reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import torch
from torch import Tensor

from striate.blueprint import CannotRead
from striate.blueprint.said import counted
from striate.data.decode import SUFFIXES, contents, header
from striate.data.preprocessing import Grid, Preprocessing

MOST_XML, MOST_JSON = 1 << 20, 1 << 29  # bytes
MOST = 1_000_000  # files
IMAGES = (".", "JPEGImages", "images", "train2017", "val2017")  # folders in which images are looked for
SIDES = ("xmin", "ymin", "xmax", "ymax")
WAYS = "A folder with Pascal VOC's XML files and the images, or a JSON file as COCO's."
Box = tuple[str, float, float, float, float]


class Boxed(NamedTuple):
    """An image file; by class the boxes in it, float64 K×4 left, top, right, bottom as shares of its sides."""

    image: Path
    boxes: dict[str, Tensor]


class Boxes(NamedTuple):
    """The images of a data set that have boxes, in the order of their names; `classes`, in the alphabet's. `left_out`:
    so many boxes have no area.
    """

    images: tuple[Boxed, ...]
    classes: tuple[str, ...]
    left_out: int


def read_boxes(source: str | Path) -> Boxes:
    """Raises CannotRead: not there, no boxes, images that are not where the annotations say, a file that is damaged."""
    path = Path(source)
    if path.is_dir():
        files = sorted(path.rglob("*.xml"))[: MOST + 1]
        tables = sorted(path.glob("*.json"))
        found = _of_xml(path, files) if files or len(tables) != 1 else _of_json(tables[0])
    else:
        found = _of_json(path)
    images, left_out = list[Boxed](), 0
    for image, grid, boxes in found:
        kept = [box for box in (_shares(box, grid) for box in boxes) if box[1] < box[3] and box[2] < box[4]]
        left_out += len(boxes) - len(kept)
        names = sorted({box[0] for box in kept})
        by_name = {name: torch.tensor([one[1:] for one in kept if one[0] == name]).double() for name in names}
        images += [Boxed(image, by_name)] if kept else []
    if not images:
        raise CannotRead(f"Cannot read boxes of {source}: there are none.", ways=WAYS)
    images.sort(key=lambda one: str(one.image))
    return Boxes(tuple(images), tuple(sorted({name for one in images for name in one.boxes})), left_out)


def _shares(box: Box, grid: Grid) -> Box:
    """Cut at the image's sides."""
    name, left, top, right, bottom = box
    across, down = (lambda at: min(1.0, max(0.0, at / grid[1]))), (lambda at: min(1.0, max(0.0, at / grid[0])))
    return name, across(left), down(top), across(right), down(bottom)


def _of_xml(folder: Path, files: list[Path]) -> Iterator[tuple[Path, Grid, list[Box]]]:
    if not files or len(files) > MOST:
        raise CannotRead(f"Cannot read boxes of {folder}: {counted(len(files), 'XML file')} in it.", ways=WAYS)
    for path in files:
        root = _parsed(path)
        boxes = [_voc(path, thing) for thing in root.iter("object")]
        if boxes:
            image = _image(path, root.findtext("filename") or "", [path.parent, path.parent.parent])
            size = (root.findtext("size/height"), root.findtext("size/width"))
            yield image, _grid(size, image), boxes


def _parsed(path: Path) -> ElementTree.Element:
    """Raises CannotRead; a document that declares what a few bytes can make large is read no further: entities, and
    attributes, which have defaults.
    """

    def refused(what: str) -> Callable[..., None]:
        def declared(*_: object) -> None:
            raise CannotRead(f"Cannot read {path}: it declares {what}, which boxes have no need of.")

        return declared

    text, reader = _bytes(path, MOST_XML), expat.ParserCreate()  # it, and no search, knows every encoding
    reader.EntityDeclHandler, reader.AttlistDeclHandler = refused("entities"), refused("attributes")
    try:
        reader.Parse(text, True)
        return ElementTree.fromstring(text)
    except CannotRead:
        raise
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise CannotRead(f"Cannot read {path}: it is no XML ({error}).") from None


def _voc(path: Path, thing: ElementTree.Element) -> Box:
    """VOC counts pixels from 1, the last included; what ends where it begins is no box to those who draw them."""
    name, sides = thing.findtext("name"), [_number(thing.findtext(f"bndbox/{side}")) for side in SIDES]
    if not name or any(side is None for side in sides):
        raise CannotRead(f"Cannot read {path}: an object in it has no name, or no box of four numbers.")
    left, top, right, bottom = (float(side) for side in sides if side is not None)
    first = 1 if left < right and top < bottom else 0
    return name.strip(), left - first, top - first, right, bottom


def _of_json(path: Path) -> Iterator[tuple[Path, Grid, list[Box]]]:
    text = _bytes(path, MOST_JSON)
    try:
        table = json.loads(text)
        names = {one["id"]: str(one["name"]) for one in table["categories"]}
        by_image: dict[Any, list[Box]] = {}
        for one in table["annotations"]:
            left, top, width, height = (float(number) for number in one["bbox"])
            by_image.setdefault(one["image_id"], []).append(
                (names[one["category_id"]], left, top, left + width, top + height)
            )
        files = {one["id"]: (str(one["file_name"]), (one.get("height"), one.get("width"))) for one in table["images"]}
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        why = f"{error.args[0]!r} is not in it" if isinstance(error, KeyError) else "it does not read as COCO's JSON"
        raise CannotRead(f"Cannot read boxes of {path}: {why}.", ways=WAYS) from None
    for number, (name, size) in files.items():
        if number in by_image:
            image = _image(path, name, [path.parent, path.parent.parent])
            yield image, _grid(size, image), by_image[number]


def _bytes(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():
            raise CannotRead(f"Cannot read {path}: there is no such file or folder.", ways=WAYS)
        if (size := path.stat().st_size) > most:
            raise CannotRead(f"Cannot read {path}: {size:,} bytes, at most {most:,} of boxes.")
        return path.read_bytes()
    except OSError as error:
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None


def _image(said: Path, name: str, rooms: list[Path]) -> Path:
    """Where an image is that an annotation names; else one with the annotation's own name. None is looked for outside
    the data set's folders. Raises CannotRead.
    """
    inside = Path(name)
    whole = not inside.is_absolute() and ".." not in inside.parts and name
    names = [
        *([inside, Path(inside.name)] if whole else []),
        *(Path(said.stem + suffix) for suffix in sorted(SUFFIXES)),
    ]
    for room in rooms:
        for place in IMAGES:
            for one in names:
                if (path := room / place / one).suffix.lower() in SUFFIXES and path.is_file():
                    return path
    raise CannotRead(
        f"Cannot find the image {name or said.stem} that {said} has boxes of.",
        ways=f"Beside it, or in a folder {', '.join(IMAGES[1:3])} there or one above.",
    )


def _grid(size: tuple[Any, Any], image: Path) -> Grid:
    """Of the image that boxes are of, as their file says it; where it does not, the image's own."""
    height, width = (_number(side) or 0 for side in size)
    return (int(height), int(width)) if height >= 1 and width >= 1 else header(contents(image)).grid


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def in_pixels(boxes: Mapping[str, Tensor], image: Path, rule: Preprocessing) -> dict[str, Tensor]:
    """By class the boxes in the pixels that a network reads of an image, by its rule: what of them is in the part that
    is cut out, float64 K×4. Raises CannotRead.
    """
    (height, width), (rows, columns) = header(contents(image)).grid, rule.grid
    scale = max(rule.covered[0] / height, rule.covered[1] / width)
    whole = torch.tensor([width, height] * 2).double() * scale
    cut = torch.tensor([columns, rows] * 2).double()
    around = torch.tensor([rule.size[1] - columns, rule.size[0] - rows] * 2).double() / 2
    found = dict[str, Tensor]()
    for name, shares in boxes.items():
        inside = (shares * whole - (whole - cut) / 2).clamp(min=torch.zeros(4).double(), max=cut)
        seen = ((inside[:, 2:] - inside[:, :2]) >= 1).all(1)
        if seen.any():
            found[name] = inside[seen] + around
    return found
