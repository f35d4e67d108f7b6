"""What torch holds for each kind of node beside its output: for the way back, and for a moment while it runs.

A table by kind, from torch's derivatives. Layers that torch makes of several steps (marked ~) are as their steps are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph, Node
from striate.blueprint.layer import pair
from striate.blueprint.layers import LAYERS
from striate.blueprint.wiring import JOINS

INDEX = 8  # bytes of a max pool's index, an int64
STATISTIC = 4  # bytes of a norm's mean or deviation, float32 whatever the values are
Much = Callable[[Any, Node, int, int], int]  # (node, the one it reads, batch, bytes of a value) -> bytes


class Holds(NamedTuple):
    """Which values a node keeps for its gradient, what it saves beside them, and what it needs only while it runs; on
    the way back, the gradient that it makes before its input's (a padded copy's), and what it needs beside that.
    """

    reads: bool = False
    gives: bool = False
    saves: Much | None = None
    scratch: Much | None = None
    through: Much | None = None
    within: Much | None = None


VIEWS = {"aten.slice", "aten.select", "aten.expand", "aten.narrow", "aten.unfold"}  # steps of others' modules


def kinds(graph: Graph) -> dict[str, str]:
    """The kind of every node by its name; equal blocks share what `place` gave, and are asked once."""
    asked: dict[int, str] = {}
    return {
        node.name: asked.get(id(node.placed)) or asked.setdefault(id(node.placed), kind(node, graph))
        for node in graph.nodes
    }


def kind(node: Node, graph: Graph) -> str:
    """The word that these tables go by: "concat", "Conv", "relu", "max pool", "padded Conv"."""
    op: Any = node.op
    if isinstance(op, str):
        return op
    match name := type(op).__name__:
        case "Activation":
            return str(op.kind)
        case "Conv" | "Pool":
            what = name if name == "Conv" else f"{op.kind} pool"
            return f"padded {what}" if _padding(node, graph[node.inputs[0]]) else what
        case "GlobalPool":  # to one cell it is a plain mean, which keeps nothing
            return f"global {op.kind}" if op.kind == "max" or not node.output.is_vector else name
        case "Select" if op.channels == tuple(range(op.channels[0], op.channels[0] + len(op.channels))):
            return "view"
        case "Traced":
            step = str(op.op).rstrip("_")
            return "view" if step in VIEWS else "add" if step == "aten.sub" else step.removeprefix("aten.")
        case "Dropout" if op.channels:
            return "dropout of channels"
        case "Shuffle" if op.groups in (1, node.output.channels):
            return "view"
        case _:
            return name


def _padding(node: Any, source: Node) -> tuple[int, int] | None:
    """Rows and columns of the padded copy that torch is given where it cannot say the padding itself; else None."""
    op, grown, lopsided = node.op, [], False
    if type(op).__name__ == "Conv" and op.transposed:
        return None
    for n, cells, window in zip(source.output.grid, node.output.grid, node.placed.windows, strict=True):
        over = (cells - 1) * window.stride + window.reach - n - window.before
        after = max(window.after, over) if op.fit == "ceil" and type(op).__name__ == "Conv" else window.after
        lopsided |= after != window.before or (op.padding == "same" and window.stride > 1)
        grown.append(n + window.before + after)
    return (grown[0], grown[1]) if lopsided else None


def _padded(node: Node, source: Node, batch: int, size: int) -> int:
    """The copy with its padding."""
    return batch * size * source.output.channels * prod(_padding(node, source) or (0,))


def _both(*parts: Much) -> Much:
    return lambda node, source, batch, size: sum(part(node, source, batch, size) for part in parts)


def values(n: int) -> Much:
    """n times the output."""
    return lambda node, source, batch, size: n * batch * size * node.output.size


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


def _differences(node: Node, source: Node, batch: int, size: int) -> int:
    """~ The gradient of each square, of each difference, and what makes it; the values' own is not there yet."""
    return 3 * _distances(node, source, batch, size) - _read(node, source, batch, size)


def _mask(node: Node, source: Node, batch: int, size: int) -> int:
    """One number for each map."""
    return batch * size * node.output.channels


def _read(node: Node, source: Node, batch: int, size: int) -> int:
    """Once what it reads."""
    return batch * size * source.output.size


def _candidates(node: Any, source: Node, batch: int, size: int) -> int:
    """~ For each cell of a window the values there, and the largest so far of all but the first and the last."""
    values: int = node.output.size
    window: int = node.op.kernel_size**2
    return (2 * window - 2) * batch * size * values


NOTHING, READ, GIVEN = Holds(), Holds(reads=True), Holds(gives=True)
FOREIGN = Holds(reads=True, gives=True)  # nobody knows
LARGEST = Holds(reads=True, saves=_indices, scratch=_indices)
HOLDS: dict[str, Holds] = {
    **dict.fromkeys(("Conv", "Linear", "multiply", "average pool", "global average"), READ),
    **dict.fromkeys(("relu", "sigmoid", "tanh", "softmax", "log_softmax"), GIVEN),
    **dict.fromkeys(("relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), READ),
    **dict.fromkeys(("hardswish", "hardsigmoid"), READ),
    **dict.fromkeys(("max pool", "global max"), LARGEST),
    "FractionalMaxPool": Holds(saves=_candidates, scratch=_candidates, within=_read),
    **dict.fromkeys(("padded Conv", "padded average pool"), Holds(saves=_padded, scratch=_padded, through=_padded)),
    "padded max pool": Holds(saves=_both(_padded, _indices), scratch=_both(_padded, _indices), through=_padded),
    "scaled_tanh": Holds(saves=values(1), scratch=values(1)),  # ~ the tanh before it is scaled
    "BatchNorm": Holds(reads=True, saves=_statistics(lambda node, batch: node.output.channels)),
    "GroupNorm": Holds(reads=True, saves=_statistics(lambda node, batch: batch * node.op.num_groups)),
    "LayerNorm": Holds(reads=True, saves=_statistics(lambda node, batch: batch * prod(node.output.grid))),
    "LocalResponseNorm": Holds(reads=True, saves=_normalising, scratch=values(2), within=values(3)),
    "LocallyConnected": Holds(saves=_patches, scratch=_patches, through=_patches),
    "DropPath": Holds(saves=lambda node, source, batch, size: batch),  # a yes or no for each example
    "Dropout": Holds(saves=values(1)),  # the mask, as wide as the values; on a GPU one byte each
    "dropout of channels": Holds(saves=_mask),
    "Select": Holds(within=_read),  # zeros, and what is put into them
    "RadialBasis": Holds(saves=_distances, scratch=_distances, within=_differences),
    # Steps of somebody else's module; one that is not here is as Foreign.
    **dict.fromkeys(("linear", "matmul", "bmm", "baddbmm", "einsum", "mul", "div", "pow", "prelu"), READ),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d", "layer_norm", "group_norm", "rms_norm"), READ),
    **dict.fromkeys(("exp", "sqrt", "rsqrt", "reciprocal"), GIVEN),
    **dict.fromkeys(("cat", "roll", "neg", "sum", "mean", "rearrange", "reshape", "permute", "clone", "pad"), NOTHING),
    **dict.fromkeys(("constant_pad_nd", "flip", "upsample_nearest2d", "upsample_bilinear2d", "repeat"), NOTHING),
    "dropout": Holds(saves=values(1)),
    "Foreign": FOREIGN,
}
OURS = {"input", "view", *JOINS, *LAYERS}  # of kinds that are not in the table, those that hold nothing


def holds_of(kind: str) -> Holds:
    """A kind's line of the table."""
    return HOLDS.get(kind) or (NOTHING if kind in OURS else FOREIGN)
