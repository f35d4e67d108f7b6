"""Ranks, and how two of them go together."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Of a vector, float64, from 1; equal ones share the mean of their places."""
    _, which, times = values.unique(return_inverse=True, return_counts=True)
    last = times.cumsum(0).double()
    return (last - (times.double() - 1) / 2)[which]


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """The correlation of the ranks of N maps (or vectors) with those of N others, N×…: N, in -1..1. What is everywhere
    the same goes with nothing, 0.
    """
    placed = torch.stack([torch.stack([ranks(each.flatten()) for each in side]) for side in (one, other)])
    placed = placed - placed.mean(2, keepdim=True)
    below = placed.square().sum(2).prod(0).sqrt()
    return torch.where(below > 0, placed.prod(0).sum(1) / below.clamp(min=1e-30), 0.0).float()
