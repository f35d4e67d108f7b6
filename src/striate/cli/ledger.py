"""`striate ledger NET`: what a network costs, layer by layer, before it exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from striate.blueprint.said import counted
from striate.blueprint.window import FITS
from striate.cli.output import say
from striate.cost.memory import BYTES, STATE

if TYPE_CHECKING:
    from striate.cost.source import Source

EXAMPLES = """\b
Examples:
  striate ledger vgg16                              where its memory and its parameters are
  striate ledger "googlenet(aux=True)" --input 3x192x192
  striate ledger resnet50 --batch 32 --training --optimizer adamw --precision bf16
  striate ledger resnet152 --depth 1                a stage a row
  striate ledger alexnet --format html --out alexnet.html
  striate ledger runs/digits                        a model of yours, by its run's folder or its file
  striate ledger mymodels.py:Net --input 3x64x64    a module in your own code, which is run to make it
  striate ledger timm:resnet26d                     one of timm's; torchvision:regnet_y_400mf too
  echo '[(CONV-RELU)*2-POOL]*3-FC,SOFTMAX' | striate ledger - --input 3x32x32
  striate ledger vgg.txt --column D                 one of the columns of VGG's table
  striate ledger '[(CONV-RELU)*N-POOL]*M-FC' --set N=2 --set M=3 --input 3x32x32
  striate ledger resnet18 --json | jq .totals.parameters

NET is a name of the zoo (striate models), a call of one, a blueprint or a listing in any notation,
a file of either, a model file, an nn.Module as above, or - for what is piped in. Bytes and MACs are the whole batch's.
"""
FORMATS = ("table", "markdown", "csv", "json", "html")


@click.command("ledger", epilog=EXAMPLES, short_help="Price a network layer by layer.")
@click.argument("net", metavar="NET")
@click.option(
    "--input", "volume", metavar="C×H×W", help="The volume it reads, for instance 3x224x224; a zoo network has its own."
)
@click.option("--column", metavar="NAME", help="Of a table of several networks, this one: D, 50-layer.")
@click.option(
    "--set",
    "numbers",
    metavar="LETTER=N",
    multiple=True,
    callback=lambda *given: _numbers(given[-1]),
    help="A number for a letter of a pattern: --set N=2 --set M=3. CHANNELS, KERNEL, FC and CLASSES may be set too.",
)
@click.option("--batch", type=click.IntRange(1, 10**8), default=1, show_default=True, help="How many examples at once.")
@click.option(
    "--dtype", type=click.Choice(list(BYTES)), default="float32", show_default=True, help="Of weights and values."
)
@click.option(
    "--fit",
    type=click.Choice(list(FITS)),
    help="What a layer does where its window does not tile the input, if it does not say its own.",
)
@click.option("--depth", type=click.IntRange(1), help="One row for all whose names begin with the same N parts.")
@click.option("--full", is_flag=True, help="Every node on a row; else equal blocks stand together.")
@click.option(
    "--training",
    is_flag=True,
    help="Add gradients, the optimiser's state, what is saved for the way back, and its MACs.",
)
@click.option(
    "--optimizer",
    type=click.Choice(list(STATE)),
    default="sgd",
    show_default=True,
    help="With --training; sgd and rmsprop have momentum.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="With --training; bf16 is torch.autocast's: weights stay float32.",
)
@click.option("--checkpointing", is_flag=True, help="With --training: keep less for the way back, and make it again.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "form", flag_value="json", help="The same as --format json (docs/ledger.md has the schema).")
@click.option("--out", type=click.Path(path_type=Path), help="Write it to a file, whole or not at all.")
def command(
    net: str,
    volume: str | None,
    column: str | None,
    numbers: dict[str, int],
    batch: int,
    dtype: str,
    fit: str | None,
    depth: int | None,
    full: bool,
    training: bool,
    optimizer: str,
    precision: str,
    checkpointing: bool,
    form: str,
    out: Path | None,
) -> None:
    """Price a network layer by layer, before it exists.

    Parameters, multiply-adds, memory, what each cell sees of the input, and what goes unread; totals, shares, and
    whether the rules of thumb hold.
    """
    from striate.blueprint.notation.text import Choice
    from striate.cost import ledger
    from striate.cost.blocks import deep
    from striate.cost.render import FORMATS as render
    from striate.cost.source import argument

    named = argument(net, Choice(column, numbers))
    how = {"training": training, "optimizer": optimizer, "precision": precision, "checkpointing": checkpointing}
    priced = ledger(named, volume, batch=batch, dtype=dtype, fit=fit, **how)  # type: ignore[arg-type]
    rows = deep(priced.rows, depth) if depth else priced.rows if full else None  # None: as the format likes it
    if form == "table" and out is None and sys.stdout.isatty():
        from striate.cost.terminal import show

        show(priced, rows)
    else:
        give(render[form](priced, rows), out)
    _skipped(named)


def _numbers(given: tuple[str, ...]) -> dict[str, int]:
    """N=2 as {"N": 2}."""
    for one in given:
        if not re.fullmatch(r"\s*[A-Za-z]+\s*=\s*[0-9]{1,9}\s*", one):
            raise click.BadParameter(f"'{one}' is not a letter and its number; they are written N=2")
    pairs = (one.split("=") for one in given)
    return {name.strip(): int(number) for name, number in pairs}


def give(text: str, out: Path | None) -> None:
    """To the file, or to stdout."""
    if out is None:
        say(text)
        return
    from striate.blueprint.files import write_atomically

    say(f"Written: {write_atomically(out, text + chr(10))}", err=True)


def _skipped(named: Source) -> None:
    if named.skipped:
        lines = f"{counted(len(named.skipped), 'line')} of {named.name}"
        say(f"Passed over {lines} that say nothing of it; striate check --skipped shows them.", err=True)
