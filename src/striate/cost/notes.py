"""Rules of thumb of the field, held against a network: where they hold and where they do not, in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from striate.cost.holds import kinds
from striate.cost.memory import BYTES, homes
from striate.cost.units import memory, share

if TYPE_CHECKING:
    from striate.cost.account import Ledger, Row

CONVS = ("Conv(", "LocallyConnected(")


def notes(ledger: Ledger) -> Iterator[str]:
    """One sentence a rule."""
    for rule in (_early_memory, _late_parameters, _where_macs, _in_place, _field, _unread, _gated, _unknown):
        yield from rule(ledger)


def _early_memory(ledger: Ledger) -> Iterator[str]:
    """ "Most memory is in early CONV" (the first quarter of the convolutions, with what follows each)."""
    convs = [i for i, row in enumerate(ledger.rows) if row.layer.startswith(CONVS)]
    if len(convs) < 4:
        return
    early = ceil(len(convs) / 4)
    part = sum(row.activation_bytes for row in ledger.rows[: convs[early]])
    percent, where = (
        share(part, ledger.totals.activation_bytes),
        f"the first {early} of {len(convs)} convolutions, with what follows each",
    )
    if 2 * part > ledger.totals.activation_bytes:
        yield f"Most memory is in the early convolutions: {percent} of the activations are in {where}."
    else:
        yield f"Memory is not mostly early here: {percent} of the activations are in {where}."


def _late_parameters(ledger: Ledger) -> Iterator[str]:
    """ "Most params are in late FC"."""
    linear = [row for row in ledger.rows if row.layer.startswith("Linear(")]
    if not linear or not ledger.totals.parameters:
        return
    percent, most = share(_sum(linear), ledger.totals.parameters), max(linear, key=lambda row: row.parameters)
    layers = f"the {len(linear)} linear layers" if len(linear) > 1 else f"the linear layer {most.name}"
    if 2 * _sum(linear) > ledger.totals.parameters:
        alone = f" ({most.name} alone {share(most.parameters, ledger.totals.parameters)})" if len(linear) > 1 else ""
        yield f"Most parameters are in {layers}: {percent}{alone}."
    else:
        yield f"Parameters are not mostly linear here: {percent} are in {layers}."


def _where_macs(ledger: Ledger) -> Iterator[str]:
    convs = sum(row.macs or 0 for row in ledger.rows if row.layer.startswith(CONVS))
    if convs and ledger.totals.exact:
        yield f"{share(convs, ledger.totals.macs)} of the MACs are in convolutions."


def _in_place(ledger: Ledger) -> Iterator[str]:
    home = homes(ledger.graph, kinds(ledger.graph))
    own = (
        ledger.batch
        * BYTES[ledger.dtype]
        * sum(node.output.size for node in ledger.graph.nodes if home[node.name] == node.name)
    )
    if own < ledger.totals.activation_bytes:
        whole = memory(ledger.totals.activation_bytes)
        yield f"Of the {whole} of activations {memory(own)} take memory; the others overwrite what they read."


def _field(ledger: Ledger) -> Iterator[str]:
    """Does a cell of the last grid see the whole input?"""
    rows = [row for row in ledger.rows if not row.output.is_vector]
    if len(rows) < 2:
        return
    last = rows[-1]
    whole = all(seen >= cells for seen, cells in zip(last.field, ledger.input.grid, strict=True))
    verdict = "as wide as the input or wider" if whole else f"of an input of {_by(ledger.input.grid)}"
    yield f"A cell of the last grid ({last.name}, {last.output}) sees {_by(last.field)} cells, {verdict}."


def _unread(ledger: Ledger) -> Iterator[str]:
    left = [row for row in ledger.rows if any(row.unread)]
    if left:
        named = ", ".join(f"{row.name} ({unread(row)})" for row in left[:3]) + (
            f" and {len(left) - 3} more" if len(left) > 3 else ""
        )
        yield f"Real cells that no window reaches: {named}."


def _gated(ledger: Ledger) -> Iterator[str]:
    if any(row.gated for row in ledger.rows):
        yield "A row marked * is scaled by a gate that reads the whole input; its field follows the content."


def _unknown(ledger: Ledger) -> Iterator[str]:
    if unknown := [row.name for row in ledger.rows if row.macs is None]:
        more = " and others" if len(unknown) > 3 else ""
        yield f"The MACs of {', '.join(unknown[:3])}{more} are not known: totals with ≥ are the least there is."


def unread(row: Row) -> str:
    """ "1 row, 2 columns"."""
    words = ((n, word) for n, word in zip(row.unread, ("row", "column"), strict=True) if n)
    return ", ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in words)


def _sum(rows: list[Row]) -> int:
    return sum(row.parameters for row in rows)


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]:,}×{pair[1]:,}"
