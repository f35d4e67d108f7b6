"""What the way back costs: the gradient of each weight, and of each value that was made with weights.

A convolution's two gradients take as many multiply-adds as its forward pass, each. What reads nothing that was made
with weights, a network's first layer above all, needs no gradient of its input.
"""

from __future__ import annotations

from striate.blueprint.graph import Graph, Node


def backward_macs(graph: Graph) -> dict[str, int | None]:
    """Multiply-adds of the way back, node by node, one example; None where those of the way forward are not known."""
    learned: set[str] = set()  # nodes whose value depends on a weight
    for node in graph.nodes:
        if not _detached(node) and (node.placed.weights or learned.intersection(node.inputs)):
            learned.add(node.name)
    wanted = set(graph.taps.values())  # nodes that a gradient comes back to
    for node in reversed(graph.nodes):
        if node.name in wanted and not _detached(node):
            wanted.update(node.inputs)
    return {node.name: _back(node, learned) if node.name in wanted else 0 for node in graph.nodes}


def _detached(node: Node) -> bool:
    return bool(getattr(node.op, "detached", False))


def _back(node: Node, learned: set[str]) -> int | None:
    macs = node.placed.macs
    if not macs:
        return macs
    to_weights: int = getattr(node.op, "to_weights", macs if node.placed.weights else 0)
    to_inputs: tuple[int, ...] = getattr(node.op, "to_inputs", (macs,))
    return to_weights + sum(n for name, n in zip(node.inputs, to_inputs, strict=True) if name in learned)
