"""Blueprint or graph -> nn.Module: submodules nested by the nodes' names, run in the graph's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from striate.blueprint import Blueprint, CannotBuild, Graph, Layer, Node, Refusal, Volume, draft, replay
from striate.blueprint import layers as L
from striate.cost.memory import available
from striate.nn.fusing import Fused, fused, module_at, pays
from striate.nn.realise import realise

JOINS = {
    "concat": lambda values: torch.cat(values, 1),
    "add": lambda values: reduce(torch.add, values),
    "multiply": lambda values: reduce(torch.mul, values),
}
# Layers whose output is a tensor of its own, which they do not need for their gradient. (A Linear's is a view, and to
# change one in place takes autograd longer than a copy.)
FRESH = (L.Conv, L.BatchNorm, L.LocallyConnected)


class Network(nn.Module):
    """A graph as a module: N×C×H×W in; out a way out's N×C×H×W (N×C where its volume is a vector), or a dict of them
    where the graph has several.

    `graph` is what it runs, `metadata` what its file says of it (classes, preprocessing, provenance). Each value is let
    go after its last reader.
    Any input size that the graph accepts with the same weights runs; another is refused by name.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.metadata: dict[str, Any] = {}
        self.report: Any = None  # what became of weights moved into it, where load did that
        self.checkpointing = False  # in training, keep only what goes into some parts and make the rest again
        self.watch: Any = None  # (name, value) -> value: what to go on with; whoever looks inside sets it for a while
        self._parts: Any = None
        self._accepted = {tuple(graph.volume)}
        last = graph.last_readers()
        readers = Counter([name for node in graph.nodes for name in node.inputs] + list(graph.taps.values()))
        self._steps = []
        for node in graph.nodes[1:]:
            done = tuple(name for name in dict.fromkeys(node.inputs) if last.get(name) == node.name)
            self._steps.append(
                (
                    node.name,
                    node.op if isinstance(node.op, str) else tuple((node.twin or node.name).split(".")),
                    node.inputs,
                    done,
                )
            )
            if not isinstance(node.op, str) and node.twin is None:
                source = graph[node.inputs[0]]
                self._nest(node, node.op, source, alone=readers[source.name] == 1)
        self._fused = fused(graph, self._steps)
        self._ends = [(tap, name, graph[name].output.is_vector) for tap, name in graph.taps.items()]

    def _nest(self, node: Node, layer: Layer, source: Node, alone: bool) -> None:
        """Make the layer's module and hang it up under its name; `alone`: nobody else reads what it reads."""
        *rooms, leaf = node.name.split(".")
        try:
            module = realise(layer, source.output)
            at: nn.Module = self
            for room in rooms:
                at = at._modules.get(room) or _added(at, room, nn.Module())
            _added(at, leaf, module)
        except Refusal as refusal:
            refusal.where = refusal.where or node.name
            raise
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = alone and (source.op in JOINS or isinstance(source.op, FRESH))

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        followed = torch.compiler.is_compiling() or torch.jit.is_tracing()  # then a size may be a symbol or a tensor
        if not followed and tuple(x.shape[1:]) not in self._accepted:
            self._accept(x)
        values, steps = {"input": x}, self._steps
        if self.checkpointing and self.training and torch.is_grad_enabled():
            from striate.nn import checkpointing

            self._parts = self._parts or checkpointing.runs(self)
            checkpointing.run(self, values, self._parts[0])
            steps = self._parts[1]
        elif self.training and not followed and self.watch is None and pays(x):
            steps = self._fused
        self._run(values, steps)
        outs = {tap: values[name].squeeze((2, 3)) if vector else values[name] for tap, name, vector in self._ends}
        return outs["out"] if len(outs) == 1 else outs

    def _run(self, values: dict[str, Tensor], steps: Sequence[Any]) -> None:
        """Run steps on the values there are; each goes after its last reader."""
        for name, op, inputs, done in steps:
            read = [values[i] for i in inputs]
            if isinstance(op, str):
                values[name] = JOINS[op](read)
            else:
                values[name] = op(self, read[0]) if isinstance(op, Fused) else module_at(self, op)(read[0])
            del read
            if self.watch is not None:
                values[name] = self.watch(name, values[name])
            for i in done:
                del values[i]

    def _accept(self, x: Tensor) -> None:
        """Place the whole graph on an input of another size before running it, so that a refusal names the layer and
        what fits.
        """
        if x.dim() != 4:
            raise Refusal(f"Cannot run on a tensor of {_by(tuple(x.shape))}: N×{self.graph.volume} is wanted.")
        other = replay(self.graph, volume=Volume(*x.shape[1:]))
        for mine, theirs in zip(self.graph.nodes, other.nodes, strict=True):
            for name, shape in mine.placed.weights.items():
                if theirs.placed.weights[name] != shape:
                    wanted = _by(theirs.placed.weights[name])
                    raise Refusal(
                        f"Cannot run {mine.name} on {other.volume}: its {name} is {_by(shape)}, wanted {wanted}.",
                        ways=f"Give the network {self.graph.volume}.",
                    )
        self._accepted.add(tuple(x.shape[1:]))

    def extra_repr(self) -> str:
        return f"{self.graph.volume} -> {self.graph.output}, {self.graph.parameters:,} parameters"


def _added(at: nn.Module, name: str, module: nn.Module) -> nn.Module:
    try:
        at.add_module(name, module)
    except KeyError:
        raise CannotBuild(f'Cannot build a part named "{name}": every torch module has a {name} already.') from None
    return module


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def build(
    network: Blueprint | Graph | str,
    volume: Volume | str | None = None,
    *,
    fit: str | None = None,
    device: str | torch.device = "cpu",
) -> Network:
    """The network as an nn.Module, its convolutions He-initialised.

    `network` is a blueprint, a graph, or a name of the zoo ("resnet50", "googlenet(aux=True)"); a name has its own
    input volume, a blueprint needs one.
    Raises CannotBuild, and whatever drafting raises.
    """
    graph = as_graph(network, volume, fit)
    needed, free = 4 * graph.parameters, available() or float("inf")
    if torch.device(device).type == "cpu" and needed > free:
        raise CannotBuild(
            f"Cannot build a network of {graph.parameters:,} parameters: its weights take {needed / 1e9:,.1f} GB, "
            f"{free / 1e9:,.1f} GB are free.",
            ways='device="meta" builds it without its weights.',
        )
    with torch.device(device):
        module = Network(graph)
        initialise(module)
    return module


def as_graph(network: Blueprint | Graph | str, volume: Volume | str | None = None, fit: str | None = None) -> Graph:
    """A drafted graph from whatever names a network."""
    if isinstance(network, Graph):
        return (
            network
            if volume is None
            else replay(network, volume=Volume.parse(volume) if isinstance(volume, str) else Volume(*volume))
        )
    if isinstance(network, str):
        from striate import zoo

        entry, blueprint = zoo.call(network)
        return draft(blueprint, volume or entry.input, fit, published=entry.input)
    if volume is None:
        raise CannotBuild(
            "Cannot build a blueprint without its input volume.", ways='Say it: build(blueprint, "3x224x224").'
        )
    return draft(network, volume, fit)


def initialise(module: nn.Module) -> None:
    """He et al. 2015 (arXiv 1502.01852, equation 10) for convolutions, biases 0; everything else as torch makes it."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and not part.weight.is_meta:
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
