"""A ledger as one HTML file that needs nothing else: no script, no network; light or dark as the reader's system."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from striate.cost.account import Ledger, Row
from striate.cost.blocks import collapsed
from striate.cost.render import SHARES, cells, columns, last_line, summary, title

STYLE = """
.striate{font:14px/1.45 system-ui,sans-serif;color-scheme:light dark;max-width:72rem;margin:2rem auto;padding:0 1rem}
.striate h1{font-size:1.25rem}
.striate table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.striate th,.striate td{padding:.15rem .6rem;text-align:right;white-space:nowrap}
.striate th{position:sticky;top:0;background:Canvas;border-bottom:2px solid GrayText}
.striate .l{text-align:left}
.striate tbody tr:hover{background:color-mix(in srgb,Highlight 18%,transparent)}
.striate .block{font-weight:600}.striate .quiet{color:GrayText}
.striate tfoot td{border-top:2px solid GrayText;font-weight:600}
.striate .p{background:linear-gradient(#0072b266,#0072b266) no-repeat left/var(--w) 100%}
.striate .m{background:linear-gradient(#e69f0066,#e69f0066) no-repeat left/var(--w) 100%}
.striate .a{background:linear-gradient(#009e7366,#009e7366) no-repeat left/var(--w) 100%}
.striate .bar{min-width:4rem}
.striate dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.5rem}
.striate dt{font-weight:600}.striate dd{margin:0}
"""
COLOUR = {"parameters": "p", "macs": "m", "activation_bytes": "a"}


def page(ledger: Ledger, rows: Sequence[Row]) -> str:
    """The whole document."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title(ledger))}'
    head += "</title>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{fragment(ledger, rows)}</body></html>'


def fragment(ledger: Ledger, rows: Sequence[Row] | None = None) -> str:
    """What goes into a page or a notebook's cell."""
    rows = collapsed(ledger.rows) if rows is None else rows
    chosen = columns(rows)
    left = [' class="l"' if not column.right else "" for column in chosen]
    head = "".join(f"<th{side}>{escape(column.head)}</th>" for column, side in zip(chosen, left, strict=True))
    body = "\n".join(_line(ledger, row, line, left) for row, line in zip(rows, cells(ledger, rows), strict=True))
    foot = "".join(
        f"<td{side}>{escape(cell)}</td>" for cell, side in zip(last_line(ledger, len(chosen)), left, strict=True)
    )
    sums = "".join(f"<dt>{escape(what)}</dt><dd>{escape(much)}</dd>" for what, much in summary(ledger))
    notes = "".join(f"<li>{escape(note)}</li>" for note in ledger.notes)
    return (
        f'<div class="striate"><style>{STYLE}</style>\n<h1>{escape(title(ledger))}</h1>\n'
        f"<dl>{sums}</dl>\n<ul>{notes}</ul>\n"
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n<tfoot><tr>{foot}</tr></tfoot>\n</table></div>"
    )


def _line(ledger: Ledger, row: Row, line: Sequence[str], left: Sequence[str]) -> str:
    style = ' class="block"' if row.nodes > 1 else "" if row.parameters or row.macs != 0 else ' class="quiet"'
    drawn = (_cell(ledger, row, i, cell, left[i]) for i, cell in enumerate(line))
    return f"<tr{style}>{''.join(drawn)}</tr>"


def _cell(ledger: Ledger, row: Row, i: int, text: str, side: str) -> str:
    if i not in SHARES:
        return f"<td{side}>{escape(text)}</td>"
    part = (getattr(row, SHARES[i]) or 0) / (getattr(ledger.totals, SHARES[i]) or 1)
    return f'<td class="bar {COLOUR[SHARES[i]]}" style="--w:{100 * part:.1f}%">{escape(text)}</td>'
