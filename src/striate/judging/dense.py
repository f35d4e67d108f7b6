"""A network that slides over images of any size: its fully connected layers read as convolutions (Sermanet et al. 2014,
arXiv 1312.6229, section 3.5; Simonyan & Zisserman 2014, arXiv 1409.1556, section 3.2).
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import replace
from typing import Any

import torch

from striate.blueprint import CannotTrain, Graph, Node, Refusal, Volume, cut, replay
from striate.blueprint import layers as L
from striate.blueprint.layer import Layer, pair
from striate.nn.build import Network

STRICT = ("cover", "exact", None)  # fits that refuse most sizes; the others say themselves what becomes of the rest
BOUND = (L.LocallyConnected, L.PositionBias, L.RadialBasis, L.Foreign)  # to the one grid they are made for
OTHERWISE = "Views that are cut to what it reads do: --views ten-crop, multi-crop or grid."


def slid(graph: Graph) -> Graph:
    """The graph up to its main way out, on the same volume, every Linear on a grid that grows with the image become a
    convolution with a window of that grid; a GlobalPool reads the larger grid as it is. Windows that would not tile a
    larger image leave its last cells unread. Raises CannotTrain, naming the layer that is for one place.
    """
    graph = cut(graph, graph.taps["out"])
    graph = replace(graph, taps={"out": graph.taps["out"]})
    if not graph.output.is_vector:
        raise CannotTrain(f"Cannot slide this network over whole images: its answer is {graph.output}, a grid already.")
    grows = _growing(graph)

    def change(node: Node) -> Layer | str | None:
        op: Any = node.op
        if isinstance(op, str) or node.inputs[0] not in grows:
            return node.op
        volume = graph[node.inputs[0]].output
        if isinstance(op, BOUND):
            why = f"{node.name} is {type(op).__name__}, made for {volume} alone"
            raise CannotTrain(f"Cannot slide this network over whole images: {why}.", ways=OTHERWISE)
        if isinstance(op, L.Linear):
            return L.Conv(op.out_features, volume.grid, bias=op.bias, fit="floor")
        if _idle(op, volume):
            return None
        return replace(op, fit="floor") if getattr(op, "fit", "floor") in STRICT else op

    return replay(graph, change)


def dense(network: Network) -> Network:
    """The same network, sharing its weights, for images as large as its own or larger: N×C×H×W in, N×classes×h×w out,
    the scores at every place where its own input could lie (N×classes where it pools globally).

    At its own size it answers as it did. Raises CannotTrain where a layer cannot slide.
    """
    graph = slid(network.graph)
    with torch.device("meta"):
        made = Network(graph)
    own = network.state_dict()
    shapes = {name: tensor.shape for name, tensor in made.state_dict().items()}
    made.load_state_dict({name: own[name].view(shape) for name, shape in shapes.items()}, assign=True)
    made.metadata = network.metadata
    return made.eval()


def checked(network: Network, height: int, width: int) -> None:
    """Raises CannotTrain where a dense network cannot read images of this size."""
    if why := _refused(network.graph, height, width):
        more = range(1, max(network.graph.volume.grid))  # its own size it reads
        least = bisect(more, False, key=lambda d: not _refused(network.graph, height + d, width + d))
        raise CannotTrain(
            f"Cannot slide this network over images of {height}×{width}.",
            why.why,
            f"A short side of {min(height, width) + more[least]} does.",
        )


def _refused(graph: Graph, height: int, width: int) -> Refusal | None:
    try:
        replay(graph, volume=Volume(graph.volume.channels, height, width))
    except Refusal as refusal:
        return refusal
    return None


def _growing(graph: Graph) -> set[str]:
    """The nodes whose grid grows with the image's: all but what follows a global pool."""
    grows = {"input"}
    for node in graph.nodes[1:]:
        fixed = isinstance(node.op, L.GlobalPool) and not _idle(node.op, graph[node.inputs[0]].output)
        if not fixed and grows.intersection(node.inputs):
            grows.add(node.name)
    return grows


def _idle(op: Layer, volume: Volume) -> bool:
    """A pool to the grid that is there already: it holds VGG's and AlexNet's heads to one size, and does no more."""
    return isinstance(op, L.GlobalPool) and volume.grid == pair(op.output_size) != (1, 1)
