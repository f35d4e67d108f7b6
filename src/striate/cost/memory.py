"""What a run holds in memory: the peak of inference by liveness, and what training keeps for the way back.

Counted are the nodes' values, what torch makes beside them (`holds`), the weights and the buffers. Not counted are what
a kernel takes for itself alone (a convolution's workspace) and what framework and allocator keep (CUDA's context,
fragmentation). Both figures are tested against the storages that torch really makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.wiring import JOINS
from striate.cost.holds import HOLDS, INDEX, NOTHING, kind

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "float64": 8}
STATE = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 1, "plain": 0}  # numbers kept for each parameter; sgd has momentum
OVERWRITES = {"relu", "relu6"}
FRESH = {
    *JOINS,
    "Conv",
    "Linear",
    "BatchNorm",
    "LocallyConnected",
}  # may be overwritten: no gradient needs them
PASSES = {"Identity", "view"}  # hand on what they read, as do dropout and drop path outside training


class Training(NamedTuple):
    """Bytes of one training step. The total is an upper estimate: not all of it is there at the same moment."""

    optimizer: str
    gradient_bytes: int  # one number for each parameter
    optimizer_bytes: int
    saved_bytes: int  # kept from the way forward for the way back
    total_bytes: int  # these, the weights and the buffers


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


def peak_bytes(graph: Graph, batch: int, size: int) -> int:
    """The most bytes of values that are alive at once while the nodes run in order, without the weights.

    Each value goes after its last reader; the input stays (its owner holds it), and so do the ways out.
    """
    home = homes(graph)
    last = {home[name]: i for i, node in enumerate(graph.nodes) for name in (*node.inputs, node.name)}
    last |= dict.fromkeys([home["input"], *(home[name] for name in graph.taps.values())], len(graph.nodes))
    going: dict[int, int] = {}  # after step i, so many bytes go
    alive = most = 0
    for i, node in enumerate(graph.nodes):
        if home[node.name] == node.name:
            made = batch * size * node.output.size
            going[last[node.name]] = going.get(last[node.name], 0) + made
            alive += made
            holds = HOLDS.get(kind(node), NOTHING)
            beside = holds.scratch(node, graph[node.inputs[0]], batch, size) if holds.scratch else 0
            most = max(most, alive + beside)
        alive -= going.get(i, 0)
    return most


def saved_bytes(graph: Graph, batch: int, size: int) -> int:
    """What stays in memory from the way forward for the way back, each value once however many need it."""
    return sum(_saved(graph, batch, size))


def _saved(graph: Graph, batch: int, size: int) -> Iterator[int]:
    home = homes(graph, training=True)
    values: set[str] = set()
    for node in graph.nodes[1:]:
        holds = HOLDS.get(kind(node), NOTHING)
        if holds.reads:
            values.update(home[name] for name in node.inputs)
        if holds.gives:
            values.add(home[node.name])
        if holds.saves:
            yield holds.saves(node, graph[node.inputs[0]], batch, size)
    yield batch * size * sum(graph[name].output.size for name in values)


def training_bytes(graph: Graph, batch: int, size: int, optimizer: str) -> Training:
    weights = size * graph.parameters
    state, saved = STATE[optimizer] * weights, saved_bytes(graph, batch, size)
    return Training(optimizer, weights, state, saved, 2 * weights + buffer_bytes(graph, size) + state + saved)
