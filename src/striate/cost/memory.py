"""What a run holds in memory: the peak of inference by liveness, and what training keeps for the way back.

Counted are the nodes' values, what torch makes beside them (`holds`), the weights and the buffers. Not counted are what
a kernel takes for itself alone (a convolution's workspace) and what framework and allocator keep (CUDA's context,
fragmentation). Both figures are tested against the storages that torch really makes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path

from striate.blueprint.graph import Graph
from striate.blueprint.wiring import JOINS
from striate.cost.holds import INDEX, holds_of, kinds

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "float64": 8}
# Numbers kept for each parameter: of a matrix (the weight of a convolution or a Linear), of any other. sgd and rmsprop
# have momentum; muon keeps it of matrices, and of the others what adamw does.
STATE = {"sgd": (1, 1), "adam": (2, 2), "adamw": (2, 2), "rmsprop": (2, 2), "muon": (1, 2), "plain": (0, 0)}
MATRIX = (2, 4)  # dimensions
OVERWRITES = {"relu"}  # and relu6 outside training, where torch clones what that overwrites
FRESH = {*JOINS, "Conv", "padded Conv", "Linear", "BatchNorm", "LocallyConnected"}  # may be: no gradient needs them
PASSES = {"Identity", "view"}  # hand on what they read, as do dropout and drop path outside training


def buffer_bytes(graph: Graph, size: int) -> int:
    """Running means and such; a scalar is a counter, an int64 whatever the dtype."""
    held = [node.placed for node in graph.nodes if node.placed.buffers and not node.twin]
    once = {id(placed): placed.buffers.values() for placed in held}  # blocks repeat, and share what `place` gave
    each = {at: sum([size * prod(shape) if shape else INDEX for shape in shapes]) for at, shapes in once.items()}
    return sum([each[id(placed)] for placed in held])


def state_bytes(optimizer: str, graph: Graph, size: int) -> int:
    """What the optimiser remembers of the weights."""
    shapes = (item for node in graph.nodes if not node.twin for item in node.placed.weights.items())
    matrix, other = STATE[optimizer]
    kept = (prod(shape) * (matrix if len(shape) in MATRIX and name != "bias" else other) for name, shape in shapes)
    return size * sum(kept)


def homes(graph: Graph, kind: Mapping[str, str], training: bool = False) -> dict[str, str]:
    """For each node the node in whose memory its value lies: itself, or its input's home where it overwrites that."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    kept = set(graph.taps.values())
    passes = PASSES if training else PASSES | {"Dropout", "dropout of channels", "DropPath"}
    overwrites = OVERWRITES if training else OVERWRITES | {"relu6"}
    either = passes | overwrites
    found = {name: name for name in kind}
    for node in [node for node in graph.nodes if kind[node.name] in either]:
        name, source = node.name, node.inputs[0]
        if kind[name] in passes or (kind[source] in FRESH and readers[source] == 1 and source not in kept):
            found[name] = found[source]
    return found


def peak_bytes(graph: Graph, batch: int, size: int) -> int:
    """The most bytes of values that are alive at once while the nodes run in order, without the weights.

    Each value goes after its last reader; the input stays (its owner holds it), and so do the ways out.
    """
    kind = kinds(graph)
    home = homes(graph, kind)
    each = batch * size
    large = {node.name: each * prod(node.placed.output) for node in graph.nodes}
    alive = {"input", *(home[name] for name in graph.taps.values())}
    now = most = sum(large[name] for name in alive)
    scratch = {what: beside for what in set(kind.values()) if (beside := holds_of(what).scratch)}
    for node in reversed(graph.nodes):  # from the end: where a value is met first, it is read last
        name, inputs = node.name, node.inputs
        for used in (name, *inputs):
            if (lies := home[used]) not in alive:
                alive.add(lies)
                now += large[lies]
        beside = scratch.get(kind[name])
        much = now + beside(node, graph[inputs[0]], batch, size) if beside else now
        if much > most:
            most = much
        if home[name] == name:  # before this it was not there
            now -= large[name]
    return most


def available() -> int | None:
    """Bytes that this machine can give without swapping; None where it does not say."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
