"""`striate eval MODEL --data …`: how good a trained model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from striate.blueprint.said import counted, visible
from striate.cli.output import say

if TYPE_CHECKING:
    from striate.training import Metrics

EXAMPLES = """\b
Examples:
  striate eval runs/demo                                on the digits' test images (striate demo makes this run)
  striate eval runs/photos --data photos/ --confusion   which classes it mistakes for which
  striate eval runs/photos/model.safetensors --data photos/ --split train
  striate eval runs/demo --json | jq .per_class

MODEL is a model file or a run's folder. Images are prepared as the model's file says.
"""


@click.command("eval", epilog=EXAMPLES, short_help="Say how good a trained model is.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option("--data", default="digits", show_default=True, metavar="digits|PATH", help="What to be judged by.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), help="By which a folder without splits is split; default: the training's."
)
@click.option("--confusion", is_flag=True, help="Print how many images of each class were taken for which.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for a script.")
def command(model: Path, data: str, split: str, seed: int | None, confusion: bool, as_json: bool) -> None:
    """Say how good MODEL is on data: top-1, top-5, loss, and each class."""
    from striate.blueprint.modelfile import model_file
    from striate.nn import load
    from striate.training import evaluate
    from striate.training.judged import images_for

    network = load(model_file(model))
    splits = images_for(network, data, seed)
    for skipped in splits.skipped:
        say(f"Left out: {skipped.reason}", err=True)
    metrics = evaluate(network, splits.test if split == "test" else splits.train)
    if as_json:
        say(json.dumps({"model": str(model), "data": data, "split": split, **metrics.to_json()}, ensure_ascii=False))
        return
    say(f"{model} on {counted(metrics.examples, split + ' image')} of {data}: {splits.told}")
    say("\n".join(report(metrics)))
    if confusion:
        say("\n" + "\n".join(table(metrics)))


def report(metrics: Metrics) -> list[str]:
    named = {name: visible(name) for name in metrics.classes}
    wide = max(map(len, named.values()))
    of = metrics.confusion.sum(1).tolist()
    lines = [f"top-1 {metrics.top1:.2%}   top-5 {metrics.top5:.2%}   loss {metrics.loss:.4f}", ""]
    for name, share in metrics.per_class.items():
        count = of[metrics.classes.index(name)]
        lines.append(f"{named[name]:{wide}}  {share:7.2%} of {count:,}")
    return lines


def table(metrics: Metrics) -> list[str]:
    """Rows are what the images are, columns what they were taken for; 0 is a dot."""
    rows, classes = metrics.confusion.tolist(), [visible(name) for name in metrics.classes]
    wide = max(4, *(len(f"{n:,}") + 1 for row in rows for n in row), *(len(name) + 1 for name in classes))
    head = " " * wide + "".join(f"{name:>{wide}}" for name in classes) + "   taken for"
    return [
        head,
        *(
            f"{name:<{wide}}" + "".join(f"{f'{n:,}' if n else '·':>{wide}}" for n in row)
            for name, row in zip(classes, rows, strict=True)
        ),
    ]
