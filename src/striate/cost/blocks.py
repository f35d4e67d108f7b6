"""Many rows as few: equal blocks in a row of their own, or everything below a depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from striate.cost.account import Row

LEAST = 4  # nodes of a block that is worth saying once; a convolution and its activation are better read line by line
QUIET = {"batch norm", "group norm", "layer norm", "identity", "input"}  # not worth a word where a block is summed up


def deep(rows: Iterable[Row], depth: int) -> list[Row]:
    """Rows whose names have their first `depth` parts in common, one after another, as one: "layer3.0", …"""
    groups = groupby(rows, key=lambda row: row.name.split(".")[:depth])
    return [together(".".join(parts), list(members)) for parts, members in groups]


def collapsed(rows: Sequence[Row], level: int = 0) -> list[Row]:
    """Equal neighbouring blocks as one row of their sums: "layer3.1-35 ×35". Nothing is lost from the totals."""
    found: list[Row] = []
    for same in _runs(rows, level):
        first = same[0]
        if len(same) > 1:
            names = [_head(block, level) for block in same]
            found.append(
                together(
                    f"{names[0]}-{names[-1].rpartition('.')[2]}", [row for block in same for row in block], len(same)
                )
            )
        elif len(first) > 1 and any(_part(row, level) for row in first):
            found += collapsed(first, level + 1)
        else:
            found += first
    return found


def together(name: str, rows: Sequence[Row], repeats: int = 1) -> Row:
    """The rows as one: sums, and the last one's output and field."""
    if len(rows) == 1:
        return rows[0]
    last = rows[-1]
    known = [row.macs for row in rows if row.macs is not None]
    return last._replace(
        name=name,
        layer=f"{len(rows)} nodes",
        parameters=sum(row.parameters for row in rows),
        macs=sum(known) if len(known) == len(rows) else None,
        backward_macs=None if len(known) < len(rows) else sum(row.backward_macs or 0 for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        unread=(max(row.unread[0] for row in rows), max(row.unread[1] for row in rows)),
        label=_summary(rows[: len(rows) // repeats]),
        nodes=len(rows),
        repeats=repeats,
    )


def _runs(rows: Sequence[Row], level: int) -> Iterator[list[list[Row]]]:
    """Neighbouring blocks (rows with the same part of the name at `level`), equal ones together."""
    blocks = [list(members) for _, members in groupby(rows, key=lambda row: _part(row, level))]
    run = blocks[:1]
    for block in blocks[1:]:
        if len(block) >= LEAST and _worth(block, level) == _worth(run[-1], level):
            run.append(block)
        else:
            yield run
            run = [block]
    if run:
        yield run


def _worth(block: list[Row], level: int) -> list[tuple[object, ...]]:
    """What two blocks have in common when they are equal: everything but their names and what they see of the input."""
    return [(row.name.split(".")[level + 1 :], *row[1:6], row.unread) for row in block]


def _part(row: Row, level: int) -> str:
    return ".".join(row.name.split(".")[level : level + 1])


def _head(block: list[Row], level: int) -> str:
    return ".".join(block[0].name.split(".")[: level + 1])


def _summary(rows: Sequence[Row]) -> str:
    """A block in a few words: its most telling kinds, the commonest first."""
    kinds = Counter(_kind(row.label) for row in rows if row.label not in QUIET)
    weighty = [
        (n, kind)
        for kind, n in kinds.items()
        if kind in ("conv", "linear", "local", "attention", "matmul", "pool", "concat", "add", "multiply")
    ]
    return ", ".join(f"{n} {kind}" for n, kind in weighty or [(n, kind) for kind, n in kinds.items()][:3])


def _kind(label: str) -> str:
    named = [word for word in label.split() if word in ("conv", "depthwise", "pool", "local")]
    return {"depthwise": "conv"}.get(named[0], named[0]) if named else label
