"""The largest batch that can be trained in so much memory, and what would allow a larger one: each change tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.refusal import CannotMake, NotFound, Refusal
from striate.blueprint.volume import Volume
from striate.cost.memory import STATE, available
from striate.cost.source import Source, source
from striate.cost.step import Moment
from striate.cost.training import PRECISIONS, Capacity, capacity
from striate.cost.units import memory

LIGHTER = {"adamw": "sgd", "adam": "sgd"}  # an optimiser that keeps less
SMALLER = (7 / 8, 3 / 4, 1 / 2)  # shares of the input's height and width that are tried
AROUND = 24  # cells below these, where a network does not take that size


class Way(NamedTuple):
    """How a network is trained."""

    input: Volume
    optimizer: str
    precision: str
    checkpointing: bool


class Change(NamedTuple):
    """Another way, and the batch that it allows."""

    what: str  # "bf16", "an input of 3×192×192"
    way: Way
    batch: int


@dataclass(frozen=True)
class Fit:
    """`batch` is the largest that fits into `room` bytes (0: none does), `tightest` the moment that allows no more."""

    network: str
    way: Way
    room: int
    batch: int
    tightest: Moment
    each_bytes: int  # at that moment, for each example more
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """The documented schema (docs/memory.md)."""
        return {
            "network": self.network,
            **_plain(self.way),
            "memory_bytes": self.room,
            "batch": self.batch,
            "peak_bytes": self.tightest.bytes,
            "peak_at": self.tightest.at,
            "each_bytes": self.each_bytes,
            "changes": [{"what": c.what, **_plain(c.way), "batch": c.batch} for c in self.changes],
        }

    def __str__(self) -> str:
        at, weights, optimizer, gradients, values = self.tightest
        wanted = f"{memory(self.tightest.bytes)} at the tightest moment, {at}"
        head = f"{self.network} on {self.way.input}, {_said(self.way)}, in {memory(self.room)}"
        if self.batch:
            head += f": a batch of {self.batch:,}"
        else:
            head += ": not even one example fits"
        parts = {"weights": weights, "optimiser": optimizer, "gradients": gradients, "values": values}
        lines = [head, "", f"{wanted}: {', '.join(f'{what} {memory(n)}' for what, n in parts.items())}."]
        lines.append(f"One example more wants {memory(self.each_bytes)}.")
        if self.changes:
            wide = max(len(change.what) for change in self.changes)
            lines += ["", "What would raise it", *(f"  {c.what.ljust(wide)}  {c.batch:>9,}" for c in self.changes)]
        lines += [
            "",
            "Not counted: kernels' workspaces, fragmentation, CUDA's context; --reserve leaves room for them.",
        ]
        return "\n".join(lines)


def _plain(way: Way) -> dict[str, Any]:
    return way._asdict() | {"input": list(way.input)}


def _said(way: Way) -> str:
    return f"{way.optimizer}, {way.precision}" + ", checkpointing" * way.checkpointing


def fit(
    network: Any,
    room: int,
    volume: Volume | str | None = None,
    *,
    optimizer: str = "sgd",
    precision: str = "fp32",
    checkpointing: bool = False,
) -> Fit:
    """The largest batch of `network` (as in `ledger`) whose training step fits into `room` bytes, and what would raise
    it.

    Raises what `ledger` raises; NotFound for an optimiser or a precision.
    """
    for kind, word, known in (("optimizer", optimizer, STATE), ("precision", precision, PRECISIONS)):
        if word not in known:
            raise NotFound(kind, str(word), known)
    if room < 1:
        raise CannotMake(f"Cannot fit anything into {room} bytes.")
    named = source(network)
    graph = named.graph(volume)
    way = Way(graph.volume, optimizer, precision, checkpointing)
    found = _capacity(room, graph, way)
    changes = tuple(change for change in _changes(named, graph, way, room) if change.batch > found.batch)
    return Fit(named.name, way, room, found.batch, found.tightest, found.each_bytes, changes)


def _capacity(room: int, graph: Graph, way: Way) -> Capacity:
    return capacity(room, graph, way.optimizer, way.precision, way.checkpointing)


def _changes(named: Source, graph: Graph, way: Way, room: int) -> Iterator[Change]:
    """Each alone; then those that cost no pixels together."""
    alone = {}
    if way.optimizer in LIGHTER:
        alone["sgd"] = way._replace(optimizer=LIGHTER[way.optimizer])
    if not PRECISIONS[way.precision]:
        alone["bf16"] = way._replace(precision="bf16")
    if not way.checkpointing:
        alone["checkpointing"] = way._replace(checkpointing=True)
    for what, other in alone.items():
        yield Change(what, other, _capacity(room, graph, other).batch)
    if len(alone) > 1:
        all_of_it = way._replace(
            optimizer=LIGHTER.get(way.optimizer, way.optimizer), precision="bf16", checkpointing=True
        )
        yield Change(", ".join(alone), all_of_it, _capacity(room, graph, all_of_it).batch)
    for smaller in _smaller(named, way.input):
        other = way._replace(input=smaller.volume)
        yield Change(f"an input of {smaller.volume}", other, _capacity(room, smaller, other).batch)


def _smaller(named: Source, volume: Volume) -> Iterator[Graph]:
    """The network on the next smaller inputs that it takes."""
    last = volume.height
    for share in SMALLER:
        for less in range(AROUND):
            height, width = (int(n * share) - less for n in volume.grid)
            if min(height, width) < 1 or height >= last:
                continue
            with suppress(Refusal):
                graph = named.graph(Volume(volume.channels, height, width))
                yield graph
                last = height
                break


def free() -> int:
    """Bytes of this machine's memory that can be had. Raises Refusal where the system does not say."""
    if (there := available()) is None:
        raise Refusal("Cannot ask this system how much memory is free.", ways="Say it: --memory 24GiB.")
    return there
