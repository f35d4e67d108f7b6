"""The way a training went, in the plane in which it went furthest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.data.memory import room_for
from striate.visualize.surface.weights import movable, vector

MARGIN = 0.25  # of the way's extent, around it
ROUNDING = 1e-6  # of a way, what float32 weights make of a straight one


class Trajectory(NamedTuple):
    """`points` float64 T×2 of the weights given, in units of the two orthonormal `directions` from the model's own,
    which lie at (0, 0); `shares` of the variance that the two hold.
    """

    points: Tensor
    directions: tuple[Tensor, Tensor]
    shares: tuple[float, float]

    @property
    def spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of a surface that holds all points, and the model's own weights."""
        low, high = (getattr(torch.cat([self.points, torch.zeros(1, 2)]), end)(0).values for end in ("min", "max"))
        more = MARGIN * (high - low).clamp(min=float((high - low).max()) / 4)
        (a, b), (c, d) = ((low - more).tolist(), (high + more).tolist())
        return (a, c), (b, d)


def trajectory(model: nn.Module, weights: Sequence[nn.Module | Mapping[str, Tensor]]) -> Trajectory:
    """The principal components of a training's weights (state dicts or modules, in order), seen from those the model
    has, its last: Li et al. 2018 (arXiv 1712.09913, section 7.2), where random directions show next to nothing of the
    way. All parameters count, biases too; BatchNorm's statistics stay the model's.

    Raises Refusal: fewer than three, weights of another network, weights that did not move.
    """
    if len(weights) < 3:
        raise Refusal(f"Cannot draw a way of {counted(len(weights), 'set')} of weights: three or more make a plane.")
    learnt = {name: tensor for name, tensor in movable(model).items() if isinstance(tensor, nn.Parameter)}
    here = vector(model, learnt)
    room_for(20 * len(weights) * len(here), f"{counted(len(weights), 'set')} of weights", "Take fewer.")
    moved = torch.stack([vector(model, _learnt(one, learnt)) - here for one in weights]).double()
    centred = moved - moved.mean(0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)  # as many numbers as sets, not as weights
    if not values[-1] > 0:
        raise Refusal(f"Cannot draw a way of {counted(len(weights), 'set')} of weights: they are all the same.")
    first, second = (vectors[:, -i] @ centred for i in (1, 2))
    second = _across(second, first)
    first = first / first.norm()
    points = torch.stack([moved @ first, moved @ second], 1)
    shares = (values.clamp(min=0) / values.clamp(min=0).sum()).tolist()
    return Trajectory(points, (first.to(here.dtype), second.to(here.dtype)), (shares[-1], shares[-2]))


def _across(second: Tensor, first: Tensor) -> Tensor:
    """Of length 1 and orthogonal to the first, whatever rounding left of it where all weights lie on a line."""
    if second.norm() <= ROUNDING * first.norm():
        second = torch.randn(len(second), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(first)
    second = second - (second @ first) / (first @ first) * first
    return second / second.norm()


def _learnt(one: nn.Module | Mapping[str, Tensor], learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
    theirs = one.state_dict() if isinstance(one, nn.Module) else one
    if missing := [name for name in learnt if name not in theirs]:
        raise Refusal(f"Cannot take these weights: {missing[0]} is not among them.")
    return {name: theirs[name] for name in learnt}
