"""`striate train NET --data …`: a network learns from images; a run's folder is what comes of it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint import CannotTrain
from striate.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from striate.training import Control, Done, Event

EXAMPLES = """\b
Examples:
  striate train lenet5                                    on the digits that come along
  striate train lenet5 --data mnist/ --epochs 5           on a folder of IDX files
  striate train resnet18 --data photos/ --size 128 --flip --out runs/photos
  striate train mynet.txt --data photos/ --lr 1e-3        a network of yours, in any notation
  striate train lenet5 --set optimizer=sgd --set lr=0.05 --set shift=2
  striate train lenet5 --recipe runs/demo/recipe.json     once more, as that run was
  striate train runs/demo --epochs 5 --lr 3e-4            on from the weights of a model (striate demo makes this one)
  striate eval runs/photos --data photos/                 how good it is
  striate predict runs/demo runs/demo/digits/7.png        what it says of an image

Data is digits, a folder of IDX files (MNIST, Fashion-MNIST; gzipped or not), or a folder with a folder of images
for each class, in train and val (or test), or split here by the seed. A share of the training images is held out to
choose the epoch by; the test images are opened once, at the end. Ctrl-C ends it after the step under way, and saves
(exit code 130); so do SIGTERM (143) and a terminal that is closed, SIGHUP (129). A second one ends it at once.
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("train", epilog=EXAMPLES, short_help="Train a network on your images, or on digits.")
@click.argument("net", metavar="NET")
@click.option("--data", default="digits", show_default=True, metavar="digits|PATH", help="What to learn from.")
@click.option("--epochs", type=click.IntRange(1), help="How often each image is seen; default: enough for the data.")
@click.option("--batch-size", type=click.IntRange(1), help="How many images a step learns from; default: 64.")
@click.option("--lr", type=float, help="The highest learning rate; default: 0.003.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same weights; default: 0.")
@click.option("--size", type=click.IntRange(1), help="The side of the images the network reads; default: its own.")
@click.option(
    "--flip", is_flag=True, default=None, help="Show half of the images left to right: for photos, not for letters."
)
@click.option("--recipe", "path", type=click.Path(path_type=Path), help="Start from a run's recipe.json.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any other field of the recipe; once for each."
)
@click.option("--fresh", is_flag=True, help="Of a model file take the network only, not its weights.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run's folder; default: runs/NET. What is there stays: NAME-2 is made.",
)
def command(
    net: str,
    data: str,
    size: int | None,
    path: Path | None,
    settings: tuple[str, ...],
    fresh: bool,
    out: Path | None,
    **said: Any,
) -> None:
    """Train NET: a name of the zoo (striate models), a call of one, a model file, or a file in any notation.

    Its channels and classes follow the data. A model file, or its run's folder, is trained on from its weights; where
    the classes are others, its head is new. The run's folder has model.safetensors, recipe.json, log.jsonl,
    curves.png.
    """
    from striate.training import read_recipe, revised

    fields = {name: value for name, value in said.items() if value is not None} | dict(map(_setting, settings))
    recipe = revised(read_recipe(path) if path else None, **fields)

    from striate.training import Control, evaluate, fit, started, train

    fitted = fit(net, data, size, recipe.seed)
    model, report = started(fitted, recipe.seed, fresh)
    say(f"{fitted.name} on {data}: {fitted.data.told}")
    for skipped in fitted.data.skipped:
        say(f"Left out: {skipped.reason}", err=True)
    if fitted.weights:
        say(f"Weights: {report}" if report else f"Weights: drawn anew, none of {fitted.weights}")
    control = Control()
    folder = out or Path("runs") / Path(net).stem.partition("(")[0]
    where, done = watched(train(model, fitted.data, recipe, out=folder, control=control), control)
    from striate.nn import load

    metrics = evaluate(load(where / "model.safetensors"), fitted.data)
    right = f"{metrics.top1:.2%} right, loss {metrics.loss:.4f}"
    say(f"On the {metrics.examples:,} test images: {right}. {done.seconds:.1f} s.")
    say(f"{where}/ has model.safetensors (epoch {done.kept}), recipe.json, log.jsonl, curves.png")


def _setting(text: str) -> tuple[str, Any]:
    """FIELD=VALUE, the value as JSON where it reads so. Raises CannotTrain."""
    import json

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CannotTrain(f'Cannot set "{text}": it is written FIELD=VALUE, for instance --set weight_decay=0.01.')
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def watched(events: Iterator[Event], control: Control) -> tuple[Path, Done]:
    """Show a training to its end; gives its folder and last event.

    The first of SIGNALS stops it after the step under way: what it holds is saved and said, and the exit code is 128
    and the signal's number. A second one ends it at once.
    """
    from striate.training import Done, Started
    from striate.training.progress import shown

    folder, done, caught = None, None, 0
    before = {sign: signal.getsignal(sign) for sign in SIGNALS}
    heeded = {sign: was for sign, was in before.items() if was != signal.SIG_IGN}  # nohup's stays ignored
    terminals = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream.isatty()]

    def stop(sign: int, _: object) -> None:
        nonlocal caught
        caught = sign
        control.stop()
        for one, was in heeded.items():
            signal.signal(one, was)
        if sign == signal.SIGHUP:  # nobody is there to read, and to write there would end it
            for terminal in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), terminal)

    for sign in heeded:
        signal.signal(sign, stop)
    try:
        with closing(shown(events, sys.stdout)) as passing:
            for event in passing:
                if isinstance(event, Started):
                    folder = event.out
                elif isinstance(event, Done):
                    done = event
    finally:
        for one, was in heeded.items():
            signal.signal(one, was)
    assert folder is not None
    assert done is not None
    if not done.finished:
        say(stopped(done, folder), err=True)
        sys.exit(128 + caught)
    return folder, done


def stopped(done: Done, folder: Path) -> str:
    """What a run holds that was ended by hand."""
    if not done.kept:
        return "Stopped before there was a model to keep: no folder was left."
    right = f", {done.top1:.2%} of the images held out" if done.top1 is not None else ""
    saved = f"model.safetensors (as after epoch {done.kept}{right}), recipe.json, log.jsonl, curves.png"
    return f"Stopped after step {done.step:,}, in epoch {done.epoch}. Saved in {folder}/: {saved}"
