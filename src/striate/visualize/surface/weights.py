"""All weights of a module as one vector, and the module at any other vector: written in place, given back bit for bit.

What moves are the parameters and the buffers that are floating-point numbers (BatchNorm's statistics), each once, as
they lie in memory; those of one dtype follow each other. So a step along a direction is one addition for all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.said import counted

Write = Callable[[Tensor, Tensor, float], None]  # (base, direction, by): the module is now at base + by·direction


def movable(model: nn.Module) -> dict[str, Tensor]:
    """By name what moves. Raises Refusal where there is nothing."""
    named = [*model.named_parameters(), *model.named_buffers()]
    once = {id(tensor): (name, tensor) for name, tensor in reversed(named) if tensor.is_floating_point()}
    found = dict(reversed(once.values()))
    if not any(isinstance(tensor, nn.Parameter) for tensor in found.values()):
        raise Refusal(f"Cannot walk over the loss of {type(model).__name__}: it has no weights.")
    return dict(sorted(found.items(), key=lambda item: str(item[1].dtype)))


def vector(model: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> Tensor:
    """The weights, or tensors of the same names and shapes in their stead (0 where one is missing): float32, or float64
    where some are. Raises Refusal for numbers that are none, and for tensors that are not the module's.
    """
    mine = movable(model)
    wide = torch.float64 if any(tensor.dtype is torch.float64 for tensor in mine.values()) else torch.float32
    if tensors is None:
        tensors = mine
    elif odd := [name for name in tensors if name not in mine or tensors[name].shape != mine[name].shape]:
        shape = "×".join(map(str, tensors[odd[0]].shape)) or "one number"
        wants = "×".join(map(str, mine[odd[0]].shape)) if odd[0] in mine else "no such tensor"
        raise Refusal(
            f"Cannot take these weights: {counted(len(odd), 'tensor')} not this network's. "
            f"{odd[0]} is {shape}, the network has {wants}."
        )
    device = next(iter(mine.values())).device
    parts = []
    for name, like in mine.items():
        tensor = tensors.get(name)
        laid = torch.zeros(like.numel()) if tensor is None else tensor.detach().permute(_order(like)).reshape(-1)
        if not laid.isfinite().all():
            raise Refusal(f"Cannot walk over the loss from these weights: {name} has numbers that are none.")
        parts.append(laid.to(device, wide))
    return torch.cat(parts)


def tensors_of(model: nn.Module, laid: Tensor) -> dict[str, Tensor]:
    """Back from a vector to tensors of the module's names and shapes, which share its memory."""
    found, at = {}, 0
    for name, like in movable(model).items():
        found[name] = _shaped(laid[at : at + like.numel()], like)
        at += like.numel()
    return found


def _order(like: Tensor) -> list[int]:
    """The axes as they lie in memory, the slowest first."""
    return sorted(range(like.ndim), key=like.stride, reverse=True)


def _shaped(part: Tensor, like: Tensor) -> Tensor:
    order = _order(like)
    return part.view([like.shape[axis] for axis in order]).permute([order.index(axis) for axis in range(like.ndim)])


@contextmanager
def moving(model: nn.Module) -> Iterator[Write]:
    """The model in evaluation mode (norms use the statistics they have), its weights wherever the function given moves
    them; afterwards mode and weights are the very same.
    """
    mine = movable(model)
    modes = [(module, module.training) for module in model.modules()]
    kept = [(tensor, tensor.data) for tensor in mine.values()]
    runs, at = list[tuple[slice, Tensor]](), 0
    with torch.no_grad():
        for dtype, group in groupby(mine.values(), key=lambda tensor: tensor.dtype):
            tensors = list(group)
            size = sum(tensor.numel() for tensor in tensors)
            runs.append((slice(at, at + size), torch.empty(size, dtype=dtype, device=tensors[0].device)))
            at += size

    def write(base: Tensor, direction: Tensor, by: float) -> None:
        for run, flat in runs:
            torch.add(base[run], direction[run], alpha=by, out=flat)

    try:
        model.eval()
        whole = iter(mine.values())
        for _, flat in runs:
            at = 0
            while at < len(flat):
                tensor = next(whole)
                place = _shaped(flat[at : at + tensor.numel()], tensor)
                tensor.data = place.copy_(tensor.data)
                at += tensor.numel()
        yield write
    finally:
        for tensor, data in kept:
            tensor.data = data
        for module, mode in modes:
            module.training = mode
