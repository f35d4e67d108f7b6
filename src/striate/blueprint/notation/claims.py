"""What a listing claims, held against what comes out: volumes, parameters, memory, operations, totals, and plain sums.

What a network has is read off its graph (`draft`); here is only who said what, where, and whether it agrees. Volumes
are written as listings write them, height × width × channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.notation.figures import AGREES, DIFFERS, Chain, Figure, judge, spelled
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint


class Claim(NamedTuple):
    """`line` states a `kind` of `about`; what comes out is `computed`; it agrees, rounds to it, or differs, and why."""

    line: int
    about: str  # a layer, "total", or nothing
    kind: str  # volume, parameters, weights, memory, operations, neurons, weight layers, arithmetic
    stated: str
    computed: str
    verdict: str
    note: str = ""


class Listing(NamedTuple):
    """One network of a text, and what is claimed of it. A table of several has a listing for each column."""

    form: str
    line: int  # where it begins
    blueprint: Blueprint | None
    volume: Volume | None
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()  # what the text leaves open, and what was taken
    column: str = ""

    @property
    def called(self) -> str:
        return f"{self.column and self.column + ' of '}{self.form} from line {self.line}"


class Block(NamedTuple):
    """What a reader made of the lines from where it began up to `end`; `used` are those that said something."""

    end: int
    listings: tuple[Listing, ...]
    used: frozenset[int]


def of_figure(line: int, about: str, kind: str, stated: Figure, computed: int, note: str = "") -> Claim:
    verdict, how = judge(stated, computed)
    return Claim(line, about, kind, stated.text, spelled(computed, stated), verdict, joined(how, note))


def of_sum(line: int, chain: Chain) -> Claim:
    """The sum itself, whatever it is about."""
    claimed = [side for side in chain.sums if side is not chain.sum]
    verdicts = [
        judge(side.figure, chain.sum.value) if side.figure else ((DIFFERS, AGREES)[side.value == chain.sum.value], "")
        for side in claimed
    ]
    verdict, how = max(verdicts, key=lambda one: (one[0] == DIFFERS, one[0] != AGREES))
    return Claim(line, "", "arithmetic", chain.text, spelled(chain.sum.value, chain.stated.figure), verdict, how)


def of_chain(line: int, about: str, kind: str, chain: Chain, computed: int, note: str = "") -> Iterator[Claim]:
    """A sum said to be a number of the network's: one claim where the sum is right about the network, else two."""
    own = of_sum(line, chain)
    if chain.sum.value == computed:
        yield own._replace(about=about, kind=kind, note=joined(own.note, note))
        return
    yield own
    yield Claim(line, about, kind, chain.text, spelled(computed, chain.stated.figure), DIFFERS, note)


def of_volume(line: int, about: str, stated: tuple[int, ...], computed: Volume, flat: bool = False) -> Claim:
    """`stated` is height, width and channels, or height and width, or one number; `flat`: only the grid is known."""
    ours: tuple[int, ...] = (computed.height, computed.width, computed.channels)
    if len(stated) == 1:
        ours = (computed.size,) if computed.is_vector else ours
    elif len(stated) == 2 or flat:
        ours, stated = ours[:2], stated[:2]
        if not flat and computed.channels > 1:
            ours = (*ours, computed.channels)
    return Claim(line, about, "volume", by_x(stated), by_x(ours), AGREES if stated == ours else DIFFERS)


def by_x(numbers: Iterable[int]) -> str:
    return "x".join(map(str, numbers))


def joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def weights_of(graph: Graph) -> tuple[int, int]:
    """(parameters without biases, biases) of a graph."""
    counted = [(name, prod(shape)) for node in graph if not node.twin for name, shape in node.placed.weights.items()]
    biases = sum(n for name, n in counted if name == "bias")
    return sum(n for _, n in counted) - biases, biases


def weight_layers(graph: Graph) -> int:
    """Layers with a matrix of weights, as papers count depth."""
    return sum(any(len(shape) > 1 for shape in node.placed.weights.values()) for node in graph)
