"""A map of attribution in words: where in the image it lies, and whether it is to be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.visualize.attribution import METHODS, Heat
from striate.visualize.trust import SAME, Curves, Randomised, curves, randomised

STEPS, MOVED, STAGES = 10, 2, 2  # of the tests: enough for words, and a few seconds
FAINT = 0.02  # probability: of a class less likely there is nothing to lose
CLEARLY = 0.9  # of chance's area: what is no less might be chance itself
NEAR, MIDDLE = 0.2, "in the middle"  # of the image's half side: what is no further from its middle
MARKS = {True: "✓", False: "✗", None: "–"}
TITLES = {"cam": "CAM", "grad-cam": "Grad-CAM", "grad-cam++": "Grad-CAM++", "smooth-grad": "SmoothGrad"}
TITLES |= {"input-x-gradient": "Input × gradient"}
TESTS = (
    "✓ passed, ✗ failed. Deletion: pixels are taken away, those first that the map marks; the area is the class's mean "
    f"probability on the way, with a good map under {CLEARLY:g} of that by chance (the same map moved elsewhere). With "
    f"random weights a map must become another, less than {SAME:g} alike: one that does not shows the image, not what "
    "was learnt."
)
HOW = f"{TESTS} Tried in {STEPS} steps, by {MOVED} maps of chance."


def called(method: str) -> str:
    """A method's name, written out."""
    return TITLES.get(method, method.replace("-", " ").capitalize())


class Trust(NamedTuple):
    """The tests of a map (`trust.py`): areas below the class's probability (`share` to begin with) while pixels are
    deleted and inserted, those first that the map marks, and by chance, the same map moved elsewhere. `alike`: how much
    it is the same map, of 1, once the upper half of the layers, or more, has random weights; `unchanged`: too much.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    share: float
    alike: float
    unchanged: bool

    @property
    def borne_out(self) -> bool | None:
        """Whether what it marks clearly costs more than by chance; None where the class has nothing to lose."""
        return None if self.share < FAINT else self.deletion < CLEARLY * self.random_deletion

    @property
    def passed(self) -> bool:
        return self.borne_out is not False and not self.unchanged

    def told(self) -> tuple[str, str]:
        """Of each test a line."""
        lost = f"{MARKS[self.borne_out]} deletion: area {self.deletion:.2f}, by chance {self.random_deletion:.2f}"
        if self.borne_out is None:
            lost = f"{MARKS[None]} deletion not tried: too unlikely"
        return lost, f"{MARKS[not self.unchanged]} with random weights {self.alike:.2f} alike"

    def brief(self) -> tuple[tuple[str, bool], ...]:
        """Of each test a few words, chance in brackets, and whether it is failed."""
        deleted = f"deletion {self.deletion:.2f} ({self.random_deletion:.2f})"
        deleted = "deletion not tried" if self.borne_out is None else deleted
        return (
            (f"{MARKS[self.borne_out]} {deleted}", self.borne_out is False),
            (f"{MARKS[not self.unchanged]} random weights {max(0.0, self.alike):.2f}", self.unchanged),
        )


class Where(NamedTuple):
    """A map of one image for the class `of`: `half`, the smallest share of the image that holds half of what speaks for
    it (of a map of slopes, which have no sign, half of all slope), and `where` that lies.
    """

    heat: Heat
    of: str
    half: float
    where: str
    trust: Trust | None = None

    @property
    def title(self) -> str:
        return f"{called(self.heat.method)}: {self.of}"

    def told(self) -> str:
        what = "the slope" if unsigned(self.heat) else "what speaks for it"
        return f"half of {what} in {self.half:.0%} of the image, {self.where}" if self.half else self.where

    @property
    def trusted(self) -> bool:
        return self.trust is None or self.trust.passed

    def lines(self) -> tuple[str, ...]:
        """Where it is, and each test."""
        return (self.told(), *(self.trust.told() if self.trust else ()))

    def to_json(self) -> dict[str, Any]:
        found = {"method": self.heat.method, "class": self.of, "half": round(self.half, 4), "where": self.where}
        found |= {"layer": self.heat.layer} if self.heat.layer else {}
        return found | ({"trust": self.trust._asdict()} if self.trust else {})


def unsigned(heat: Heat) -> bool:
    """Whether a map is of magnitudes: how much a place matters, not whether it speaks for the class or against it."""
    return METHODS[heat.method].meaning.startswith("|")


def where(heat: Heat, of: str, trust: Trust | None = None) -> Where:
    """What can be said of one image's map: of what is positive in it, which speaks for the class where it has signs."""
    values = heat.values[0].clamp(min=0)
    if not (total := float(values.sum())):
        return Where(heat, of, 0.0, "nothing changes it" if unsigned(heat) else "nothing speaks for it", trust)
    falling = values.flatten().sort(descending=True).values.double().cumsum(0)
    half = (int((falling < total / 2).sum()) + 1) / values.numel()
    down, across = (_middle(values.sum(1 - axis)) for axis in (0, 1))
    row = "top" if down < -NEAR else "bottom" if down > NEAR else ""
    column = "left" if across < -NEAR else "right" if across > NEAR else ""
    words = " ".join(word for word in (row, column) if word)
    return Where(heat, of, half, f"at the {words}" if words else MIDDLE, trust)


def _middle(along: Tensor) -> float:
    """The centre of mass of values along an axis that goes from -1 to 1."""
    return float((along * torch.linspace(-1, 1, len(along))).sum() / along.sum())


def tried(model: nn.Module, x: Tensor, heat: Heat, options: Mapping[str, Any]) -> Trust:
    """A map of one image, 1×C×H×W, made with these options of its method, held against chance and against what was
    learnt.
    """
    changed = curves(model, x, heat, steps=STEPS, random=MOVED)
    return judged(heat, changed, randomised(model, x, heat.method, heat, stages=STAGES, **options))


def judged(heat: Heat, changed: Curves, anew: Randomised, index: int = 0) -> Trust:
    """Both tests of image `index`; with random weights, of all that were tried together."""
    areas = {name: float(area[index]) for name, area in changed.areas.items()}
    alike = float(anew.alike[anew.half :].nan_to_num(0).max())  # where nothing is left of the map, it is not alike
    return Trust(**areas, share=float(heat.shares[index]), alike=alike, unchanged=anew.unchanged)
