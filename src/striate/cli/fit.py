"""`striate fit NET`: the largest batch that can be trained in so much memory."""

from __future__ import annotations

import json

import click

from striate.cli.output import say
from striate.cost.memory import STATE

EXAMPLES = """\b
Examples:
  striate fit resnet50 --memory 24GiB               the largest batch, and what would raise it
  striate fit resnet50                              in what is free on this machine
  striate fit vgg16 --memory 8GB --optimizer adamw --precision bf16
  striate fit densenet121 --memory 80GiB --reserve 2GiB --checkpointing
  striate fit runs/digits/model.safetensors --memory 512MiB --input 1x28x28
  striate fit resnet152 --memory 16GiB --json | jq .batch

NET is what striate ledger takes. Memory is written 24GiB, 16GB, 512MiB, or in bytes: 8e9. What is counted, and how it
was checked: docs/memory.md.
"""


@click.command("fit", epilog=EXAMPLES, short_help="Find the largest batch that fits into memory.")
@click.argument("net", metavar="NET")
@click.option("--memory", "room", metavar="SIZE", help="What there is to train in; else what is free on this machine.")
@click.option("--reserve", metavar="SIZE", help="Of that, left free: CUDA's context, workspaces, other programs.")
@click.option("--input", "volume", metavar="C×H×W", help="The volume it reads; a zoo network has its own.")
@click.option(
    "--optimizer",
    type=click.Choice(list(STATE)),
    default="sgd",
    show_default=True,
    help="sgd and rmsprop have momentum.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="bf16 is torch.autocast's: weights stay float32.",
)
@click.option("--checkpointing", is_flag=True, help="Keep less for the way back, and make it again.")
@click.option("--json", "as_json", is_flag=True, help="For a script (docs/memory.md has the keys).")
def command(
    net: str,
    room: str | None,
    reserve: str | None,
    volume: str | None,
    optimizer: str,
    precision: str,
    checkpointing: bool,
    as_json: bool,
) -> int:
    """Find the largest batch that can be trained in so much memory, and what would allow a larger one.

    Nothing is built and nothing is run. Exit code 1 where not even one example fits.
    """
    from striate.blueprint.refusal import Refusal
    from striate.cost.fitting import fit, free
    from striate.cost.source import argument
    from striate.cost.units import in_bytes, memory

    there = in_bytes(room) if room else free()
    left = there - (in_bytes(reserve) if reserve else 0)
    if left <= 0:
        raise Refusal(f"Cannot leave {reserve} of {memory(there)} free: nothing would be left.")
    how = {"optimizer": optimizer, "precision": precision, "checkpointing": checkpointing}
    found = fit(argument(net), left, volume, **how)  # type: ignore[arg-type]
    say(json.dumps(found.to_json(), ensure_ascii=False) if as_json else str(found))
    return 0 if found.batch else 1
