"""The optimiser and the way its learning rate goes."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

import torch
from torch import nn

from striate.training.recipe import Recipe

# What is left of the learning rate when a share of the way down is done.
DOWN: dict[str, Callable[[float], float]] = {
    "one-cycle": lambda done: 1 - done,  # straight up, straight down (Smith 2018, arXiv 1803.09820)
    "cosine": lambda done: (1 + cos(pi * done)) / 2,  # Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5
    "constant": lambda done: 1.0,
}


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of step 1, 2, … of `steps`: straight up while warming up, then down; never quite 0."""
    rising = recipe.warm_up * steps
    if step <= rising:
        return recipe.lr * step / rising
    return recipe.lr * DOWN[recipe.schedule]((step - 1 - rising) / max(1.0, steps - rising))


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's, fused where torch has it so; weights decay, norms and biases do not."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = {name for name, p in trained if p.ndim < 2 or name.endswith("bias")}
    groups = [
        {"params": [p for name, p in trained if name not in plain], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in trained if name in plain], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
    return torch.optim.AdamW(groups, recipe.lr, (recipe.momentum, 0.999), fused=True)
