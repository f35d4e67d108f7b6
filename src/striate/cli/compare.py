"""`striate compare A B …`: networks side by side, in numbers and in a picture."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import get_terminal_size

import click

from striate.blueprint.window import FITS
from striate.cli.ledger import give
from striate.cli.output import say
from striate.cost.memory import BYTES

EXAMPLES = """\b
Examples:
  striate compare alexnet vgg16 googlenet resnet50
  striate compare vgg16 resnet50 --input 3x256x256 --batch 32
  striate compare "resnet*" alexnet --plot accuracy.png
  striate compare resnet18 mine.txt --format markdown
  striate compare alexnet googlenet --json | jq .ratios

Each is what striate ledger takes; a pattern in quotes is every network of the zoo that it matches.
Accuracies are the published ones, of the network at its own input.
"""


@click.command("compare", epilog=EXAMPLES, short_help="Put networks side by side.")
@click.argument("nets", metavar="A B ...", nargs=-1, required=True)
@click.option("--input", "volume", metavar="C×H×W", help="One input for all; else each has its own.")
@click.option("--batch", type=click.IntRange(1, 10**8), default=1, show_default=True, help="How many examples at once.")
@click.option("--dtype", type=click.Choice(list(BYTES)), default="float32", show_default=True)
@click.option("--fit", type=click.Choice(list(FITS)), help="As in striate ledger.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw accuracy over operations: .png, .svg or .pdf."
)
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json"]), default="table", show_default=True
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to a file, whole or not at all.")
def command(
    nets: tuple[str, ...],
    volume: str | None,
    batch: int,
    dtype: str,
    fit: str | None,
    plot: Path | None,
    form: str,
    out: Path | None,
) -> None:
    """Put networks side by side: parameters, multiply-adds, memory, published accuracy, and the ratios in words."""
    from striate.cost import compare
    from striate.cost.comparison import FORMATS, table
    from striate.cost.source import argument

    sources = [argument(name) for net in nets for name in _matching(net)]
    compared = compare(*sources, volume=volume, batch=batch, dtype=dtype, fit=fit)
    drawn = compared.plot(plot) if plot else None  # first: where it cannot be written, nothing is
    looked_at = form == "table" and out is None and sys.stdout.isatty()
    give(table(compared, get_terminal_size().columns) if looked_at else FORMATS[form](compared), out)
    if drawn:
        say(f"Drawn: {drawn}", err=True)


def _matching(net: str) -> Iterator[str]:
    """The zoo's names that a pattern matches; anything else is itself."""
    if re.fullmatch(r"[\w*?]*[*?][\w*?]*", net):
        from striate import zoo

        yield from (network.name for network in zoo.match([net]))
    else:
        yield net
