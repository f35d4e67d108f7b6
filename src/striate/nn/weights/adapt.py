"""Weights that were trained for other channels or other classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import Conv, Graph, Linear, Node


class Rows(NamedTuple):
    """Which row of the source's head each class of ours takes; None: stays as it is."""

    taken: tuple[int | None, ...]
    told: str


def first_readers(graph: Graph) -> dict[str, int]:
    """The convolutions and linear layers that read the input itself: {name: cells of a channel}."""
    bare = {"input"}
    readers = {}
    for node in graph.nodes[1:]:
        if set(node.inputs) <= bare:
            source = graph[node.inputs[0]].output
            if isinstance(node.op, Conv) and node.op.groups == 1 and not node.op.transposed:
                readers[node.name] = 1
            elif isinstance(node.op, Linear):
                readers[node.name] = source.height * source.width
            elif _passes(node, graph):
                bare.add(node.name)
    return readers


def _passes(node: Node, graph: Graph) -> bool:
    """Whether it has no numbers of its own and leaves the channels as they are."""
    same = all(graph[name].output.channels == node.output.channels for name in node.inputs)
    return same and not node.placed.weights and not node.placed.buffers


def channels(weight: Tensor, wanted: int) -> Tensor:
    """Weights out×n×kh×kw -> out×wanted×kh×kw such that an image whose channels are all alike is answered as before.

    Fewer: channel j is added to channel j mod wanted (3 -> 1 is the sum). More: channel i takes channel i mod n, shared
    out among those that take the same (1 -> 3 is a third each).
    """
    n = weight.shape[1]
    if wanted <= n:
        fewer = weight.new_zeros(weight.shape[0], wanted, *weight.shape[2:])
        return fewer.index_add_(1, torch.arange(n) % wanted, weight)
    taken = torch.arange(wanted) % n
    shares = taken.bincount(minlength=n)[taken].to(weight.dtype)
    return weight[:, taken] / shares.view(1, -1, *[1] * (weight.dim() - 2))


def told_channels(n: int, wanted: int) -> str:
    """The same in words."""
    if wanted == 1:
        return f"the {n} channels summed"
    if n == 1:
        return f"the one channel spread over {wanted}, divided by {wanted}"
    if wanted < n:
        return f"channels {n} -> {wanted}: channel j added to channel j mod {wanted}"
    return f"channels {n} -> {wanted}: channel i takes channel i mod {n}, shared out among its copies"


def by_class(ours: Sequence[str], theirs: Sequence[str]) -> Rows | None:
    """Rows of a head by the names of its classes; None where no name is shared. A name that the source has twice is not
    taken: nobody knows which is meant.
    """
    once = {name: row for row, name in enumerate(theirs) if theirs.count(name) == 1}
    taken = tuple(once.get(name) for name in ours)
    kept = [name for name, row in zip(ours, taken, strict=True) if row is not None]
    if not kept:
        return None
    some = f" ({', '.join(kept[:3])}{', …' if len(kept) > 3 else ''})"
    rest = f"; {len(ours) - len(kept)} as initialised" if len(kept) < len(ours) else ""
    return Rows(taken, f"{len(kept)} of {len(ours)} classes by their names{some}{rest}")
