"""A ledger on a terminal: as many columns as it has room for, bars for shares. Imported where somebody is looking."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from striate.cost.account import Ledger, Row
from striate.cost.blocks import collapsed
from striate.cost.render import SHARES, Column, cells, columns, last_line, summary, title

BAR = 6  # cells of a bar that says 100 %
PERCENT = 4  # and of the number behind it
EIGHTHS = " ▏▎▍▌▋▊▉"
COLOURS = {"parameters": "blue", "macs": "green", "activation_bytes": "magenta"}


def looked_at(stream: TextIO | None = None) -> Console:
    """The terminal, or `stream`. Where NO_COLOR is set only text is sent: rich by itself would keep bold and dim."""
    return Console(file=stream, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def show(ledger: Ledger, rows: Sequence[Row] | None = None, console: Console | None = None) -> None:
    console = console or looked_at()
    rows = collapsed(ledger.rows) if rows is None else rows
    chosen, lines, total = columns(rows), cells(ledger, rows), last_line(ledger, len(columns(rows)))
    widths = [
        max(len(cell) for cell in (column.head, *(line[i] for line in (*lines, total))))
        for i, column in enumerate(chosen)
    ]
    kept, gap, bars = fitting(chosen, widths, console.width)
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold underline")
    for i in kept:
        drawn.add_column(
            chosen[i].head,
            justify="right" if chosen[i].right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=widths[i] if i else NAME,
        )
    for row, line in zip(rows, lines, strict=True):
        style = "bold" if row.nodes > 1 else "" if row.parameters or row.macs != 0 else "dim"
        drawn.add_row(
            *(_share(row, line[i], SHARES[i], ledger, bars) if i in SHARES else Text(line[i], style) for i in kept)
        )
    drawn.add_row(*("" for _ in kept))
    drawn.add_row(*(Text(total[i], "bold") for i in kept))
    sums = Table.grid(padding=(0, 2))
    for what, much in summary(ledger):
        sums.add_row(Text(what, "bold"), Text(much))
    console.print(Text(title(ledger), "bold"), "", drawn, "", sums, "", sep="\n")
    for note in ledger.notes:
        console.print(Text("· ") + Text(note))
    if left := [chosen[SHARE_OF.get(i, i)].head + " %" * (i in SHARES) for i in range(len(chosen)) if i not in kept]:
        console.print(
            Text(f"· {console.width} columns have no room for {', '.join(left)}; --format csv has all there is.", "dim")
        )


NAME = 8  # cells that a name is given at least
SHARE_OF = {i: i - 1 for i in SHARES}  # a share's column stands behind what it is a share of


def fitting(chosen: Sequence[Column], widths: Sequence[int], room: int) -> tuple[list[int], int, bool]:
    """The columns that fit side by side, the gap between them, and whether shares have bars: the roomiest way."""
    everything = list(range(len(chosen)))
    barred = sum(BAR + PERCENT - widths[i] for i in SHARES)
    for gap, bars, rank in ((2, True, 3), (2, False, 3), (1, False, 3), (1, False, 2), (1, False, 1), (1, False, 0)):
        kept = [i for i in everything if chosen[i].rank <= rank]
        if sum(widths[i] + gap for i in kept) + bars * barred - gap <= room:
            break
    while len(kept) > 2 and min(widths[0], NAME) + sum(widths[i] + gap for i in kept[1:]) > room:
        kept.pop()  # a name may be shortened, a number never
    return kept, gap, bars


def _share(row: Row, text: str, what: str, ledger: Ledger, bars: bool) -> Text:
    part = (getattr(row, what) or 0) / (getattr(ledger.totals, what) or 1)
    colour = COLOURS[what]
    eighths = round(8 * BAR * part)
    bar = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text.assemble(
        (bar.ljust(BAR) if bars else "", colour),
        (text.rjust(PERCENT) if bars else text, colour if part >= 0.05 else "dim"),
    )
