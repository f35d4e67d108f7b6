"""What a run holds in memory: the peak of inference by liveness, and what training keeps for the way back.

Counted are the nodes' values, the weights and the buffers. Not counted is what a kernel takes for itself while it runs
(a padded copy, a workspace), nor what the framework and its allocator keep (CUDA's context, fragmentation).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph, Node
from striate.blueprint.layer import pair
from striate.blueprint.wiring import JOINS

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "float64": 8}
FRESH = {
    *JOINS,
    "Conv",
    "Linear",
    "BatchNorm",
    "LocallyConnected",
}  # their output is their own, and their gradient does not need it
OVERWRITES = {"relu", "relu6"}
PASSES = {"Identity"}  # hand on what they are given, as do dropout and drop path outside training
STATE = {
    "sgd": 1,
    "adam": 2,
    "adamw": 2,
    "rmsprop": 1,
    "plain": 0,
}  # numbers an optimiser keeps for each parameter; sgd is with momentum
INDEX = 8  # bytes of a max pool's index, an int64 in torch
STATISTIC = 4  # bytes of a norm's saved mean or deviation, float32 whatever the values are


class Training(NamedTuple):
    """Bytes of one training step. The total is an upper estimate: not all of it is there at the same moment."""

    optimizer: str
    gradient_bytes: int  # one number for each parameter
    optimizer_bytes: int
    saved_bytes: int  # values kept from the way forward for the way back
    total_bytes: int  # these, the weights and the buffers


def kind(node: Node) -> str:
    """What the tables here are keyed by: "concat", "Conv", and an activation or a pool by its own kind."""
    return (
        node.op
        if isinstance(node.op, str)
        else getattr(node.op, "kind", "")
        if type(node.op).__name__ == "Activation"
        else type(node.op).__name__
    )


def buffer_bytes(graph: Graph, size: int) -> int:
    """Running means and such; a scalar is a counter, an int64 whatever the dtype."""
    shapes = [shape for node in graph.nodes if not node.twin for shape in node.placed.buffers.values()]
    return sum(size * prod(shape) if shape else INDEX for shape in shapes)


def homes(graph: Graph, training: bool = False) -> dict[str, str]:
    """For each node the node in whose memory its value lies: itself, or its input's home where it overwrites that."""
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for name in set(node.inputs):
            readers[name] = readers.get(name, 0) + 1
    kept = set(graph.taps.values())
    passes = PASSES if training else PASSES | {"Dropout", "DropPath"}
    found: dict[str, str] = {}
    before: dict[str, str] = {}  # kinds of the nodes so far
    for node in graph.nodes:
        what = before[node.name] = kind(node)
        source = node.inputs[0] if node.inputs else ""
        alone = source not in kept and readers.get(source) == 1
        shares = what in passes or (what in OVERWRITES and alone and before[source] in FRESH)
        found[node.name] = found[source] if shares else node.name
    return found


def peak_values(graph: Graph) -> int:
    """The most numbers, of one example, that are alive at once while the nodes run in order.

    Each value goes after its last reader; the input stays (its owner holds it), and so do the ways out.
    """
    home = homes(graph)
    last = {home[name]: i for i, node in enumerate(graph.nodes) for name in (*node.inputs, node.name)}
    last |= dict.fromkeys([home["input"], *(home[name] for name in graph.taps.values())], len(graph.nodes))
    ends: dict[int, int] = {}  # after step i, so many numbers go
    for node in graph.nodes:
        if home[node.name] == node.name:
            ends[last[node.name]] = ends.get(last[node.name], 0) + node.output.size
    alive = most = 0
    for i, node in enumerate(graph.nodes):
        if home[node.name] == node.name:
            alive += node.output.size
            most = max(most, alive)
        alive -= ends.get(i, 0)
    return most


class Kept(NamedTuple):
    """What autograd keeps of one node: which of the values it read or gave, and bytes beside them."""

    reads: bool = False
    gives: bool = False
    beside: Callable[[Node, Node, int], int] = lambda node, source, size: 0  # bytes an example
    once: Callable[[Node], int] = lambda node: 0  # bytes however large the batch


def _indices(node: Node, source: Node, size: int) -> int:
    return INDEX * node.output.size


def _patches(node: Node, source: Node, size: int) -> int:
    op: Any = node.op
    rows, columns = pair(op.kernel_size)
    return size * source.output.channels * int(rows * columns) * prod(node.output.grid)


NOTHING, READ, GIVEN = Kept(), Kept(reads=True), Kept(gives=True)
KEEPS: dict[
    str, Kept
] = {  # as torch's derivatives say; those marked ~ are estimates, for they are made of several steps
    **dict.fromkeys(("Conv", "Linear", "RadialBasis", "multiply"), READ),
    **dict.fromkeys(("relu", "sigmoid", "tanh", "softmax", "log_softmax"), GIVEN),
    **dict.fromkeys(
        ("relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "hardswish", "hardsigmoid"), READ
    ),
    "scaled_tanh": Kept(beside=lambda node, source, size: size * node.output.size),  # its tanh, before the scale
    "BatchNorm": Kept(reads=True, once=lambda node: 2 * STATISTIC * node.output.channels),
    "GroupNorm": Kept(reads=True, beside=lambda node, source, size: 2 * STATISTIC * node.op.num_groups),  # type: ignore[union-attr]
    "LayerNorm": Kept(reads=True, beside=lambda node, source, size: 2 * STATISTIC * prod(node.output.grid)),
    "LocalResponseNorm": Kept(
        reads=True, beside=lambda node, source, size: 3 * size * node.output.size
    ),  # ~ the squares, their mean, its power
    "LocallyConnected": Kept(beside=_patches),  # what each position reads, copied out
    "max pool": Kept(reads=True, beside=_indices),
    "average pool": READ,
    "FractionalMaxPool": Kept(reads=True, beside=_indices),
    "max global": Kept(reads=True, beside=_indices),
    "average global": READ,
    "Dropout": Kept(beside=lambda node, source, size: node.output.size),  # ~ a mask of one byte a value
    "Foreign": Kept(reads=True, gives=True),  # ~ unknown
}


def saved_bytes(graph: Graph, batch: int, size: int) -> int:
    """What stays in memory from the way forward for the way back, each value once however many need it."""
    home = homes(graph, training=True)
    held: set[str] = set()
    beside = 0
    for node in graph.nodes[1:]:
        kept = KEEPS.get(_kept_as(node), NOTHING)
        if kept.reads:
            held.update(home[name] for name in node.inputs)
        if kept.gives:
            held.add(home[node.name])
        beside += batch * kept.beside(node, graph[node.inputs[0]], size) + kept.once(node)
    return beside + batch * size * sum(graph[name].output.size for name in held)


def _kept_as(node: Node) -> str:
    what, op = kind(node), node.op
    if what == "Pool":
        return f"{op.kind} pool"  # type: ignore[union-attr]
    if what == "GlobalPool":  # to one cell the mean keeps nothing
        return "" if op.kind == "average" and node.output.is_vector else f"{op.kind} global"  # type: ignore[union-attr]
    return what


def training_bytes(graph: Graph, batch: int, size: int, optimizer: str) -> Training:
    weights = size * graph.parameters
    state, saved = STATE[optimizer] * weights, saved_bytes(graph, batch, size)
    return Training(optimizer, weights, state, saved, 2 * weights + buffer_bytes(graph, size) + state + saved)
