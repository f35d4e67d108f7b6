"""The optimiser, and the way its learning rate goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import cos, inf, pi, prod
from typing import Any

import torch
from torch import Tensor, nn

from striate.training.muon import Muon
from striate.training.recipe import Recipe
from striate.training.stepping import SGD, AdamW

BETTER = 1e-4  # by this share a loss must be lower than the lowest to count as lower, as torch has it

# What is left of the learning rate when a share of the way down is done.
DOWN: dict[str, Callable[[float], float]] = {
    "one-cycle": lambda done: 1 - done,  # straight up, straight down (Smith 2018, arXiv 1803.09820)
    "cosine": lambda done: (1 + cos(pi * done)) / 2,  # Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5
}
# What is left of it in steps: of the share of all steps that is done, the epochs that are, and the cuts so far.
FALLS: dict[str, Callable[[Recipe, float, float, int], float]] = {
    "constant": lambda recipe, done, epochs, cuts: 1.0,
    "step": lambda recipe, done, epochs, cuts: prod(
        fall for mark, fall in zip(recipe.milestones, _falls(recipe), strict=True) if done >= mark
    ),
    "exponential": lambda recipe, done, epochs, cuts: _falls(recipe)[0] ** int(epochs / recipe.every + 1e-9),
    "plateau": lambda recipe, done, epochs, cuts: _falls(recipe)[0] ** cuts,
}


def rate(recipe: Recipe, step: int, steps: int, cuts: int = 0) -> float:
    """The learning rate of step 1, 2, … of `steps`: straight up while warming up, then down; never quite 0.

    `cuts`: how often a plateau has been met. "exponential" counts epochs, so the recipe must say how many there are.
    """
    rising = recipe.warm_up * steps
    if step <= rising:
        return recipe.lr * step / rising
    if recipe.schedule in DOWN:
        return recipe.lr * DOWN[recipe.schedule]((step - 1 - rising) / max(1.0, steps - rising))
    done = (step - 1) / steps
    return recipe.lr * FALLS[recipe.schedule](recipe, done, done * (recipe.epochs or 1), cuts)


def _falls(recipe: Recipe) -> tuple[float, ...]:
    return recipe.factor if isinstance(recipe.factor, tuple) else (recipe.factor,) * max(1, len(recipe.milestones))


def cuts(recipe: Recipe, held_losses: Sequence[float]) -> int:
    """How often the learning rate of a plateau has been cut, after epochs with these losses on the images held out:
    each time that more than `patience` epochs in a row were no better than the best before them.
    """
    if recipe.schedule != "plateau":
        return 0
    best, waited, count = inf, 0, 0
    for loss in held_losses:
        waited = 0 if loss < best * (1 - BETTER) else waited + 1
        best = loss if waited == 0 else best
        if waited > recipe.patience:
            count, waited = count + 1, 0
    return count


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's, fused where torch has it so. Weights decay; norms and biases do where the recipe says so.

    Its `state_dict()` has tensors, numbers, words, and lists of them: no code is needed to keep it. `restore` takes it.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = {name for name, p in trained if p.ndim < 2 or name.endswith("bias")}
    spared = set() if recipe.decay_all else plain
    alike: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for name, p in trained:
        alike[0.0 if name in spared else recipe.weight_decay, recipe.rate_of(name)].append(p)
    there = bool(trained) and trained[0][1].is_cuda  # then steps may be captured: what changes must lie on the GPU
    groups: list[dict[str, Any]] = [
        {
            "params": alike[decay, scale],
            "weight_decay": decay,
            "scale": scale,
            "lr": torch.tensor(recipe.lr * scale, device=trained[0][1].device) if there else recipe.lr * scale,
        }
        for decay, scale in sorted(alike, reverse=True)
    ]
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.nesterov and recipe.momentum > 0
            return SGD(groups, recipe.lr, recipe.momentum, nesterov=nesterov, fused=True)
        case "rmsprop":
            how: dict[str, Any] = {"alpha": recipe.second, "eps": recipe.eps, "momentum": recipe.momentum}
            return torch.optim.RMSprop(groups, recipe.lr, capturable=there, **how)
        case "muon":
            matrices = {id(p) for name, p in trained if name not in plain and p.ndim in (2, 4)}
            if recipe.unit:
                matrices -= {id(p) for name, p in trained if p.ndim == 2}  # a head's length means something
            how = {"times": recipe.quintics, "unit": recipe.unit}
            moved = recipe.momentum, recipe.nesterov, recipe.second
            return Muon(groups, recipe.lr, *moved, recipe.eps, matrices, **how)
        case _:
            betas = recipe.momentum, recipe.second
            return AdamW(groups, recipe.lr, betas, recipe.eps, fused=True, capturable=there)


def put(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step, each group's share of it; on a GPU where it lies: a captured step reads it
    there.
    """
    for group in optimiser.param_groups:
        value = lr * group.get("scale", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def restore(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """A kept `state_dict()` into an optimiser of the same recipe and network, laid out in memory as its weights are:
    fused kernels go through both side by side, and a file keeps no layout.
    """
    optimiser.load_state_dict(dict(state))
    for parameter, kept in optimiser.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
