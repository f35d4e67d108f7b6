"""Networks side by side: what each costs, how good it was published to be, and the ratios in words."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from striate.blueprint.refusal import Refusal
from striate.blueprint.volume import Volume
from striate.cost.account import Json, Ledger, ledger
from striate.cost.render import aligned, escaped, least, piped, roomy
from striate.cost.source import source
from striate.cost.units import memory, short, whole


class Entry(NamedTuple):
    """A network's ledger, and what the zoo knows of it: accuracies are published ones, in per cent."""

    name: str
    ledger: Ledger
    year: int | None = None
    top1: float | None = None
    top5: float | None = None
    measured: str = ""  # by whom, on what, how

    @property
    def test(self) -> str:
        """What it was tested on ("ImageNet-2012 validation"): only accuracies of the same can be compared."""
        return self.measured.rpartition(": ")[2].partition(",")[0]

    def to_json(self) -> Json:
        sums = {key: getattr(self.ledger.totals, key) for key in SUMS}
        published = {"year": self.year, "top1": self.top1, "top5": self.top5, "measured": self.measured or None}
        return {"network": self.name, "input": list(self.ledger.input), **sums, **published}


SUMS = ("parameters", "macs", "flops", "activation_bytes", "weight_bytes", "peak_bytes")
RATIOS = {"parameters": "fewer parameters", "macs": "fewer MACs", "activation_bytes": "less activation memory"}


@dataclass(frozen=True)
class Comparison:
    """Two networks or more; `print` shows them, `plot` draws them, `to_json` is for programs."""

    entries: tuple[Entry, ...]

    def to_json(self) -> Json:
        """The documented schema (docs/ledger.md)."""
        first = self.entries[0].ledger
        networks = [entry.to_json() for entry in self.entries]
        return {
            "batch": first.batch,
            "dtype": first.dtype,
            "networks": networks,
            "ratios": [r._asdict() for r in self.ratios],
        }

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """For each sum that is known of all, the leanest against the most wasteful."""
        known = [key for key in RATIOS if key != "macs" or all(entry.ledger.totals.exact for entry in self.entries)]
        return tuple(ratio for key in known if (ratio := _ratio(key, self.entries)))

    def plot(self, path: str | Path) -> Path:
        """Accuracy over operations, the area of a bubble its parameters, as PNG, SVG or PDF by the name's ending.

        Written whole or not at all. Raises CannotWrite; Refusal where there is no accuracy to draw.
        """
        from striate.cost.plot import plot

        return plot(self, Path(path))

    def __str__(self) -> str:
        return table(self)


class Ratio(NamedTuple):
    """`network` has `ratio` times less of `what` than `than`; str() says it in words."""

    what: str
    network: str
    than: str
    ratio: float

    def __str__(self) -> str:
        less = RATIOS[self.what]
        if self.ratio < 1.05:
            same = less.replace("fewer", "as many").replace("less", "as much")
            return f"{self.network} and {self.than} have {same}, within 5 %."
        return f"{self.network} has {times(self.ratio)} {less} than {self.than}."


def times(ratio: float) -> str:
    """21×, 3.8×."""
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×"


def _ratio(key: str, entries: tuple[Entry, ...]) -> Ratio | None:
    cost: Callable[[Entry], int] = lambda entry: getattr(entry.ledger.totals, key)  # noqa: E731
    lean, most = min(entries, key=cost), max(entries, key=cost)
    return Ratio(key, lean.name, most.name, cost(most) / cost(lean)) if cost(lean) and lean is not most else None


def compare(*networks: Any, volume: Volume | str | None = None, **options: Any) -> Comparison:
    """Two networks or more side by side; each is whatever `ledger` takes, and so are the options.

    `volume`: one input for all, else each has its own. Raises as `ledger` does, and Refusal for fewer than two.
    """
    if len(networks) < 2:
        raise Refusal(
            "Cannot compare fewer than two networks.", ways="One alone: striate ledger NET, or striate.ledger(network)."
        )
    return Comparison(tuple(_entry(network, volume, options) for network in networks))


def _entry(network: Any, volume: Volume | str | None, options: Json) -> Entry:
    named = source(network)
    priced = ledger(named, volume, **options)
    zoo = named.entry
    as_published = zoo is not None and "(" not in named.name and priced.input == zoo.input
    return Entry(named.name, priced, zoo and zoo.year, *((zoo.top1, zoo.top5, zoo.measured) if as_published else ()))


Cell = Callable[[Entry], str]
COLUMNS: dict[str, Cell] = {
    "network": lambda e: e.name,
    "year": lambda e: str(e.year or ""),
    "input": lambda e: str(e.ledger.input),
    "parameters": lambda e: whole(e.ledger.totals.parameters),
    "MACs": lambda e: least(e.ledger.totals) + short(e.ledger.totals.macs),
    "activations": lambda e: memory(e.ledger.totals.activation_bytes),
    "peak": lambda e: memory(e.ledger.totals.peak_bytes),
    "top-1": lambda e: f"{e.top1:.2f}" if e.top1 is not None else "",
    "top-5": lambda e: f"{e.top5:.2f}" if e.top5 is not None else "",
}
ON_THE_LEFT = {"network"}
LEAVE = ("year", "input", "top-5", "peak", "activations", "top-1", "MACs")  # first to last, where there is no room


def words(comparison: Comparison) -> Iterator[str]:
    """What stands under the table: the ratios, and where the accuracies are from."""
    yield from map(str, comparison.ratios)
    sources: dict[str, list[str]] = {}
    for entry in comparison.entries:
        if entry.measured:
            sources.setdefault(entry.measured, []).append(entry.name)
    for measured, names in sources.items():
        yield f"Accuracy of {', '.join(names) if len(sources) > 1 else 'all that have one'}: {measured}."
    if len(sources) > 1:
        yield "Measured in different ways, accuracies do not compare to the last digit; on different data not at all."


def title(comparison: Comparison) -> str:
    first = comparison.entries[0].ledger
    return f"{len(comparison.entries)} networks, batch {first.batch}, {first.dtype}"


def _lines(comparison: Comparison) -> list[list[str]]:
    return [[cell(entry) for cell in COLUMNS.values()] for entry in comparison.entries]


def table(comparison: Comparison, room: int | None = None) -> str:
    """`room`: cells in a line of the terminal; the columns that do not fit are named instead."""
    heads, lines, said = list(COLUMNS), _lines(comparison), list(words(comparison))
    if room:
        widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
        kept = roomy(widths, [heads.index(head) for head in LEAVE], room)
        if left := [head for i, head in enumerate(heads) if i not in kept]:
            said.append(f"{room} columns have no room for {', '.join(left)}; --format csv has all there is.")
        said = [wrapped for word in said for wrapped in textwrap.wrap(word, max(room, 20))]
        heads, lines = [heads[i] for i in kept], [[line[i] for i in kept] for line in lines]
    drawn = aligned(heads, lines, [head not in ON_THE_LEFT for head in heads])
    return "\n".join([title(comparison), "", *drawn, "", *said])


def markdown(comparison: Comparison) -> str:
    rule = [":---" if head in ON_THE_LEFT else "---:" for head in COLUMNS]
    lines = [piped(line) for line in (list(COLUMNS), rule, *_lines(comparison))]
    return "\n".join([*lines, "", *(f"- {escaped(word)}" for word in words(comparison))])


def as_csv(comparison: Comparison) -> str:
    out = io.StringIO()
    lines = [entry.to_json() for entry in comparison.entries]
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: "×".join(map(str, value)) if isinstance(value, list) else value for key, value in line.items()}
        for line in lines
    )
    return out.getvalue().rstrip("\n")


def as_json(comparison: Comparison) -> str:
    return json.dumps(comparison.to_json(), ensure_ascii=False, indent=1)


FORMATS: dict[str, Callable[[Comparison], str]] = {"table": table, "markdown": markdown, "csv": as_csv, "json": as_json}
