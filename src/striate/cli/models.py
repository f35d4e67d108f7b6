"""`striate models`: the networks of the literature, and what each costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click

from striate.cli.output import say
from striate.zoo import Network, match

COLUMNS = ("name", "parameters", "MACs", "input", "year", "top-1", "")
LEAVE = ("", "year", "top-1", "input", "MACs")  # first to last, where there is no room
NOTE, NARROWEST = len(COLUMNS) - 1, 12  # cells
NUMBERS = {"parameters", "MACs", "top-1"}  # flush right

EXAMPLES = """\b
Examples:
  striate models                      all of them
  striate models '*res*'              those with "res" in their name
  striate models 'vgg*' alexnet       several patterns
  striate models --json | jq '.[] | select(.macs < 1e9) | .name'
  striate ledger vgg16                one of them, layer by layer

MACs are the multiply-adds for one image of the input's size (1 MAC = 2 FLOPs). top-1 is the published accuracy in per
cent; --json says where each was measured, and which paper the network is from.
"""


@click.command("models", epilog=EXAMPLES, short_help="List the networks of the literature, and what each costs.")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--json", "as_json", is_flag=True, help="Everything the table knows, for a script.")
def command(patterns: tuple[str, ...], as_json: bool) -> None:
    """List the networks of the literature whose names fit PATTERN, or all: parameters, MACs, input, year."""
    networks = match(patterns or ("*",))
    if as_json:
        say(json.dumps([entry(network) for network in networks], indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        on_terminal(networks)
    else:
        say("\n".join(aligned([COLUMNS, *map(cells, networks)])))


def entry(network: Network) -> dict[str, object]:
    """The line of the table as JSON: the fields of `striate.zoo.Network`."""
    return network._asdict() | {"input": list(network.input)}


def cells(network: Network) -> tuple[str, ...]:
    top1 = "" if network.top1 is None else f"{network.top1:.1f}"
    macs = next(
        f"{network.macs / unit:.4g} {sign}"
        for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k"))
        if network.macs >= unit
    )
    return network.name, f"{network.parameters:,}", macs, str(network.input), str(network.year), top1, network.note


def aligned(lines: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell.rjust(width) if title in NUMBERS else cell.ljust(width)
            for cell, width, title in zip(line, widths, COLUMNS, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def on_terminal(networks: list[Network]) -> None:
    from rich.table import Table

    from striate.cost.render import roomy
    from striate.cost.terminal import looked_at

    console, lines = looked_at(), [cells(network) for network in networks]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *lines, strict=True)]
    widths[NOTE] = min(widths[NOTE], NARROWEST)  # it is prose, and wraps
    kept = roomy(widths, [COLUMNS.index(title) for title in LEAVE], console.width)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for i in kept:
        title = COLUMNS[i]
        wide = (min(widths[0], max(8, console.width - widths[1] - 2)), *widths[1:NOTE], None)[i]
        table.add_column(
            title,
            justify="right" if title in NUMBERS else "left",
            min_width=wide,
            style="" if title else "dim",
            overflow="fold",
        )
    for line in lines:
        table.add_row(*(line[i] for i in kept))
    console.print(table)
    if left := [COLUMNS[i] or "notes" for i in range(len(COLUMNS)) if i not in kept]:
        console.print(
            f"{console.width} columns have no room for {', '.join(left)}; --json has all there is.", style="dim"
        )
