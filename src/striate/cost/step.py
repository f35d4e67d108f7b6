"""One training step, moment by moment: what is in memory while a network runs forward, back, and is changed.

The steps are torch's own: autograd keeps what `holds` says and lets it go as the way back passes; a gradient goes to
where its value came from, into the one that is there already if nobody else holds that; gradients of weights pile up
until the optimiser's step, and are none before the way back. docs/memory.md says what is counted and what is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from striate.blueprint.graph import Graph
from striate.cost.autograd import FLOAT, PART, Key, Part, parts
from striate.cost.memory import buffer_bytes, state_bytes
from striate.cost.segments import segments

LABEL = 8  # bytes of a label, an int64
LOSS = 8  # of the loss, and of the number of examples that it is divided by


class Moment(NamedTuple):
    """Bytes that are there at once, and when."""

    at: str  # "forward conv1", "again layer2.0.conv1", "backward layer4.1.conv2", "optimiser's step"
    weights: int  # parameters and buffers
    optimizer: int
    gradients: int  # of weights, so far
    values: int  # everything else: the batch, values, what is saved, gradients of values, copies

    @property
    def bytes(self) -> int:
        return self.weights + self.optimizer + self.gradients + self.values


class Step(NamedTuple):
    """All moments of a step, and what lies between the way forward and the way back."""

    moments: tuple[Moment, ...]
    saved_bytes: int  # what the way back will need, each storage once

    @property
    def peak(self) -> Moment:
        """The moment at which most is there."""
        return max(self.moments, key=lambda moment: moment.bytes)


def step(
    graph: Graph,
    batch: int,
    size: int = FLOAT,
    optimizer: str = "sgd",
    *,
    autocast: bool = False,
    checkpointing: bool = False,
) -> Step:
    """A step that is not the first: the optimiser's state is there, and no gradient is yet.

    `size`: bytes of a weight, and of a value; `autocast`: products read and give bfloat16, weights stay as they are;
    `checkpointing`: of each of `segments(graph)` but the last only what goes in is kept, and the rest is made again.
    """
    play = _Play(graph, batch, size, optimizer, autocast)
    play.run(segments(graph) if checkpointing else [tuple(node.name for node in graph.nodes[1:])])
    return Step(tuple(play.moments), play.saved_bytes)


class _Memory:
    """Storages by name: how often each is held, and the bytes of those that are."""

    def __init__(self) -> None:
        self.held: dict[Key, int] = {}
        self.sizes: dict[Key, int] = {}
        self.bytes = 0

    def hold(self, key: Key, size: int = 0) -> Key:
        if key in self.held:
            self.held[key] += 1
        else:
            self.held[key], self.sizes[key] = 1, size
            self.bytes += size
        return key

    def drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if self.held[key] > 1:
                self.held[key] -= 1
            else:
                del self.held[key]
                self.bytes -= self.sizes.pop(key)


class _Play:
    """`run` plays it, `moments` says what there was."""

    def __init__(self, graph: Graph, batch: int, size: int, optimizer: str, autocast: bool) -> None:
        self.graph, self.batch = graph, batch
        self.parts = parts(graph, batch, size, autocast)
        self.last = graph.last_readers()
        self.memory = _Memory()
        self.moments: list[Moment] = []
        self.kept: dict[str, list[Key]] = {}  # of each node: what it saved
        self.entered: dict[str, list[Key]] = {}  # of the first node of a run that is made again: what goes into the run
        self.gradient: dict[str, tuple[Key, bool]] = {}  # of a node's value: its storage, and whether it is all of that
        self.grown: set[str] = set()  # whose weights have a gradient
        self.counted = 0  # the bytes of those gradients
        self.names = 0  # of gradients of values so far
        self.saved_bytes = 0
        weights = size * graph.parameters + buffer_bytes(graph, size)
        self.resident = weights, state_bytes(optimizer, graph, size)

    def run(self, runs: Sequence[Sequence[str]]) -> None:
        start, grid = self.parts["input"], self.graph.output.grid
        self.memory.hold(("labels", ""), LABEL * self.batch * grid[0] * grid[1] + LOSS)
        self.memory.hold(start.home, start.bytes)  # held by whoever calls,
        self.memory.hold(start.home)  # and by the network until its last reader
        cached: set[Key] = set()
        for run in runs[:-1]:
            self.entered[run[0]] = [self.memory.hold(key) for key in self._entering(run)]
            self._forward(run, "forward", cached, save=False)
        self._forward(runs[-1], "forward", cached)
        ends = set(self.graph.taps.values())
        read = {name for node in self.graph.nodes for name in node.inputs}
        self._let_go(node.name for node in self.graph.nodes if node.name not in read and node.name not in ends)
        keys = {key for kept in (*self.kept.values(), *self.entered.values()) for key in kept}
        self.saved_bytes = sum(self.memory.sizes[key] for key in keys)
        self._loss(cached)
        again = {name: run for run in runs[:-1] for name in run}
        for node in reversed(self.graph.nodes[1:]):
            if node.name in again and node.name in self.gradient and self.parts[node.name].saves:
                self._again(again[node.name])
                for name in again[node.name]:
                    del again[name]
            self._backward(self.parts[node.name])
            self.memory.drop(self.entered.pop(node.name, ()))
        self._note("optimiser's step")

    def _note(self, at: str, values: int = 0, gradients: int = 0) -> None:
        self.moments.append(Moment(at, *self.resident, self.counted + gradients, self.memory.bytes + values))

    def _let_go(self, names: Iterable[str]) -> None:
        self.memory.drop([self.parts[name].home for name in names])

    # Forward

    def _entering(self, run: Sequence[str]) -> list[str]:
        inside = set(run)
        return list({self.parts[i].home: None for name in run for i in self.parts[name].inputs if i not in inside})

    def _forward(
        self, run: Iterable[str], way: str, cached: set[Key], save: bool = True, within: set[str] | None = None
    ) -> None:
        """Each value goes after its last reader, unless it is saved; autocast's copies of weights stay in its cache."""
        hold, drop = self.memory.hold, self.memory.drop
        for name in run:
            part = self.parts[name]
            copies = [hold(*copy) for copy in part.copies]
            cached.update(hold(key) for key in copies if key[0] == "copy" and key not in cached)
            hold(part.home, part.bytes)
            if save:
                self.kept[name] = [hold(*storage) for storage in part.saves]
            self._note(f"{way} {name}", part.beside if save and part.saves else part.scratch)
            drop(copies)
            read = [i for i in dict.fromkeys(part.inputs) if self.last.get(i) == name]
            self._let_go(i for i in read if within is None or i in within)

    def _again(self, run: Sequence[str]) -> None:
        """Make a run's saved values anew, up to the last of them, from what went into it."""
        saving = [i for i, name in enumerate(run) if self.parts[name].saves]
        made = run[: saving[-1] + 1]
        cached: set[Key] = set()
        self._forward(made, "again", cached, within=set(made))
        self._let_go(name for name in made if self.last.get(name) not in made)
        self.memory.drop(cached)

    # The loss: cross-entropy, in float32, at the main way out and at each that gives as much

    def _loss(self, cached: set[Key]) -> None:
        hold, drop = self.memory.hold, self.memory.drop
        taps = {name: self.parts[name] for name in dict.fromkeys(self.graph.taps.values())}
        judged = [name for name in taps if self.graph[name].placed.output == self.graph.output]
        for name in judged:
            size = FLOAT * self.batch * self.graph.output.size
            wide = [hold(("float", name), size)] if taps[name].bytes != size else []
            hold(("saved", f"loss {name}"), size)
            self._note("loss")
            drop(wide)
        self._let_go(taps)
        drop(cached)
        reached = set(judged)
        for node in reversed(self.graph.nodes):
            if node.name in reached:
                reached.update(node.inputs)
            else:
                drop(self.kept.pop(node.name, ()))  # leads to no loss
        for name in reversed(judged):
            size = FLOAT * self.batch * self.graph.output.size
            first, second = self._new(size), self._new(size)
            self._note("backward loss")
            drop([first, ("saved", f"loss {name}")])
            if taps[name].bytes != size:
                narrow = self._new(taps[name].bytes)
                drop([second])
                second = narrow
            if taps[name].name in self.gradient:
                self._arrives(name, second, True, taps[name].bytes)
            elif self.parts[name].saves or self.parts[name].back or self.parts[name].weights:
                self.gradient[name] = second, True
            else:
                drop([second])

    # Backward

    def _new(self, size: int) -> Key:
        self.names += 1
        return self.memory.hold(("gradient", str(self.names)), size)

    def _backward(self, part: Part) -> None:
        hold, drop = self.memory.hold, self.memory.drop
        if part.name not in self.gradient:
            drop(self.kept.pop(part.name, ()))
            return
        at = f"backward {part.name}"
        given, whole = self.gradient.pop(part.name)
        mine = part.first or part.weights
        done = [given, *self.kept.pop(part.name, ())]
        if part.through and part.back:
            between = self._new(part.through)
            self._note(at, gradients=mine)
            drop(done)
            done = [between]
            self._weigh(part, at)
            mine = 0
        made: list[tuple[str, int, Key, bool]] = []
        for name, size in part.back:
            if part.hands_on:
                made.append((name, size, hold(given), whole and part.hands_on != PART))
            else:
                made.append((name, size, self._new(part.full or size), True))
        self._note(at, part.within, gradients=mine)
        drop(done)
        if mine:
            self._weigh(part, at)
        for name, size, key, all_of_it in made:
            if part.full > size:
                summed = self._new(size)
                self._note(at)
                drop([key])
                key = summed
            self._arrives(name, key, all_of_it, size)

    def _weigh(self, part: Part, at: str) -> None:
        """The weights' gradients: copied where they were made otherwise, and kept."""
        if part.first:
            self._note(at, gradients=part.copied + part.weights)
        owner = self.graph[part.name].twin or part.name
        if owner not in self.grown:
            self.grown.add(owner)
            self.counted += part.weights

    def _arrives(self, name: str, key: Key, whole: bool, size: int) -> None:
        """A gradient, at the node whose value it is of: added to one that is there."""
        if name not in self.gradient:
            self.gradient[name] = key, whole
            return
        there, alone = self.gradient[name]
        if alone and self.memory.held[there] == 1:
            self.memory.drop([key])
            return
        self.gradient[name] = self._new(size), True
        self._note(f"backward {name}")
        self.memory.drop([there, key])
