"""Where to go from a network's weights: at random, filter by filter as long as the weights are; or to other weights.

A direction is a vector of `weights.vector`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.nn.locally import _LocallyConnected
from striate.visualize.surface.weights import movable, tensors_of, vector

NORMS = ("filter", "layer", "none")
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
SCALES = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)  # norms, which scale channels


def random_direction(model: nn.Module, seed: int = 0, norm: str = "filter", biases: bool = False) -> Tensor:
    """Gaussian, then `normalised`: the direction of Li et al. 2018 (arXiv 1712.09913, section 4). The same seed gives
    the same direction on any machine.
    """
    chance = torch.Generator().manual_seed(seed)
    drawn = {name: torch.randn(tensor.shape, generator=chance) for name, tensor in model.named_parameters()}
    mine = movable(model)
    return normalised(model, {name: tensor for name, tensor in drawn.items() if name in mine}, norm, biases)


def random_directions(model: nn.Module, seed: int = 0, norm: str = "filter") -> tuple[Tensor, Tensor]:
    """Two, which in so many dimensions are all but orthogonal."""
    return random_direction(model, 2 * seed, norm), random_direction(model, 2 * seed + 1, norm)


def normalised(model: nn.Module, tensors: Mapping[str, Tensor], norm: str = "filter", biases: bool = False) -> Tensor:
    """A direction in which each filter has the length of the model's own (Li et al. 2018, equation 1 in section 4): all
    weights that make one number of an output's channel, in a Linear a row. So the scale at which a network is written
    down, which BatchNorm and ReLU make meaningless, plays no part. "layer": each tensor, not each filter; "none": as
    given.

    Biases and the norms' own weights stay where they are, as in the paper's pictures, or with `biases` move by vectors
    as long as themselves; BatchNorm's statistics stay. Raises Refusal for another norm.
    """
    if norm not in NORMS:
        raise Refusal(
            f'Cannot make a direction as long as the weights by "{norm}".', ways=f"One of: {', '.join(NORMS)}."
        )
    mine, parts, made = movable(model), dict(model.named_modules()), dict[str, Tensor]()
    for name, direction in tensors.items():
        weight, (owner, _, leaf) = mine[name].detach(), name.rpartition(".")
        small = weight.ndim < 2 or leaf == "bias" or isinstance(parts.get(owner), SCALES)
        if not isinstance(mine[name], nn.Parameter) or (small and not biases):
            continue
        direction = direction.to(weight.device, torch.promote_types(weight.dtype, torch.float32), copy=True)
        if norm != "none":
            whole = small or norm == "layer"
            (there, axes), (here, _) = (_filters(parts.get(owner), t, whole) for t in (direction, weight.to(direction)))
            there.mul_(_length(here, axes) / _length(there, axes).clamp(min=torch.finfo(there.dtype).tiny))
        made[name] = direction
    return vector(model, made)


def _length(filters: Tensor, axes: tuple[int, ...]) -> Tensor:
    return torch.linalg.vector_norm(filters, dim=axes, keepdim=True)


def _filters(module: nn.Module | None, weight: Tensor, whole: bool) -> tuple[Tensor, tuple[int, ...]]:
    """A view of a weight, and the axes of it that lie within one filter."""
    if whole:
        return weight, tuple(range(weight.ndim))
    if isinstance(module, TRANSPOSED):  # in × out/groups × kernel
        split = weight.unflatten(0, (module.groups, -1))
        return split, (1, *range(3, split.ndim))
    outside = len(module.grid) + 1 if isinstance(module, _LocallyConnected) else 1
    return weight, tuple(range(outside, weight.ndim))


def between(model: nn.Module, other: nn.Module | Mapping[str, Tensor]) -> Tensor:
    """From a network's weights to those of another of the same shapes (or a state dict), BatchNorm's statistics too: at
    1 along it is the other (Goodfellow et al. 2015, arXiv 1412.6544, section 3). Raises Refusal where shapes differ.
    """
    mine = movable(model)
    theirs = other.state_dict() if isinstance(other, nn.Module) else other
    if missing := [name for name in mine if name not in theirs]:
        raise Refusal(f"Cannot go to these weights: {missing[0]} is not among them.")
    shared = model.state_dict().keys() - mine.keys()  # the second names of weights that have two, and whole numbers
    return vector(model, {name: tensor for name, tensor in theirs.items() if name not in shared}) - vector(model)


def named(model: nn.Module, direction: Tensor) -> dict[str, Tensor]:
    """A direction as tensors of the module's names."""
    return tensors_of(model, direction)
