"""`striate models`: the networks of the literature, and what each costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click

from striate.zoo import Network, match

COLUMNS = ("name", "parameters", "MACs", "input", "year", "top-1", "")
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
        click.echo(json.dumps([entry(network) for network in networks], indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        on_terminal(networks)
    else:
        click.echo("\n".join(aligned([COLUMNS, *map(cells, networks)])))


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
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in COLUMNS:
        table.add_column(
            title, justify="right" if title in NUMBERS else "left", no_wrap=bool(title), style="" if title else "dim"
        )
    for network in networks:
        table.add_row(*cells(network))
    Console().print(table)
