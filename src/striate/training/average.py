"""The average of a network's weights along its way, which is judged and kept in its place."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
from torch import nn


class Average:
    """`model` has the average of another model's weights, and its statistics as they are now.

    `decay`: how much of the average stays at a step, less in the beginning, where it would be mostly initial weights:
    min(decay, (1 + step)/(10 + step)), as TensorFlow's ExponentialMovingAverage has it. "polyak": the mean of all
    weights that there were (Polyak & Juditsky 1992), the initial ones not counted.
    """

    def __init__(self, model: nn.Module, decay: float | Literal["polyak"]) -> None:
        graph = getattr(model, "graph", None)
        self.decay = decay
        self.model = deepcopy(model, {id(graph): graph} if graph is not None else None)  # a graph never changes
        self.model.eval().requires_grad_(False)
        for parameter in self.model.parameters():
            parameter.grad = None

    def share(self, step: int) -> float:
        """Of the weights after step 1, 2, …: how much of them goes into the average."""
        if self.decay == "polyak":
            return 1 / step
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """The weights after step 1, 2, … are averaged in; buffers are copied."""
        pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))
        if pairs:
            ours, theirs = map(list, zip(*pairs, strict=True))
            torch._foreach_lerp_(ours, theirs, self.share(step))
        for mine, now in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(now)
