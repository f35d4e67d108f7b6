"""What torch holds for each kind of node beside its output: for the way back, and for a moment while it runs.

A table by kind, from torch's derivatives. Layers that torch makes of several steps (marked ~) are as their steps are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from striate.blueprint.graph import Node
from striate.blueprint.layer import pair

INDEX = 8  # bytes of a max pool's index, an int64
STATISTIC = 4  # bytes of a norm's mean or deviation, float32 whatever the values are
Much = Callable[[Any, Node, int, int], int]  # (node, the one it reads, batch, bytes of a value) -> bytes


class Holds(NamedTuple):
    """Which values a node keeps for its gradient, what it saves beside them, and what it needs only while it runs."""

    reads: bool = False
    gives: bool = False
    saves: Much | None = None
    scratch: Much | None = None


def kind(node: Node) -> str:
    """The word that these tables go by: "concat", "Conv", "relu", "max pool"."""
    op: Any = node.op
    if isinstance(op, str):
        return op
    match name := type(op).__name__:
        case "Activation":
            return str(op.kind)
        case "Pool":
            return f"{op.kind} pool"
        case "GlobalPool":  # to one cell it is a plain mean, which keeps nothing
            return f"global {op.kind}" if op.kind == "max" or not node.output.is_vector else name
        case "Select" if op.channels == tuple(range(op.channels[0], op.channels[0] + len(op.channels))):
            return "view"
        case _:
            return name


def values(n: float) -> Much:
    """n times the output."""
    return lambda node, source, batch, size: int(n * batch * size * node.output.size)


def _indices(node: Node, source: Node, batch: int, size: int) -> int:
    return batch * INDEX * node.output.size


def _statistics(count: Callable[[Any, int], int]) -> Much:
    """A mean and a deviation for each of so many."""
    return lambda node, source, batch, size: 2 * STATISTIC * count(node, batch)


def _normalising(node: Any, source: Node, batch: int, size: int) -> int:
    """~ Two volumes (the sum, its power), and the squares with `size - 1` channels of zeros around them."""
    zeros: int = (node.op.size - 1) * prod(node.output.grid)
    return batch * size * (3 * source.output.size + zeros)


def _patches(node: Any, source: Node, batch: int, size: int) -> int:
    """~ What each position reads, copied out."""
    window: int = prod(pair(node.op.kernel_size))
    cells: int = prod(node.output.grid)
    return batch * size * source.output.channels * window * cells


def _distances(node: Node, source: Node, batch: int, size: int) -> int:
    """~ How far each value is from each code's."""
    return batch * size * source.output.size * node.output.size


NOTHING, READ, GIVEN = Holds(), Holds(reads=True), Holds(gives=True)
LARGEST = Holds(reads=True, saves=_indices, scratch=_indices)
HOLDS: dict[str, Holds] = {
    **dict.fromkeys(("Conv", "Linear", "multiply", "average pool", "global average"), READ),
    **dict.fromkeys(("relu", "sigmoid", "tanh", "softmax", "log_softmax"), GIVEN),
    **dict.fromkeys(("relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), READ),
    **dict.fromkeys(("hardswish", "hardsigmoid"), READ),
    **dict.fromkeys(("max pool", "global max", "FractionalMaxPool"), LARGEST),
    "scaled_tanh": Holds(saves=values(1), scratch=values(1)),  # ~ the tanh before it is scaled
    "BatchNorm": Holds(reads=True, saves=_statistics(lambda node, batch: node.output.channels)),
    "GroupNorm": Holds(reads=True, saves=_statistics(lambda node, batch: batch * node.op.num_groups)),
    "LayerNorm": Holds(reads=True, saves=_statistics(lambda node, batch: batch * prod(node.output.grid))),
    "LocalResponseNorm": Holds(reads=True, saves=_normalising, scratch=values(2)),
    "LocallyConnected": Holds(saves=_patches, scratch=_patches),
    "Dropout": Holds(saves=values(1)),  # the mask, as wide as the values; on a GPU one byte each
    "RadialBasis": Holds(saves=_distances, scratch=_distances),
    "Foreign": Holds(reads=True, gives=True),  # nobody knows
}
