"""`striate recipe`: how the famous networks were trained, and how yours will be."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint import CannotTrain
from striate.cli.output import say

if TYPE_CHECKING:
    from striate.training import Recipe

EXAMPLES = """\b
Examples:
  striate recipe                                        which there are, each with its paper
  striate recipe resnet-2015                            every field; * where it is not the default
  striate recipe fast-cifar --set epochs=30 --set ema=0.999
  striate recipe densenet --set 'augment=flip' --json > mine.json
  striate train resnet20 --data cifar10/ --recipe mine.json
  striate recipe runs/demo                              how a run was trained

A list is written with commas (--set milestones=0.5,0.75), nothing as none (--set clip=none, --set
augment=none). What a field may be stands in brackets behind it.
"""
SET = click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="A field of the recipe; once for each."
)
WIDE = 30  # of a value that still has its meaning beside it


@click.command("recipe", epilog=EXAMPLES, short_help="Show how the famous networks were trained.")
@click.argument("name", metavar="[NAME]", required=False)
@SET
@click.option("--json", "as_json", is_flag=True, help="As JSON: what striate train --recipe reads.")
def command(name: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Print the recipe NAME, a recipe.json or the one of a run's folder; without NAME, list them all.

    What a paper leaves open, and what is not done as it was, stands above the fields.
    """
    import json

    from striate.training import read_recipe, revised
    from striate.training.recipes import NOTES, RECIPES

    if name is None and settings:
        name = "default"
    if name is None:
        if as_json:
            say(json.dumps({known: recipe.model_dump(mode="json") for known, recipe in RECIPES.items()}, indent=2))
            return
        for known, recipe in RECIPES.items():
            say(f"{known:19} {summary(recipe)}\n{'':19} {recipe.paper or NOTES[known]}")
        return
    recipe = revised(read_recipe(name), **fields(settings))
    say(recipe.model_dump_json(indent=2) if as_json else told(recipe, NOTES.get(recipe.name, "")))


def fields(settings: tuple[str, ...]) -> dict[str, Any]:
    """FIELD=VALUE each, the value as JSON where it reads so. Raises CannotTrain."""
    import json

    said: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CannotTrain(f'Cannot set "{text}": it is written FIELD=VALUE, for instance --set weight_decay=0.01.')
        try:
            said[name.strip()] = json.loads(value)
        except ValueError:
            said[name.strip()] = value.strip()
    return said


def summary(recipe: Recipe) -> str:
    """A recipe in a line."""
    batch = f"{recipe.batch_size}" + (f"×{recipe.accumulate}" if recipe.accumulate > 1 else "")
    epochs = f"{recipe.epochs} epochs" if recipe.epochs else "as many epochs as the data wants"
    return f"{recipe.optimizer} at {recipe.lr:g}, {recipe.schedule}, batches of {batch}, {epochs}"


def told(recipe: Recipe, note: str) -> str:
    """Paper, note, and every field: what it is, what it may be, and a mark where it is not the default's."""
    from striate.training.recipe import allowed

    default = type(recipe)()
    lines = [line for text in (recipe.paper or "ours", note) for line in wrap(text, 100)] + [""]
    for name, field in type(recipe).model_fields.items():
        if name != "paper":
            value = getattr(recipe, name)
            mark = " " if value == getattr(default, name) else "*"
            may = f" [{found}]" if (found := allowed(name)) else ""
            lines.append(f"{mark} {name:15} {written(value):{WIDE}}  {field.description}{may}")
    return "\n".join([*lines, "", "* not the default's"])


def written(value: Any) -> str:
    """As --set takes it."""
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case tuple():
            return ",".join(map(written, value))
        case _:
            return str(value)
