"""`striate predict MODEL IMAGE…`: what is in an image."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from striate.blueprint.refusal import CannotRead
from striate.blueprint.said import visible
from striate.cli.output import say

EXAMPLES = """\b
Examples:
  striate predict runs/demo runs/demo/digits/7.png             what striate demo left
  striate predict lenet5-mnist seven.png                       one that comes along; resnet20-cifar10 is another
  striate predict runs/photos/model.safetensors *.jpg
  striate predict runs/photos cat.jpg --top 1
  striate predict runs/photos *.jpg --json | jq -r '[.image, .classes[0].label] | @tsv'

MODEL is a model file, a run's folder, or the name of one that comes along; it says itself how images are prepared. An
image that cannot be read is named on stderr, the others are predicted, and the exit code is then 2. With --json, one
line of JSON an image.
"""


@click.command("predict", epilog=EXAMPLES, short_help="Say what is in an image.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes, most probable first."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each image.")
def command(model: Path, images: tuple[str, ...], top: int, as_json: bool) -> None:
    """Say what is in each IMAGE: the most probable classes, with their probabilities."""
    from striate.judging import predictor

    predict, unread = predictor(model, top), 0
    for image in images:
        try:
            [found] = predict([image])
        except CannotRead as refusal:
            say(str(refusal), err=True)
            unread += 1
            continue
        if as_json:
            said = [{"label": label, "probability": round(p, 6)} for label, p in found]
            say(json.dumps({"image": image, "classes": said}, ensure_ascii=False))
        else:
            say(f"{visible(image)}: " + ", ".join(f"{visible(label)} {p:.2%}" for label, p in found))
    if unread:
        sys.exit(2)
