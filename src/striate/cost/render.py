"""A ledger as text: aligned columns, Markdown, CSV, JSON. HTML is in `page`, a terminal's colours in `terminal`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from striate.blueprint.said import visible
from striate.cost.account import COLUMNS, Ledger, Row, Totals, plain
from striate.cost.blocks import collapsed
from striate.cost.training import Training
from striate.cost.units import memory, share, short, whole


class Column(NamedTuple):
    """A column of the tables people read; `rank` says which go first where there is no room."""

    head: str
    cell: Callable[[Row, Totals], str]
    right: bool = True
    rank: int = 0


def _field(row: Row, _: Totals) -> str:
    size = "×".join(str(n) for n in (row.field if row.field[0] != row.field[1] else row.field[:1]))
    jump = "×".join(f"{float(step):.3g}" for step in (row.jump if row.jump[0] != row.jump[1] else row.jump[:1]))
    return f"{size} /{jump}{'*' * row.gated}"


def _name(row: Row, _: Totals) -> str:
    name = visible(row.name)  # a model file's layers are called as its maker wished
    return f"{name} ×{row.repeats}" if row.repeats > 1 else name


def _macs(macs: int | None) -> str:
    return "?" if macs is None else short(macs) if macs else ""


TABLE = (
    Column("name", _name, right=False),
    Column("layer", lambda row, _: row.label, right=False, rank=1),
    Column("output", lambda row, _: str(row.output)),
    Column("parameters", lambda row, _: whole(row.parameters) if row.parameters else ""),
    Column("%", lambda row, totals: percent(row.parameters, totals.parameters), rank=3),
    Column("MACs", lambda row, _: _macs(row.macs)),
    Column("%", lambda row, totals: percent(row.macs, totals.macs), rank=3),
    Column("memory", lambda row, _: memory(row.activation_bytes)),
    Column("%", lambda row, totals: percent(row.activation_bytes, totals.activation_bytes), rank=3),
    Column("field /jump", _field, rank=2),
)
UNREAD = Column("unread", lambda row, _: "×".join(map(str, row.unread)) if any(row.unread) else "", rank=1)
BACK = Column("backward", lambda row, _: _macs(row.backward_macs), rank=2)
SHARES = {4: "parameters", 6: "macs", 8: "activation_bytes"}  # column of TABLE -> what it is a share of


def percent(part: int | None, total: int) -> str:
    return share(part, total).removesuffix(" %").replace("< ", "<").replace("> ", ">")


def columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The table's columns; unread cells and the way back's MACs only where there are some."""
    back = (BACK,) if any(row.backward_macs for row in rows) else ()
    return (*TABLE, *back, UNREAD) if any(any(row.unread) for row in rows) else (*TABLE, *back)


def cells(ledger: Ledger, rows: Sequence[Row]) -> list[list[str]]:
    return [[column.cell(row, ledger.totals) for column in columns(rows)] for row in rows]


def last_line(ledger: Ledger, width: int) -> list[str]:
    totals = ledger.totals
    line = [
        "total",
        f"{len(ledger.rows) - 1} nodes",
        "",
        whole(totals.parameters),
        "",
        least(totals) + short(totals.macs),
        "",
        memory(totals.activation_bytes),
    ]
    line += [""] * (width - len(line))
    if totals.backward_macs:
        line[len(TABLE)] = least(totals) + short(totals.backward_macs)
    return line


def least(totals: Totals) -> str:
    return "" if totals.exact else "≥ "


def title(ledger: Ledger) -> str:
    return f"{visible(ledger.network)} on {ledger.input}, batch {ledger.batch}, {ledger.dtype}"


def summary(ledger: Ledger) -> list[tuple[str, str]]:
    """The totals, as (what, how much); what is meant by each stands beside it."""
    totals, training = ledger.totals, ledger.training
    lines = [
        ("parameters", whole(totals.parameters)),
        ("MACs", f"{least(totals)}{whole(totals.macs)}  ({least(totals)}{short(totals.flops)} FLOPs: 1 MAC is 2)"),
        ("activations", f"{memory(totals.activation_bytes)}  (every output, once)"),
        (
            "weights",
            memory(totals.weight_bytes)
            + (f"  (and {memory(totals.buffer_bytes)} of buffers)" if totals.buffer_bytes else ""),
        ),
        ("peak, inference", f"{memory(totals.peak_bytes)}  (weights, and the values alive at once)"),
    ]
    if training:
        lines += [
            (
                "MACs of the way back",
                f"{least(totals)}{whole(totals.backward_macs)}  (gradients of weights and values)",
            ),
            ("gradients", memory(training.gradient_bytes)),
            (f"optimiser, {training.optimizer}", memory(training.optimizer_bytes)),
            ("saved for backward", memory(training.saved_bytes)),
            ("peak, training", f"{memory(training.peak_bytes)}  (in {how(training)}; at {training.peak_at})"),
        ]
    return lines


def how(training: Training) -> str:
    """ "bf16 with checkpointing"."""
    return training.precision + " with checkpointing" * training.checkpointing


def aligned(head: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Columns under their heads, two spaces apart; nothing trails."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    for line in (head, ["─" * width for width in widths], *lines):
        yield "  ".join(
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)
        ).rstrip()


def roomy(widths: Sequence[int], leave: Sequence[int], room: int) -> list[int]:
    """The columns that stay when those of `leave` go, in that order, until all fit into `room`, two spaces apart."""
    kept = list(range(len(widths)))
    for i in leave:
        if sum(widths[k] + 2 for k in kept) - 2 <= room:
            break
        kept.remove(i)
    return kept


def table(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    rows = collapsed(ledger.rows) if rows is None else rows
    chosen = columns(rows)
    lines = [*cells(ledger, rows), last_line(ledger, len(chosen))]
    drawn = aligned([column.head for column in chosen], lines, [column.right for column in chosen])
    totals = summary(ledger)
    wide = max(len(what) for what, _ in totals)
    sums = (f"{what.ljust(wide)}  {much}" for what, much in totals)
    return "\n".join(chain([title(ledger), ""], drawn, [""], sums, [""], ledger.notes))


def markdown(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    rows = collapsed(ledger.rows) if rows is None else rows
    chosen = columns(rows)
    head, rule = [column.head for column in chosen], ["---:" if column.right else ":---" for column in chosen]
    drawn = [piped(line) for line in (head, rule, *cells(ledger, rows), last_line(ledger, len(chosen)))]
    sums = [f"- {what}: {much}" for what, much in summary(ledger)]
    return "\n".join(
        [f"### {escaped(title(ledger))}", "", *drawn, "", *sums, "", *(f"{escaped(note)}\n" for note in ledger.notes)]
    ).rstrip()


def piped(line: Sequence[str]) -> str:
    return "| " + " | ".join(map(escaped, line)) + " |"


def escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*").replace("_", r"\_").replace("<", "&lt;")


def as_csv(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    """One line a row, full numbers, no totals; pairs and volumes with × between: 64×112×112."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    lines = [plain(row, bool(ledger.training)) for row in (ledger.rows if rows is None else rows)]
    writer.writerow(lines[0] if lines else COLUMNS)
    for line in lines:
        writer.writerow("×".join(map(str, value)) if isinstance(value, list) else value for value in line.values())
    return out.getvalue().rstrip("\n")


def as_json(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    said = ledger.to_json() | ({} if rows is None else {"rows": [plain(row, bool(ledger.training)) for row in rows]})
    head = ", ".join(
        f"{json.dumps(key)}: {json.dumps(said[key], ensure_ascii=False)}"
        for key in ("network", "input", "batch", "dtype")
    )
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in said["rows"])
    rest = "".join(f",\n {json.dumps(key)}: {json.dumps(said[key])}" for key in ("totals", "training") if key in said)
    return f'{{{head},\n "rows": [\n{lines}\n ]{rest}}}'


def html(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    from striate.cost.page import page

    return page(ledger, collapsed(ledger.rows) if rows is None else rows)


FORMATS: dict[str, Callable[..., str]] = {
    "table": table,
    "markdown": markdown,
    "csv": as_csv,
    "json": as_json,
    "html": html,
}
