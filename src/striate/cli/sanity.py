"""`striate sanity NET --data …`: whether a training would come to anything, before anybody waits for it."""

from __future__ import annotations

import json
import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from striate.blueprint.said import counted
from striate.cli.output import reading, say
from striate.cli.recipe import SET, fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.training.events import LayerFlow
    from striate.training.flow import Alarm
    from striate.training.sanity import Overfit, Rates, Start

EXAMPLES = """\b
Examples:
  striate sanity lenet5                                   on the digits that come along, in seconds
  striate sanity resnet20 --data cifar10/ --recipe resnet-cifar-2015
  striate sanity mynet.txt --data photos/ --size 128 --set lr=0.01 --plot sanity.png
  striate sanity lenet5 --data mnist/ --json

Four checks, each on a copy, with the recipe's optimiser and batches: the loss before the first step is that of
guessing, ln(classes); one batch can be learnt by heart; a sweep of the learning rate, where the loss falls fastest and
where it begins to rise; and, layer by layer, the gradient, how much of its weight a step changes (about 1e-3 is
usual), and ReLUs that are 0 on all images. What is wrong is named, with its layer and a way out.
Exit code: 0 nothing is wrong, 1 an alarm, 2 refused.
"""
COLUMNS = ("mean", "deviation", "weight", "gradient", "update/weight", "dead")
SHOWN = 3  # alarms of a kind


@click.command("sanity", epilog=EXAMPLES, short_help="See whether a training would come to anything.")
@click.argument("net", metavar="NET")
@click.option("--data", default="digits", show_default=True, metavar="digits|PATH", help="What to learn from.")
@click.option("--size", type=click.IntRange(1), help="The side of the images the network reads; default: its own.")
@click.option("--recipe", "source", metavar="NAME|FILE", help="How it is going to be trained; default: as train does.")
@SET
@click.option(
    "--steps", type=click.IntRange(10, 10_000), default=100, show_default=True, help="Of one batch, and of the sweep."
)
@click.option("--fresh", is_flag=True, help="Of a model file take the network only, not its weights.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw it there.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def command(
    net: str,
    data: str,
    size: int | None,
    source: str | None,
    settings: tuple[str, ...],
    steps: int,
    fresh: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Look at NET before it is trained: its first loss, one batch, the learning rate, the flow through its layers."""
    from striate.blueprint import CannotWrite
    from striate.blueprint.files import folder, write_atomically
    from striate.training import fit, read_recipe, revised, started
    from striate.training.sanity import Sanity, at_start, find_rate, first_flow, overfit, steady

    if picture and picture.suffix.lower() != ".png":
        raise CannotWrite(f"Cannot draw into {picture}: it is drawn as .png.", ways=f"--plot {picture.stem}.png")
    recipe = revised(read_recipe(source) if source else None, **fields(settings))
    fitted = fit(net, data, size, recipe.seed, reading(data))
    network, _ = started(fitted, recipe.seed, fresh)
    title = f"{fitted.name} on {data}, recipe {recipe.name}"

    def tell(text: str) -> None:
        if not as_json:
            say(text)
            sys.stdout.flush()

    images = fitted.data
    if picture:
        folder(picture.parent)  # refused now and not after all has been looked at
    tell(title)
    looked, times = steady(recipe)
    if looked != recipe:
        rate = f", at {times:g} times the learning rate" if times != 1 else ""
        tell(f"batches of {looked.batch_size} in place of {recipe.batch_size}{rate}: of so few images all is chance")
    tell(_start(start := at_start(network, images, recipe)))
    tell(_batch(batch := overfit(network, images, recipe, steps)))
    tell(_rates(rates := find_rate(network, images, recipe, steps), recipe.lr))
    flow = first_flow(network, images, recipe)
    tell("\n".join(["", f"flow over {flow.steps} steps, the rate rising to {looked.lr:g}", *table(flow.layers), ""]))
    found = Sanity(start, batch, rates, flow)
    tell("\n".join(_wrong(found.alarms)) if found.alarms else "sane")
    if as_json:
        say(json.dumps(found.to_json(), ensure_ascii=False))
    if picture:
        from striate.training.sanity_drawn import draw

        write_atomically(picture, draw(found, title))
        tell(f"{picture}: drawn")
    sys.exit(1 if found.alarms else 0)


def _start(start: Start) -> str:
    return f"first loss     {start.loss:.3f}, chance is {start.chance:.3f}"


def _batch(overfit: Overfit) -> str:
    steps, last = len(overfit.losses) - 1, overfit.losses[-1]
    how = f"learnt by heart in {steps} steps" if overfit.learnt else f"not learnt in {steps} steps"
    return f"one batch      {overfit.images} images, {how}: loss {last:.3f}"


def _rates(rates: Rates, lr: float) -> str:
    if rates.steepest is None or rates.largest is None:
        return f"learning rate  no rate makes the loss fall; the recipe's is {lr:.2g}"
    gone = f", gone at {rates.gone:.2g}" if rates.gone else ""
    return (
        f"learning rate  falls fastest at {rates.steepest:.2g}, least at {rates.largest:.2g}{gone}; "
        f"the recipe's is {lr:.2g}"
    )


def _wrong(alarms: Sequence[Alarm]) -> list[str]:
    from striate.training.flow import folded

    return [f"{counted(len(alarms), 'alarm')}:", *(f"  {text}" for text in folded(alarms, SHOWN))]


def table(layers: Sequence[LayerFlow]) -> list[str]:
    """A line a layer; nothing where there is no such number."""
    lines: list[tuple[str, ...]] = [("layer", *COLUMNS)]
    for row in layers:
        numbers = (row.mean, row.deviation, row.weight, row.gradient, row.update)
        lines.append((row.name, *map(_number, numbers), "" if row.dead is None else f"{row.dead:.0%}"))
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isfinite(value) else "not finite"
