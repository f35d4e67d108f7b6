"""What an image is made for. Objectives add up and take weights: `objective("conv2:17") + 0.5 * objective("out:3")`.

Each gives a number for each image, the larger the better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotRead, NotFound, Refusal
from striate.visualize.units import Unit, unit
from striate.visualize.watching import OUT

IMAGE = ""  # the layer that the image itself is, float N×C×H×W in 0..1
WEIGHTED = re.compile(r"(?P<weight>-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*\*\s*(?P<unit>.*)")
SIGN = re.compile(r'\s([+-])\s(?=(?:[^"]*"[^"]*")*[^"]*$)')  # between units, not within quotes

Score = Callable[[Tensor, Unit], Tensor]  # a layer's value, N×C×H×W or N×C, and what of it is meant -> N


class Term(NamedTuple):
    """One thing that is wanted: the score of a unit, given as text, and how much it counts."""

    unit: str
    score: Score
    what: str = "{}"
    weight: float = 1.0

    def __str__(self) -> str:
        said = self.what.format(self.unit)
        return said if self.weight == 1 else f"{self.weight:g} * {said}"


@dataclass(frozen=True)
class Objective:
    """A sum of terms. `+`, `-` and `*` by a number make others of it."""

    terms: tuple[Term, ...]

    def __add__(self, other: Objective | str) -> Objective:
        return Objective(self.terms + objective(other).terms)

    def __sub__(self, other: Objective | str) -> Objective:
        return self + -1 * objective(other)

    def __mul__(self, weight: float) -> Objective:
        if not isfinite(weight):
            raise CannotRead(f"Cannot weigh {self} by {weight}.", ways="A number: 0.5 * objective(…)")
        return replace(self, terms=tuple(term._replace(weight=term.weight * weight) for term in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return -1 * self

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))

    def units(self, model: nn.Module) -> tuple[Unit, ...]:
        """What its terms are about, in this model. Raises NotFound, CannotRead."""
        try:
            return tuple(Unit(IMAGE) if term.unit == IMAGE else unit(model, term.unit) for term in self.terms)
        except NotFound as refusal:
            names = getattr(model, "metadata", {}).get("classes") or ()
            if len(self.terms) > 1 and (signed := [name for name in names if SIGN.search(name)]):
                refusal.ways = (
                    f'A class with a sign in its name is quoted in a sum: {OUT}:"{signed[0]}"; or its number.'
                )
            raise

    def scores(self, values: Mapping[str, Tensor], units: tuple[Unit, ...]) -> list[Tensor]:
        """Each term's score, N numbers, its weight not counted; `values` of the units' layers and of `IMAGE`."""
        return [term.score(values[of.layer], of) for term, of in zip(self.terms, units, strict=True)]

    def total(self, scores: list[Tensor]) -> Tensor:
        return torch.stack([term.weight * score.float() for term, score in zip(self.terms, scores, strict=True)]).sum(0)


def objective(text: str | Objective, model: nn.Module | None = None) -> Objective:
    """What excites a unit, as text: of a channel `conv2:17` the mean of its map, of a cell `conv2:17@3,5` or a class
    `out:collie` (before any soft-max) its value, of a whole layer `conv2` the mean square of its values (DeepDream's).

    Sums are text, too: `conv2:17 + 0.5 * out:collie - conv2:3`. A class with such a sign in its name is a class all the
    same where it is alone and the `model` is given; in a sum it is quoted, `out:"salt + pepper"`, or goes by its
    number. Raises CannotRead; names are read once there is a model.
    """
    if isinstance(text, Objective):
        return text
    terms, sign = [], 1.0
    for i, part in enumerate([text.strip()] if _class(model, text.strip()) else SIGN.split(text.strip())):
        if i % 2:
            sign = 1.0 if part == "+" else -1.0
            continue
        weighted = WEIGHTED.fullmatch(part.strip())
        name, weight = (weighted["unit"], float(weighted["weight"])) if weighted else (part.strip(), 1.0)
        if not name:
            raise CannotRead(f'Cannot read "{text}" as what an image is made for.', ways="conv2:17 + 0.5 * out:3")
        terms.append(Term(name, _excitement, weight=sign * weight))
    return Objective(tuple(terms))


def _class(model: nn.Module | None, text: str) -> bool:
    layer, _, name = text.partition(":")
    return layer == OUT and name in (getattr(model, "metadata", {}).get("classes") or ())


def _excitement(value: Tensor, of: Unit) -> Tensor:
    part = of.of(value).reshape(len(value), -1)
    return part.square().mean(1) if of.channel is None and value.ndim > 2 else part.mean(1)


def neuron(text: str) -> Objective:
    """The middle cell of a channel's map, whatever the image's size: `neuron("conv2:17")`."""

    def middle(value: Tensor, of: Unit) -> Tensor:
        if value.ndim < 4:
            raise Refusal(f"Cannot see the middle of {of}: {of.layer} has no map.", ways=f'objective("{of}")')
        return _excitement(value, of._replace(at=(value.shape[2] // 2, value.shape[3] // 2)))

    return Objective((Term(text, middle, "middle of {}"),))


def direction(layer: str, vector: Tensor, cosine: float = 0.0) -> Objective:
    """How far a layer's cells lie in a direction of its channels: the mean over the cells of their product with
    `vector`, float C, times their cosine to the power of `cosine` (Olah et al. 2017's; 0: not).
    """
    vector = vector.detach().float().cpu().flatten()

    def along(value: Tensor, of: Unit) -> Tensor:
        if value.shape[1] != len(vector):
            raise Refusal(f"Cannot go that way in {of}: it has {value.shape[1]} channels, the vector {len(vector)}.")
        cells = of.of(value).flatten(2).float() if value.ndim > 2 else value[..., None].float()
        way = vector.to(value.device)
        far = torch.einsum("nck,c->nk", cells, way)
        if cosine:
            near = far / (cells.norm(dim=1) * way.norm()).clamp(min=1e-8)
            far = far * near.clamp(min=0.1) ** cosine
        return far.mean(1)

    return Objective((Term(layer, along, "a direction of {}"),))


def gram(value: Tensor) -> Tensor:
    """Which channels go together, N×C×C: the mean over the cells of N×C×H×W of their products (Gatys et al. 2015,
    arXiv 1508.06576).
    """
    cells = value.flatten(2)
    return cells @ cells.transpose(1, 2) / cells.shape[2]


def diversity(layer: str) -> Objective:
    """That the images of a batch differ in a layer: minus the mean cosine of an image's Gram matrix with the others'
    (Olah et al. 2017, "Diversity"). Between -1 and 0, where no channels go together as in any other.
    """

    def apart(value: Tensor, of: Unit) -> Tensor:
        if len(value) < 2 or value.ndim < 4:
            why = "one image is made" if len(value) < 2 else f"{of} has no map"
            raise Refusal(f"Cannot keep images different in {of}: {why}.", ways="count=2 or more, and a layer of maps.")
        flat = nn.functional.normalize(gram(value.float()).flatten(1), dim=1)
        alike = flat @ flat.T
        return -(alike.sum(1) - alike.diagonal()) / (len(value) - 1)

    return Objective((Term(layer, apart, "diversity of {}"),))


def content(layer: str, like: Tensor) -> Objective:
    """That a layer's value is `like`, 1×C×H×W: minus the mean squared difference over the mean square of `like`."""

    def near(value: Tensor, of: Unit) -> Tensor:
        target = like.to(value)
        return -(value - target).square().flatten(1).mean(1) / target.square().mean().clamp(min=1e-12)

    return Objective((Term(layer, near, "content of {}"),))


def style(layer: str, like: Tensor) -> Objective:
    """That a layer's channels go together as in `like`, 1×C×H×W of any size: minus the squared difference of the Gram
    matrices over the square of `like`'s.
    """
    wanted = gram(like.detach().float())

    def near(value: Tensor, of: Unit) -> Tensor:
        target = wanted.to(value.device)
        return -(gram(value.float()) - target).square().flatten(1).sum(1) / target.square().sum().clamp(min=1e-12)

    return Objective((Term(layer, near, "style of {}"),))


def variation() -> Objective:
    """That neighbouring pixels are alike: minus the mean absolute difference, down and across, of the image in 0..1."""

    def smooth(value: Tensor, of: Unit) -> Tensor:
        down, across = value.diff(dim=2).abs(), value.diff(dim=3).abs()
        return -down.flatten(1).mean(1) - across.flatten(1).mean(1)

    return Objective((Term(IMAGE, smooth, "smoothness"),))
