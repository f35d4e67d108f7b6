"""A network while it grows, and what becomes of it: a listing, with the parameters counted as it counts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from striate.blueprint.graph import Graph, draft
from striate.blueprint.layers import Relu
from striate.blueprint.notation.claims import Claim, Listing, joined, of_chain, of_figure, of_sum, weights_of
from striate.blueprint.notation.figures import DIFFERS, Chain, Figure, judge, spelled
from striate.blueprint.notation.sentences import Spec
from striate.blueprint.refusal import CannotPlace
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Seq

ALEXNET, LEDGER, EXAMPLE = "AlexNet's listing", "ledger lines", "a worked example"
OPEN = (
    "ReLU after each convolution and FC but the last: the listing does not show it",
    "its NORM is Krizhevsky's: 5 channels, alpha 1e-4, beta 0.75, k 2",
)


class Count(NamedTuple):
    """A claimed number of parameters, kept until it is known whether the listing counts biases."""

    line: int
    about: str
    kind: str
    said: Chain | Figure
    weights: int
    biases: int


class Network:
    """One network while it grows."""

    def __init__(self, line: int, volume: Volume | None, flat: bool = False) -> None:
        self.line, self.volume, self.flat = line, volume, flat
        self.here = volume  # what the next layer reads
        self.base = volume  # what the last layer read
        self.specs: dict[str, Spec] = {}
        self.form = EXAMPLE
        self.graph: Graph | None = None  # the last layer, on base
        self.why = ""  # why there is none
        self.spoken = 0  # claims about the last layer
        self.said: list[Claim | Count] = []
        self.uncounted = False
        self.tally: dict[str, tuple[int, int, int]] = {}  # values, weights and biases of each layer
        self.facts = 0  # what its lines say of memory and parameters
        self.stage, self.within = 1, 0

    @property
    def last(self) -> str:
        return next(reversed(self.specs), "input")

    @property
    def spec(self) -> Spec | None:
        return self.specs.get(self.last)

    @property
    def totals(self) -> tuple[int, int, int]:
        """Values (the input among them), weights without biases, and biases of all layers."""
        values, weights, biases = map(
            sum, zip((self.volume.size if self.volume else 0, 0, 0), *self.tally.values(), strict=True)
        )
        return values, weights, biases

    def add(self, spec: Spec, ledger: bool = False) -> None:
        """The next layers, each on the volume before it; `ledger`: named in VGG's way.

        Raises what placing raises, but for a misfit: that is kept in `why`.
        """
        last = self.spec
        if last and last.kind == spec.kind == "conv" and last.out is None and not self.spoken:
            self.tally.pop(self.last, None)
            del self.specs[self.last]  # it was only a window until now: "5x5x3 filter", then "6 5x5 filters"
            self.here = self.base
        names = [self._staged(spec)] if ledger else _numbered(spec)
        for name in names:
            self.specs[_free(name, self.specs)] = spec._replace(times=1)
            self.base = self.here
            self._place(spec)

    def change(self, spec: Spec) -> None:
        """The last layer, differently."""
        self.specs[self.last] = spec
        self.here = self.base
        self._place(spec)

    def say(self, *claims: Claim | Count) -> None:
        self.said += claims
        self.spoken += len(claims)

    def _staged(self, spec: Spec) -> str:
        """VGG's names, as Caffe had them: conv1_1, conv1_2, pool1, fc6."""
        stage = self.stage
        if spec.kind == "conv":
            self.within += 1
            return f"conv{stage}_{self.within}"
        self.stage, self.within = stage + 1, 0
        return f"{spec.name}{stage}"

    def _place(self, spec: Spec) -> None:
        self.spoken, self.graph, self.why = 0, None, "nobody says what it reads"
        try:
            part = spec.part()
            self.graph = draft(part, self.base) if self.base else None
        except CannotPlace as refusal:
            self.why = refusal.why
        if self.graph:
            self.here = self.graph.output
            self.tally[self.last] = (self.here.size, *weights_of(self.graph))

    def listing(self) -> Listing:
        """The network as it now is, and its claims."""
        counts = [one for one in self.said if isinstance(one, Count)]
        tell, uncounted = _convention(self.uncounted, counts)
        claims: list[Claim] = []
        for one in self.said:
            claims += [one] if isinstance(one, Claim) else _claims(one, uncounted, tell)
        kinds = {spec.kind for spec in self.specs.values()}
        shown = "relu" in kinds or self.form == EXAMPLE
        notes = (*(() if shown else OPEN[:1]), *(OPEN[1:] if "norm" in kinds else ()))
        network = Seq(**dict(_parts(self.specs, shown)))
        return Listing(self.form, self.line, network, self.volume, tuple(claims), notes)


def _numbered(spec: Spec) -> list[str]:
    """The name, or the names of CONV2..12."""
    if spec.times == 1:
        return [spec.name]
    first = int((re.search(r"\d+$", spec.name) or ["1"])[0])
    return [re.sub(r"\d*$", str(n), spec.name, count=1) for n in range(first, first + spec.times)]


def _free(name: str, taken: dict[str, Spec]) -> str:
    return (
        name
        if name not in taken
        else next(new for n in range(2, len(taken) + 3) if (new := f"{name}_{n}") not in taken)
    )


def _parts(specs: dict[str, Spec], shown: bool) -> Iterator[tuple[str, Blueprint]]:
    weighted = [name for name, spec in specs.items() if spec.kind in ("conv", "fc")]
    for name, spec in specs.items():
        yield name, spec.part()
        if not shown and name in weighted[:-1]:
            yield _free(re.sub("^(conv|fc)", "relu", name), specs), Relu


def of_number(line: int, about: str, kind: str, said: Chain | Figure, computed: int, note: str = "") -> Iterator[Claim]:
    if isinstance(said, Chain):
        yield from of_chain(line, about, kind, said, computed, note)
    else:
        yield of_figure(line, about, kind, said, computed, note)


def of_each(graph: Graph) -> tuple[int, int]:
    """Weights and biases of one neuron of the last layer."""
    weights = graph.nodes[-1].placed.weights
    shape = weights.get("weight", ())
    return prod(shape[1:] if len(shape) <= 4 else shape[-3:]), int("bias" in weights)


def _convention(uncounted: bool, counts: list[Count]) -> tuple[str, bool]:
    """(how the output says it, whether biases are left out): what the listing says, or what all its lines do."""
    if uncounted:
        return "without biases, as the listing says", True
    telling = [
        count for count in counts if count.biases and count.kind == "parameters" and isinstance(count.said, Chain)
    ]
    if len(telling) > 2 and all(isinstance(c.said, Chain) and c.said.sum.value == c.weights for c in telling):
        return "without biases, as all its lines count", True
    return "with biases", False


def _claims(count: Count, uncounted: bool, tell: str) -> Iterator[Claim]:
    if count.kind == "weights":
        uncounted, tell = True, "without biases"
    computed = count.weights + (0 if uncounted else count.biases)
    note = tell if count.biases else ""
    said = count.said.sum.value if isinstance(count.said, Chain) else count.said.value
    if not uncounted and count.biases and said == count.weights:
        note = joined(note, f"{count.weights:,} leaves the {count.biases:,} biases out")
        if isinstance(count.said, Chain) and (figure := count.said.stated.figure):
            verdict, how = judge(figure, computed)
            if verdict != DIFFERS:  # the sum leaves the biases out, but rounded as it is nobody can tell
                yield of_sum(count.line, count.said)
                told = count.said.text, spelled(computed, figure), verdict, joined(how, note)
                yield Claim(count.line, count.about, count.kind, *told)
                return
    yield from of_number(count.line, count.about, count.kind, count.said, computed, note)
