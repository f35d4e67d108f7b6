"""What others call the parts of our networks, and back: two-way tables, one a family, ours on the left.

    layer{s}.{b}.sum.body.{i}    layer{s}.{b}.(conv|bn){i+1}

`{x}` is one part of a dotted name, `{x+1}` that number plus one, `{x/1,2,4}` that number counted in runs (0.0, 1.0,
1.1, 2.0 … 2.3). `{#x}` is any part, and `{x}` on the right then its place among its siblings; `{node}` is the layer's
place in the whole network, `{blocks#}` how many parts `blocks` has. `[body.]` may be missing. `(conv|bn)` stands for
two rows: what is called `.conv` here, and `.norm`. A name that ends in `@` is a convolution there over all that our
Linear reads. The first row that fits a name is its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from striate.blueprint import Graph

Names = dict[str, str]  # a layer's name here -> there


class Row(NamedTuple):
    ours: re.Pattern[str]
    theirs: str
    counted: frozenset[str]  # the {#x} of it


def translate(graph: Graph, table: str) -> Names:
    """The layers that hold numbers, those of them which `table` names: ours -> theirs."""
    rows, places, names = _rows(table), _places(graph), {}
    for at, node in enumerate(graph.nodes[1:]):
        if (node.placed.weights or node.placed.buffers) and node.twin is None:
            said = next((name for row in rows if (name := _said(row, node.name, at, places)) is not None), None)
            if said is not None:
                names[node.name] = said
    return names


def _said(row: Row, name: str, at: int, places: dict[str, int]) -> str | None:
    found = row.ours.fullmatch(name)
    if found is None:
        return None

    def value(slot: re.Match[str]) -> str:
        key, shift = slot[1], int(slot[3] or 0)
        if key == "node" or slot[2]:
            return str((at if key == "node" else _parts(key, places)) + shift)
        part = str(places[name[: found.end(key)]]) if key in row.counted else found[key]
        if (slot[3] or slot[4]) and not part.isdecimal():
            return "?"
        if slot[4]:
            return _in_runs(
                int(part), [int(n) for n in slot[4].split(",")], _parts(name[: found.start(key) - 1], places)
            )
        return str(int(part) + shift) if shift else part

    said = re.sub(r"\{(\w+)(#?)([+-]\d+)?(?:/([\d,]+))?\}", value, row.theirs)
    return said if "?" not in said else None


def _in_runs(number: int, runs: list[int], siblings: int) -> str:
    """4 in runs of 1, 2, 4 is "2.1"; "?" where the runs are not as many in all as there are."""
    starts = [sum(runs[:i]) for i in range(len(runs))]
    if sum(runs) != siblings:
        return "?"
    run = max(i for i, start in enumerate(starts) if start <= number)
    return f"{run}.{number - starts[run]}"


def _places(graph: Graph) -> dict[str, int]:
    """Each part of the tree by its full name: its place among its siblings, in the order they are drawn."""
    places: dict[str, int] = {}
    siblings: dict[str, int] = {}
    for node in graph.nodes[1:]:
        parts = node.name.split(".")
        for depth in range(1, len(parts) + 1):
            part, parent = ".".join(parts[:depth]), ".".join(parts[: depth - 1])
            if part not in places:
                places[part] = siblings[parent] = siblings.get(parent, -1) + 1
    return places


def _parts(name: str, places: dict[str, int]) -> int:
    return sum(part.rpartition(".")[0] == name for part in places)


@cache
def _rows(table: str) -> tuple[Row, ...]:
    lines = (line.split() for line in table.splitlines() if line)
    return tuple(row for ours, theirs in lines for row in _both(ours, theirs))


def _both(ours: str, theirs: str) -> Iterator[Row]:
    if pair := re.search(r"\(([^|]*)\|([^)]*)\)", theirs):
        for leaf, said in (("conv", pair[1]), ("norm", pair[2])):
            yield from _both(f"{ours}.{leaf}", theirs.replace(pair[0], said))
        return
    counted = frozenset(re.findall(r"\{#(\w+)\}", ours))
    pattern = re.sub(
        r"\\\{(?:\\#)?(\w+)\\\}|\\\[(.+?)\\\]",
        lambda slot: f"(?P<{slot[1]}>[^.]+)" if slot[1] else f"(?:{slot[2]})?",
        re.escape(ours),
    )
    yield Row(re.compile(pattern), theirs, counted)
