"""A map of attribution in words: where in the image it lies, and whether it is to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.visualize.attribution import Heat
from striate.visualize.trust import curves, randomised

STEPS, MOVED, STAGES = 10, 2, 2  # of the tests: enough for words, and a few seconds
FAINT = 0.02  # probability: of a class less likely there is nothing to lose
NEAR, MIDDLE = 0.2, "around the middle"  # of the image's half side: what is no further from its middle
TITLES = {"cam": "CAM", "grad-cam": "Grad-CAM", "grad-cam++": "Grad-CAM++", "smooth-grad": "SmoothGrad"}
TITLES |= {"input-x-gradient": "Input × gradient"}
Tick = Callable[[int], None]


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

    def told(self) -> tuple[str, str]:
        """Of each test a line."""
        areas = f"area {self.deletion:.2f}, {self.random_deletion:.2f} by chance"
        if self.share < FAINT:
            lost = "too unlikely a class to be tested by deletion"
        elif self.deletion < self.random_deletion:
            lost = f"deleted, what it marks costs more than the same map moved elsewhere: {areas}"
        else:
            lost = f"NOT BORNE OUT: deleted, it costs no more than the same map moved elsewhere: {areas}"
        if self.unchanged:
            return (
                lost,
                f"NOT OF WHAT WAS LEARNT: does not change when the weights are randomised: {self.alike:.2f} alike",
            )
        return lost, f"changes when the weights are randomised: {self.alike:.2f} alike"


class Where(NamedTuple):
    """A map of one image for the class `of`: `half`, the smallest share of the image that holds half of what speaks for
    it, and `where` that lies.
    """

    heat: Heat
    of: str
    half: float
    where: str
    trust: Trust | None = None

    @property
    def title(self) -> str:
        method = self.heat.method
        return f"{TITLES.get(method, method.replace('-', ' ').capitalize())}: {self.of}"

    def told(self) -> str:
        return f"half of it in {self.half:.0%} of the image, {self.where}" if self.half else self.where

    def lines(self) -> tuple[str, ...]:
        """Where it is, and each test."""
        return (self.told(), *(self.trust.told() if self.trust else ()))

    def to_json(self) -> dict[str, Any]:
        found = {"method": self.heat.method, "class": self.of, "half": round(self.half, 4), "where": self.where}
        found |= {"layer": self.heat.layer} if self.heat.layer else {}
        return found | ({"trust": self.trust._asdict()} if self.trust else {})


def where(heat: Heat, of: str, trust: Trust | None = None) -> Where:
    """What can be said of one image's map: of what is positive in it, for that speaks for the class."""
    values = heat.values[0].clamp(min=0)
    if not (total := float(values.sum())):
        return Where(heat, of, 0.0, "nothing speaks for it", trust)
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
    areas = {name: float(area[0]) for name, area in curves(model, x, heat, steps=STEPS, random=MOVED).areas.items()}
    anew = randomised(model, x, heat.method, heat, stages=STAGES, **options)
    alike = float(torch.minimum(anew.rank, anew.ssim)[anew.half :, 0].max())
    return Trust(**areas, share=float(heat.shares[0]), alike=alike, unchanged=anew.unchanged)
