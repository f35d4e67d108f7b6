"""The graph: the flat, ordered, named program that drafting a blueprint on a volume yields.

The ledger, torch, the diagram, JSON, liveness and weight sharing all meet here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import islice
from math import prod
from typing import NamedTuple

from striate.blueprint.layer import Layer, Placed
from striate.blueprint.refusal import CannotJoin, CannotMake, CannotPlace, NotFound, Refusal
from striate.blueprint.sliding import Remedy
from striate.blueprint.volume import Volume
from striate.blueprint.window import CELL, FITS, Field, Reading, Stretch
from striate.blueprint.wiring import Blueprint, Wire

MOST_NODES = 100_000  # ResNet-1202 has 6,000


class Node(NamedTuple):
    """One step: `op` is a layer, or "input", "concat", "add", "multiply"; `inputs` name earlier nodes."""

    name: str
    op: Layer | str
    inputs: tuple[str, ...]
    placed: Placed
    field: Field
    twin: str | None = None  # the node whose weights this one uses
    gated: bool = False  # a squeeze gate or a group's norm made it read the whole input; its field follows the content

    @property
    def output(self) -> Volume:
        return self.placed.output

    @property
    def parameters(self) -> int:
        """Numbers trained here and not already counted at a twin."""
        return 0 if self.twin else sum(prod(shape) for shape in self.placed.weights.values())


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which each reads only earlier ones; `taps` names the ways out, "out" the main one."""

    nodes: tuple[Node, ...]
    taps: Mapping[str, str]
    _by_name: dict[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes})

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except KeyError:
            raise NotFound("node", name, self._by_name) from None

    def __deepcopy__(self, _: object) -> Graph:
        return self  # a value: nothing in it changes

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def volume(self) -> Volume:
        """The input's."""
        return self.nodes[0].output

    @property
    def output(self) -> Volume:
        """The main way out's."""
        return self[self.taps["out"]].output

    @property
    def parameters(self) -> int:
        return sum(node.parameters for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-adds of one example; nodes that are not known count nothing here (`unknown` says whether there are
        any).
        """
        return sum(node.placed.macs or 0 for node in self.nodes)

    @property
    def unknown(self) -> bool:
        return any(node.placed.macs is None for node in self.nodes)

    def last_readers(self) -> dict[str, str]:
        """For each node that is read, the last node that reads it. Ways out are not in it: they are kept."""
        last = {name: node.name for node in self.nodes for name in node.inputs}
        return {name: reader for name, reader in last.items() if name not in set(self.taps.values())}


# As said, fitted, placed, and what that does to a receptive field (None: nothing).
Known = tuple[Layer, Layer, Placed, tuple[Stretch, Stretch] | None]
_node = partial(tuple.__new__, Node)  # without the call that fills in defaults: a third of the time
# What joins: how it is said, whether a volume goes with the first, and why not.
JOINTS: dict[str, tuple[str, Callable[[Volume, Volume], bool], str]] = {
    "concat": (", ", lambda volume, first: volume.grid == first.grid, "Their heights and widths differ."),
    "add": (" + ", lambda volume, first: False, "The volumes differ."),
    "multiply": (" × ", lambda volume, first: volume == Volume(first.channels), "The volumes differ."),
}


@dataclass(slots=True)  # not frozen, for one is made for every node and freezing it would take a fifth of the time
class Pen:
    """Draws a blueprint into a graph, placing each layer as it goes. `room` is where in the tree it stands."""

    nodes: dict[str, Node]
    taps: dict[str, str]
    homes: dict[str, str]  # the first place of each Shared name
    room: str = ""
    fit: str | None = None
    twin_of: tuple[str, str] | None = None  # (this room, the room whose weights are used)
    known: dict[tuple[int, Volume], Known] = field(default_factory=dict)

    def inside(self, name: str) -> Pen:
        room = f"{self.room}.{name}" if self.room else name
        return Pen(self.nodes, self.taps, self.homes, room, self.fit, self.twin_of, self.known)

    def volume(self, x: Wire) -> Volume:
        return self.nodes[self._single(x)].placed.output

    def draw(self, part: Blueprint, x: Wire) -> Wire:
        return self.place(part, x) if isinstance(part, Layer) else part.draw(self, x)

    def place(self, layer: Layer, x: Wire, name: str = "") -> str:
        """The node of a layer, in this room or in the one called `name` inside it."""
        room = (f"{self.room}.{name}" if self.room else name) if name else self.room
        source = self.nodes[x if type(x) is str else self._single(x, room)]
        volume = source.placed.output
        _, layer, placed, read = self.known.get((id(layer), volume)) or self._placed(layer, volume, room)
        seen = source.field.through(*read) if read else source.field
        twin = self._twin(placed, room) if self.twin_of else None
        gated = source.gated or layer.whole_grid
        return self._write(_node((room or _word(layer), layer, (source.name,), placed, seen, twin, gated)))

    def _placed(self, layer: Layer, volume: Volume, room: str) -> Known:
        """The layer as said, with its fit, and placed. Blocks repeat: the same layer on the same volume is placed once.

        (An id stays its layer's as long as `known` holds the layer.)
        """
        unsaid = self.fit and getattr(layer, "fit", self.fit) is None
        fitted = replace(layer, fit=self.fit) if unsaid else layer  # type: ignore[call-arg]
        try:
            placed = fitted.place(volume)
        except Refusal as refusal:
            refusal.where = refusal.where or room
            raise
        read = placed.windows and _read(*placed.windows)
        self.known[id(layer), volume] = found = layer, fitted, placed, read
        return found

    def join(self, how: str, wires: list[Wire], hint: str = "") -> str:
        sources = [self.nodes[x if type(x) is str else self._single(x)] for x in wires]
        volumes = [node.placed.output for node in sources]
        fields = [node.field for node in sources]
        first = volumes[0]
        others = [volume for volume in volumes if volume != first]
        sign, same, why = JOINTS[how]
        if others and not all(same(volume, first) for volume in others):
            raise CannotJoin(self._refusal(how, volumes, sign), hint or why, where=self.room, volume=volumes)
        output = Volume(sum(volume.channels for volume in volumes), *first.grid) if how == "concat" else first
        gated = any(node.gated for node in sources)
        if how == "multiply" and others:
            fields, gated = [f for f, volume in zip(fields, volumes, strict=True) if volume == first], True
        seen, names = reduce(Field.join, fields), tuple(node.name for node in sources)
        return self._write(_node((self.room or how, how, names, Placed(output), seen, None, gated)))

    def tap(self, name: str, x: Wire) -> None:
        if name in self.taps or name == "out":
            raise CannotMake(
                f'Cannot tap "{name}" at {self.room or "the input"}: that way out is taken.',
                ways='Each way out has a name of its own, and "out" is the main one.',
            )
        self.taps[name] = self._single(x)

    def sharing(self, name: str) -> Pen:
        home = self.homes.setdefault(name, self.room)
        return self if home == self.room else replace(self, twin_of=(self.room, home))

    def _twin(self, placed: Placed, room: str) -> str | None:
        assert self.twin_of is not None
        if not (placed.weights or placed.buffers):
            return None
        here_room, home = self.twin_of
        twin = self.nodes.get(home + room.removeprefix(here_room))
        if twin is None or twin.placed.weights != placed.weights:
            there, here = (_shapes(p.weights) if p else "nothing" for p in (twin and twin.placed, placed))
            raise CannotJoin(
                f"Cannot share the weights of {home}{room.removeprefix(here_room)} with {room}: "
                f"{there} there, {here} here.",
                "Shared weights need the same shapes.",
                where=room,
            )
        return twin.twin or twin.name

    def _write(self, node: Node) -> str:
        name, nodes = node.name, self.nodes
        if nodes.setdefault(name, node) is not node:
            raise CannotMake(
                f'Cannot name two nodes "{name}".', "Each part of a network has a name of its own.", where=name
            )
        if len(nodes) > MOST_NODES:
            raise CannotMake(
                f"Cannot draft more than {MOST_NODES:,} nodes.", "The largest network published here has about 6,000."
            )
        return name

    def _single(self, x: Wire, room: str = "") -> str:
        if isinstance(x, tuple):
            raise CannotMake(
                f"Cannot place {room or self.room}: it is given a bundle of {len(x)} wires, {', '.join(x)}.",
                ways="Only a Dag takes several.",
                where=room or self.room,
            )
        return x

    def _refusal(self, how: str, volumes: list[Volume], sign: str) -> str:
        where = f" {self.room}:" if self.room else ""
        return f"Cannot {how}{where} {sign.join(map(str, volumes))}."


def sizes(
    blueprint: Blueprint, volume: Volume, fit: str | None = None, own: Volume | None = None, around: int = 40
) -> list[Remedy]:
    """The sizes nearest to `volume`, two at most, on which the whole network can be placed: one remedy or none.

    Where none is so near, the next larger one up to `own`, which the network is known to take.
    """
    by = sorted((d for d in range(-around, around + 1) if d), key=abs)
    found = list(islice(_taken(blueprint, fit, (_larger(volume, d) for d in by)), 2))
    if own and not found:
        least = _least(blueprint, volume, max(own.height - volume.height, own.width - volume.width))
        far = (_larger(volume, d) for d in range(max(least, around + 1), least + own.height))
        found = list(islice(_taken(blueprint, fit, [*far, own]), 1))
    text = " or ".join(str(near) for near, _ in sorted(found))
    return [Remedy(f"a network input of {text}", blueprint, *found[0])] if found else []


def _taken(blueprint: Blueprint, fit: str | None, volumes: Iterable[Volume]) -> Iterator[tuple[Volume, Volume]]:
    """Those that the whole network can be placed on, each with its output."""
    for volume in volumes:
        if min(volume) > 0:
            with suppress(Refusal):
                yield volume, draft(blueprint, volume, fit).output


def _floored(blueprint: Blueprint, volume: Volume, fit: str | None) -> Iterator[Remedy]:
    if fit != "floor":
        with suppress(Refusal):
            output = draft(blueprint, volume, "floor").output
            yield Remedy('fit="floor", which leaves cells unread', blueprint, volume, output)


def _larger(volume: Volume, d: int) -> Volume:
    return volume._replace(height=volume.height + d, width=volume.width + d)


def _least(blueprint: Blueprint, volume: Volume, most: int) -> int:
    """By how much `volume` must grow for no window to be larger than what it slides over: found by halving, for where
    floors are taken, every larger volume does too.
    """
    low, high = 0, max(0, most)
    while low < high:
        middle = (low + high) // 2
        try:
            draft(blueprint, _larger(volume, middle), "floor")
            high = middle
        except Refusal:
            low = middle + 1
    return low


def _read(rows: Reading, columns: Reading) -> tuple[Stretch, Stretch] | None:
    """What windows do to a receptive field, worked out once: None where they read cell by cell, and twice the same
    stretch where both axes are read alike.
    """
    down = Stretch(rows.first, rows.last, rows.step)
    across = down if rows == columns else Stretch(columns.first, columns.last, columns.step)
    return None if down == across == CELL else (down, across)


def _shapes(weights: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in weights.items())


def _word(layer: Layer) -> str:
    return type(layer).__name__.lower()


def draft(
    blueprint: Blueprint, volume: Volume | str, fit: str | None = None, *, published: Volume | None = None
) -> Graph:
    """Place a blueprint on a volume: the graph. `fit` is for every layer that does not say its own. `published` is the
    input of a network that is right as it stands: where this volume does not do, others are offered, not other layers.

    Raises CannotPlace (the place's name and what fits), CannotJoin, CannotMake.
    """
    if fit is not None and fit not in FITS:
        raise NotFound("fit", fit, FITS)
    volume = Volume.parse(volume) if isinstance(volume, str) else Volume(*volume).checked()
    pen = Pen({}, {}, {}, fit=fit)
    start = pen._write(Node("input", "input", (), Placed(volume), Field()))
    try:
        end = pen.draw(blueprint, start)
    except CannotPlace as refusal:
        if published:
            refusal.otherwise = ""  # fit="floor" is for the whole network then, and tried on it
            refusal.search = lambda: [*sizes(blueprint, volume, fit, published), *_floored(blueprint, volume, fit)]
        elif (
            refusal.volume != volume
        ):  # not the first layer: a size of the network's own input says more than one of this layer's
            own = refusal.search
            refusal.search = lambda: [
                *(r for r in own() if not str(r).endswith("input")),
                *sizes(blueprint, volume, fit),
            ]
        raise
    except RecursionError:
        raise CannotMake(
            "Cannot draft a blueprint nested this deep.", "A hundred levels are plenty for any network published."
        ) from None
    taps = pen.taps | {"out": pen._single(end)}
    return Graph(tuple(pen.nodes.values()), taps)
