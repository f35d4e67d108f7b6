"""Graph -> Graph: fold norms into convolutions, cut the network short, give it another head, strip its soft-max."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from striate.blueprint.graph import Graph, Node, Pen
from striate.blueprint.layer import Layer, Placed
from striate.blueprint.layers import Activation, BatchNorm, Conv, Linear
from striate.blueprint.refusal import CannotMake, NotFound
from striate.blueprint.volume import Volume
from striate.blueprint.window import Field


def replay(
    graph: Graph, change: Callable[[Node], Layer | str | None] = lambda node: node.op, volume: Volume | None = None
) -> Graph:
    """Draw the graph again, node by node, on another volume or with other layers; a node changed to None is left out
    (its readers read its input).

    Raises as drafting does.
    """
    pen = Pen({}, {}, {})
    renamed = {"input": pen._write(Node("input", "input", (), Placed(volume or graph.volume), Field()))}
    for node in graph.nodes[1:]:
        op = change(node)
        sources: list[Any] = [renamed[name] for name in node.inputs]
        there = replace(pen, room=node.name, twin_of=(node.name, node.twin) if node.twin else None)
        if op is None:
            renamed[node.name] = sources[0]
        else:
            renamed[node.name] = there.join(op, sources) if isinstance(op, str) else there.place(op, sources[0])
    return Graph(tuple(pen.nodes.values()), {tap: renamed[name] for tap, name in graph.taps.items()})


def foldable(graph: Graph) -> dict[str, str]:
    """{norm: the convolution or linear layer it can be folded into}: it reads that layer alone, and is alone in reading
    it.
    """
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    twins = {node.twin for node in graph.nodes} | {node.name for node in graph.nodes if node.twin}
    kept = set(graph.taps.values())
    return {
        node.name: source.name
        for node in graph.nodes
        if isinstance(node.op, BatchNorm)
        and isinstance((source := graph[node.inputs[0]]).op, Conv | Linear)
        and readers[source.name] == 1
        and not {source.name, node.name} & twins
        and source.name not in kept
    }


def fold_norms(graph: Graph) -> Graph:
    """Every BatchNorm that follows a convolution becomes part of its weights and bias (inference only; `nn.fold` moves
    the numbers).
    """
    pairs = foldable(graph)
    folded = set(pairs.values())

    def change(node: Node) -> Layer | str | None:
        if node.name in pairs:
            return None
        return _with(node.op, bias=True) if node.name in folded else node.op

    return replay(graph, change)


def cut(graph: Graph, at: str) -> Graph:
    """The network up to the node `at`, or to the end of the part of that name ("layer3"); what only later nodes need
    goes. Raises NotFound.
    """
    inside = [node.name for node in graph.nodes if node.name == at or node.name.startswith(at + ".")]
    if not inside:
        heads = {part for node in graph.nodes for part in (node.name, node.name.split(".")[0])}
        raise NotFound("node", at, sorted(heads))
    end = inside[-1]
    needed, nodes = {end, "input"}, []
    for node in reversed(graph.nodes):
        if node.name in needed:
            nodes.append(node)
            needed.update(node.inputs, [node.twin] if node.twin else ())
    taps = {tap: name for tap, name in graph.taps.items() if name in needed and tap != "out"}
    return Graph(tuple(reversed(nodes)), taps | {"out": end})


def heads(graph: Graph) -> set[str]:
    """The last weighted layer of each way out that has as many outputs as the main one: their rows are the classes."""
    return {
        head
        for name in graph.taps.values()
        if (head := _head(graph, name)) and graph[head].output.channels == graph.output.channels
    }


def replace_head(graph: Graph, classes: int) -> Graph:
    """The network with `classes` outputs at each of its `heads`. Raises CannotMake where the main way out has none."""
    last = heads(graph)
    if _head(graph, graph.taps["out"]) not in last:
        raise CannotMake(
            "Cannot replace the head: the network does not end in a Linear or a Conv.",
            f"It ends in {graph[graph.taps['out']].op!r}.",
        )

    def change(node: Node) -> Layer | str | None:
        outputs = "out_features" if isinstance(node.op, Linear) else "out_channels"
        return _with(node.op, **{outputs: classes}) if node.name in last else node.op

    return replay(graph, change)


def _with(layer: Any, **fields: Any) -> Layer:
    changed: Layer = replace(layer, **fields)
    return changed


def _head(graph: Graph, name: str) -> str | None:
    """The layer that decides how many outputs there are: the last Linear or Conv on the only way to `name`."""
    node = graph[name]
    while not isinstance(node.op, Linear | Conv):
        if len(node.inputs) != 1:
            return None
        node = graph[node.inputs[0]]
    return node.name


def without_softmax(graph: Graph) -> Graph:
    """Ways out that end in a soft-max give its input instead: training leaves it to the loss."""
    ends = set(graph.taps.values())
    return replay(
        graph,
        lambda node: (
            None if node.name in ends and node.op in (Activation("softmax"), Activation("log_softmax")) else node.op
        ),
    )
