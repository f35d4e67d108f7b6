"""The view of how often maps of attribution point at the things themselves, where boxes of them are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate.blueprint import CannotTrain, Refusal
from striate.blueprint.said import counted
from striate.judging.trained import classes_of
from striate.visualize.attribution import attribute
from striate.visualize.attribution.asked import numbered
from striate.visualize.boxes import Boxed, Boxes, in_pixels, read_boxes
from striate.visualize.images import seen
from striate.visualize.pointing_drawn import Pointed, draw_pointing
from striate.visualize.trust import TOLERANCE, pointing
from striate.visualize.wanted import View, Wanted

IMAGES = 48
METHODS: Mapping[str, Mapping[str, Any]] = {"grad-cam": {}, "smooth-grad": {"samples": 10}, "occlusion": {}}
MIDDLE, ANYWHERE = "the middle", "any place"  # what the methods are held against
SIDE = 224  # pixels of an image, to which the margin around a box belongs


class Round(NamedTuple):
    """A class that is in an image, the image as the network reads it, 1×C×H×W, and to look at; the boxes, K×4."""

    name: str
    target: int
    x: Tensor
    pixels: Tensor
    boxes: Tensor


def pointing_view(of: Wanted) -> View:
    """By one method, or by those of the page; beside them what the image's middle would hit, and any place in it."""
    boxes = read_boxes(of.boxes)
    classes = _classes(of, boxes)
    known = [one for one in boxes.images if classes.keys() & one.boxes.keys()]
    some = torch.linspace(0, len(known) - 1, min(of.images or IMAGES, len(known))).round().long().tolist()
    methods = {of.method: dict[str, Any]()} if of.method else METHODS
    margin = round(TOLERANCE * min(of.reads.size) / SIDE)
    hits, pointed = {name: dict[str, list[float]]() for name in (*methods, MIDDLE, ANYWHERE)}, list[Pointed]()
    with of.progress("Pointing", len(some), "image") as tick:
        for done, place in enumerate(some, 1):
            for one in _rounds(of, known[place], classes):
                for method, options in methods.items():
                    layer = {"layer": of.layer} if of.layer and (of.method or "cam" in method) else {}
                    values = attribute(of.model, one.x, method, one.target, **options, **layer).values
                    hit = bool(pointing(values, [one.boxes], margin))
                    hits[method].setdefault(one.name, []).append(hit)
                    if method == next(iter(methods)):
                        at = divmod(int(values.argmax()), values.shape[2])
                        pointed.append(Pointed(one.pixels, one.name, one.boxes, at, hit))
                near = _near(one.boxes, of.reads.size, margin)
                hits[MIDDLE].setdefault(one.name, []).append(float(near[near.shape[0] // 2, near.shape[1] // 2]))
                hits[ANYWHERE].setdefault(one.name, []).append(float(near.float().mean()))
            tick(done)
    if not pointed:
        raise Refusal(
            f"Cannot point: in {counted(len(some), 'image')} of {of.boxes} the network sees no box.",
            f"It reads the middle {'×'.join(map(str, of.reads.grid))} of an image scaled to that.",
        )
    by_class = {who: {name: sum(all_) / len(all_) for name, all_ in these.items()} for who, these in hits.items()}
    shares = {who: sum(these.values()) / len(these) for who, these in by_class.items()}
    facts = {"shares": shares, "by_class": by_class, "maps": len(pointed), "images": len(some), "margin": margin}
    told = "\n".join(
        f"{who} {'would hit' if who in (MIDDLE, ANYWHERE) else 'hits'} {share:.0%}" for who, share in shares.items()
    )
    head = f"{counted(len(pointed), 'map')} of {counted(len(some), 'image')}"
    head += f", {counted(len(by_class[MIDDLE]), 'class', 'classes')}"
    png = draw_pointing(shares, pointed, f"{of.name}: pointing at things", next(iter(methods)), (MIDDLE, ANYWHERE))
    return View(png, {**facts, "left_out": boxes.left_out}, f"{head}, {counted(margin, 'pixel')} around boxes\n{told}")


def _classes(of: Wanted, boxes: Boxes) -> dict[str, int]:
    """The boxes' classes that are looked for, and which of the network's they are. Raises CannotTrain, NotFound."""
    if of.target is not None:
        target = numbered(of.model, of.target, 1)
        assert target is not None
        mine = [of.target] if of.target in boxes.classes else boxes.classes
        return {str(name): int(target[0]) for name in mine}
    way = "--target CLASS takes every box for one of that class."
    try:
        names = classes_of(of.model)
    except CannotTrain as refusal:
        raise CannotTrain(refusal.fact, ways=way) from None
    found = {name: names.index(name) for name in boxes.classes if name in names}
    if not found:
        raise CannotTrain(
            f"Cannot point in {of.boxes}: the network knows none of its classes.",
            f"It has {_few(boxes.classes)}; the network knows {_few(names)}.",
            way,
        )
    return found


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def _rounds(of: Wanted, image: Boxed, classes: Mapping[str, int]) -> Iterator[Round]:
    """A round for each of the classes that are seen in an image; boxes of different names may be of one class."""
    x, pixels, rule = seen(of.model, [image.image])
    by_class = dict[int, tuple[str, Tensor]]()
    for name, boxes in in_pixels(image.boxes, image.image, rule).items():
        if name in classes:
            first, before = by_class.get(classes[name], (name, boxes[:0]))
            by_class[classes[name]] = first, torch.cat([before, boxes])
    for target, (name, boxes) in by_class.items():
        yield Round(str(of.target) if of.target is not None else name, target, x, pixels[0], boxes)


def _near(boxes: Tensor, grid: tuple[int, int], margin: int) -> Tensor:
    """Where a point hits, bool H×W."""
    rows, columns = torch.arange(grid[0])[:, None], torch.arange(grid[1])
    found = torch.zeros(grid, dtype=torch.bool)
    for left, top, right, bottom in boxes.tolist():
        across = (left - margin <= columns) & (columns < right + margin)
        found |= across & (top - margin <= rows) & (rows < bottom + margin)
    return found
