"""What torch's autograd does at each node of a graph, in bytes: what is made, saved, copied, and given back.

`holds` has the table by kind; here it meets a graph, a batch and a precision. One `Part` a node; `step` plays them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from striate.blueprint.graph import Graph, Node
from striate.cost.holds import holds_of, kinds
from striate.cost.memory import homes

FLOAT, HALF = 4, 2  # bytes of a float32, and of the bfloat16 that autocast casts to
PRODUCTS = {
    "Conv",
    "padded Conv",
    "Linear",
    "LocallyConnected",
    "linear",
    "matmul",
    "bmm",
    "einsum",
}  # under autocast these read bfloat16 copies
FLOATS = {"PositionBias", "RadialBasis", "LocalResponseNorm"}  # and these work in float32, and give it
TURNED = {"LocallyConnected"}  # the gradients of their weights are made the other way round, and copied
SAME, PART = "same", "part"  # a gradient that is handed on as it is, or in parts that are views of it
HANDS_ON = {"add": SAME, "cat": PART, "Identity": SAME, "PositionBias": SAME, "concat": PART}

Key = str | tuple[str, str]  # of a storage: a value by the node whose home it is, or ("saved" | "cast" | "copy", node)
Storage = tuple[Key, int]  # and its bytes


class Part(NamedTuple):
    """A node of a training step, in bytes."""

    name: str
    inputs: tuple[str, ...]
    home: str  # the node in whose memory its value lies
    bytes: int  # of its value
    copies: tuple[Storage, ...]  # made for it to read: autocast's
    saves: tuple[Storage, ...]  # kept for the way back, if its gradient is wanted
    scratch: int  # beside all that, for a moment, if nothing is saved
    beside: int  # and if it is
    back: tuple[tuple[str, int], ...]  # inputs whose gradient is wanted, and the bytes of that
    full: int  # of a gradient before it is summed to its input's size; 0: it has it at once
    hands_on: str  # SAME, PART, or "": each gradient is made anew
    through: int  # of a gradient that is made first, and from it the input's: a padded copy's
    weights: int  # gradients of its weights
    first: int  # of these as they are made, where that is narrower, or not yet in the weights' order
    copied: int  # and of what the weights' own are copied from
    within: int  # what making all these gradients needs beside them


def trained(graph: Graph) -> set[str]:
    """Nodes that have weights or read from one that has: those that autograd follows. Where none has any, it is the
    input whose gradient is wanted.
    """
    found: set[str] = set() if any(node.placed.weights for node in graph.nodes) else {"input"}
    for node in graph.nodes:
        if node.placed.weights or not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


def widths(graph: Graph, kind: Mapping[str, str], size: int, autocast: bool) -> dict[str, int]:
    """Bytes of one number of each node's value."""
    if not autocast:
        return dict.fromkeys(kind, size)
    found: dict[str, int] = {}
    for node in graph.nodes:
        what = kind[node.name]
        read = max((found[name] for name in node.inputs), default=FLOAT)
        found[node.name] = HALF if what in PRODUCTS else FLOAT if what in FLOATS else read
    return found


def parts(graph: Graph, batch: int, size: int = FLOAT, autocast: bool = False) -> dict[str, Part]:
    """A `Part` for each node, by name. `size`: bytes of a weight, and without autocast of a value."""
    kind = kinds(graph)
    home = homes(graph, kind, training=True)
    width = widths(graph, kind, size, autocast)
    followed = trained(graph)
    each = {node.name: batch * width[node.name] * node.placed.output.size for node in graph.nodes}
    return {
        node.name: _part(node, graph, kind[node.name], home, width, followed, each, batch, size, autocast)
        for node in graph.nodes
    }


def _part(
    node: Node,
    graph: Graph,
    what: str,
    home: Mapping[str, str],
    width: Mapping[str, int],
    followed: set[str],
    each: Mapping[str, int],
    batch: int,
    size: int,
    autocast: bool,
) -> Part:
    name, placed = node.name, node.placed
    weights = sum(map(prod, placed.weights.values())) if placed.weights else 0
    if not node.inputs:
        return Part(name, (), home[name], each[name], (), (), 0, 0, (), 0, "", 0, size * weights, 0, 0, 0)
    source, holds = graph[node.inputs[0]], holds_of(what)
    product = autocast and what in PRODUCTS
    wide = HALF if product else FLOAT if autocast and what in FLOATS else width[source.name]
    copies: list[Storage] = []
    if product and weights:
        copies.append((("copy", node.twin or name), HALF * weights))
    cast = product and width[source.name] != HALF and not what.startswith("padded")
    if cast:
        copies.append((("cast", name), HALF * batch * source.placed.output.size))
    own = holds.saves(node, source, batch, wide) if holds.saves else 0
    saves = list(copies)
    if name in followed:
        if holds.reads and not cast:
            saves += [(home[i], 0) for i in node.inputs]
        if holds.gives:
            saves.append((home[name], 0))
        if own:
            saves.append((("saved", name), own))
    scratch = holds.scratch(node, source, batch, wide) if holds.scratch else 0
    if len(node.inputs) > 2 and what in ("add", "multiply"):
        scratch += each[name]  # the sum so far
    through = holds.through(node, source, batch, wide) if holds.through else 0
    return Part(
        name,
        node.inputs,
        home[name],
        each[name],
        tuple(copies),
        tuple(saves) if name in followed else (),
        scratch,
        max(0, scratch - own),
        tuple((i, each[i]) for i in node.inputs if i in followed),
        each[name] if what == "multiply" else 0,
        HANDS_ON.get(what, ""),
        through or (copies[-1][1] if cast else 0),
        size * weights,
        HALF * weights if product else size * weights if what in TURNED else 0,
        size * weights if what in TURNED else HALF * weights if product else 0,
        holds.within(node, source, batch, wide) if holds.within else 0,
    )
