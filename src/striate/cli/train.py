"""`striate train NET --data …`: a network learns from images; a run's folder is what comes of it."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint import CannotTrain, Refusal
from striate.blueprint.said import counted
from striate.cli.output import reading, say
from striate.cli.recipe import SET, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from striate.data import Splits
    from striate.nn import Network
    from striate.training import Control, Done, Event, Recipe

EXAMPLES = """\b
Examples:
  striate train lenet5                                    on the digits that come along
  striate train lenet5 --data mnist/ --epochs 5           on a folder of IDX files
  striate train resnet18 --data photos/ --size 128 --flip --out runs/photos
  striate train mynet.txt --data photos/ --lr 1e-3        a network of yours, in any notation
  striate train resnet20 --data cifar10/ --recipe resnet-cifar-2015    as its paper did
  striate train lenet5 --set optimizer=sgd --set lr=0.05 --set 'augment=padded-crop(2)'
  striate train resnet18 --data photos/ --batch-size auto    as many at once as fit; --lr is as it was
  striate train lenet5 --recipe runs/demo                 once more, as that run was
  striate train lenet5 --log csv --log tensorboard        then: tensorboard --logdir runs
  striate train vgg16 --data photos/ --recipe vgg-2014 --start-from runs/vgg11
  striate train runs/demo --epochs 5 --lr 3e-4            on from the weights of a model (striate demo makes this one)
  striate eval runs/photos --data photos/                 how good it is
  striate predict runs/demo runs/demo/digits/7.png        what it says of an image

Data is digits; a folder of IDX files (MNIST, Fashion-MNIST; gzipped or not) or of CIFAR's batches; a folder with a
folder of images for each class; a list.csv of path,label; or shards, 'shards/{0000..0127}.tar'. What does not come in
train and val (or test) is split here by the seed; striate data PATH says what is there. A share of the training images
is held out to choose the epoch by; the test images are opened once, at the end. Ctrl-C ends it after the step under
way, and saves (exit code 130); so do SIGTERM (143), a terminal that is closed, SIGHUP (129), and a pipe that nobody
reads any more (striate train … | head; 141). A second one ends it at once.
However it ends, striate resume goes on with it. Many processes: torchrun --nproc-per-node N -m striate train …
"""
AUTO = "auto"
FLIP = re.compile(r"\bflip\b")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Size(click.ParamType):
    """A number of images, or "auto"."""

    name = "images|auto"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises click's refusal."""
        if value != AUTO and not (value.isdecimal() and int(value)):
            self.fail(f"{value!r} is neither a number of images nor {AUTO}.", param, ctx)
        return value if value == AUTO else int(value)


@click.command("train", epilog=EXAMPLES, short_help="Train a network on your images, or on digits.")
@click.argument("net", metavar="NET")
@click.option("--data", default="digits", show_default=True, metavar="digits|PATH", help="What to learn from.")
@click.option("--epochs", type=click.IntRange(1), help="How often each image is seen; default: enough for the data.")
@click.option(
    "--batch-size",
    type=Size(),
    help="How many images a step learns from; default: the recipe's, 64. auto: the most that memory allows, by trying.",
)
@click.option("--lr", type=float, help="The highest learning rate; default: the recipe's, 0.003.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same weights; default: 0.")
@click.option("--size", type=click.IntRange(1), help="The side of the images the network reads; default: its own.")
@click.option(
    "--flip", is_flag=True, default=None, help="Show half of the images left to right: for photos, not for letters."
)
@click.option(
    "--recipe", "source", metavar="NAME|FILE", help="How to train: a name (striate recipe), or a recipe.json."
)
@SET
@click.option(
    "--start-from", "model", metavar="MODEL", help="Begin with the tensors of another model file that fit this network."
)
@click.option("--take", metavar="PARTS", help="With --start-from: only those of these parts, with commas between them.")
@click.option(
    "--checkpoint-every",
    "every",
    type=float,
    metavar="SECONDS",
    help="How often all of it is written down, for striate resume; default: 30.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="csv|tensorboard",
    help="A further log beside log.jsonl: epochs.csv, or a folder for TensorBoard; once for each.",
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
    source: str | None,
    model: str | None,
    take: str | None,
    flip: bool | None,
    settings: tuple[str, ...],
    fresh: bool,
    every: float | None,
    logs: tuple[str, ...],
    out: Path | None,
    **said: Any,
) -> None:
    """Train NET: a name of the zoo (striate models), a call of one, a model file, or a file in any notation.

    Its channels and classes follow the data. A model file, or its run's folder, is trained on from its weights; where
    the classes are others, its head is new. The run's folder has model.safetensors, recipe.json, log.jsonl,
    curves.png.
    """
    from striate.training import read_recipe, revised
    from striate.training.checkpoint import often
    from striate.training.logs import checked

    checked(logs)
    pace: dict[str, Any] = {} if every is None else {"checkpoint_every": often(every)}
    asked = {name: value for name, value in said.items() if value not in (None, AUTO)} | fields(settings)
    recipe = revised(read_recipe(source) if source else None, **asked)
    if flip and not FLIP.search(recipe.augment):
        recipe = revised(recipe, augment=f"{recipe.augment}, flip" if recipe.augment else "flip")
    if take and not model:
        raise CannotTrain("Cannot take parts of no model.", ways="Name it: --start-from MODEL.")

    from striate.training import Control, fit, started, train
    from striate.training.prepare import prepared
    from striate.training.start import start_from

    fitted = fit(net, data, size, recipe.seed, reading(data))
    network, report = started(fitted, recipe.seed, fresh)
    say(f"{fitted.name} on {data}: {fitted.data.told}")
    for skipped in fitted.data.skipped:
        say(f"Left out: {skipped.reason}", err=True)
    if fitted.weights:
        say(f"Weights: {report}" if report else f"Weights: drawn anew, none of {fitted.weights}")
    if model:
        prepared(network, recipe)
        parts = [part.strip() for part in (take or "").split(",") if part.strip()]
        report = start_from(network, model, parts, fitted.data.classes)._replace(network=fitted.name)
        say(f"Weights: {report}")
    if said["batch_size"] == AUTO:
        recipe = revised(recipe, batch_size=_sought(network, fitted.data, recipe))
    control = Control()
    folder = out or Path("runs") / Path(net).stem.partition("(")[0]
    events = train(network, fitted.data, recipe, out=folder, control=control, logs=logs, **pace)
    concluded(*watched(events, control), fitted.data)


def _sought(network: Network, data: Splits, recipe: Recipe) -> int:
    """The batch size that memory allows, said as it is found."""
    from striate.training import find_batch
    from striate.training.ranks import here

    if here().count > 1:
        raise CannotTrain(
            "Cannot seek a batch size in several processes at once.", ways="In one: --batch-size auto; then its number."
        )

    def tick(size: int, ran: bool) -> None:
        say(f"Tried {size:,} images at once: {'they fit' if ran else 'memory ran out'}")
        sys.stdout.flush()

    found = find_batch(network, data, recipe, tick=tick)
    say(f"{found} That is {counted(-(-len(data.train) // found.size), 'step')} an epoch.")
    return found.size


def concluded(folder: Path | None, done: Done, data: Splits) -> None:
    """What became of a run: the test images, opened now and only now, and what its folder has."""
    if folder is None:  # another process speaks
        return
    from striate.judging import evaluate
    from striate.nn import load

    metrics = evaluate(load(folder / "model.safetensors"), data)
    right = f"{metrics.top1:.2%} right, loss {metrics.loss:.4f}"
    say(f"On the {metrics.examples:,} test images: {right}. {done.seconds:.1f} s.")
    say(f"{folder}/ has model.safetensors (epoch {done.kept}), recipe.json, log.jsonl, curves.png")


def watched(events: Iterator[Event], control: Control) -> tuple[Path | None, Done]:
    """Show a training to its end; gives its folder and last event. Of several processes that learn together, the first
    shows it and has the folder.

    The first of SIGNALS stops it after the step under way, and so does a pipe that nobody reads, as SIGPIPE: what it
    holds is saved and said, and the exit code is 128 and the signal's number. A second one ends it at once.
    """
    from striate.training import Done, Started
    from striate.training.progress import shown
    from striate.training.ranks import here

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
        nobody = terminals if sign == signal.SIGHUP else [sys.stdout.fileno()] if sign == signal.SIGPIPE else []
        for handle in nobody:  # is there to read, and to write there would end it
            os.dup2(os.open(os.devnull, os.O_WRONLY), handle)

    def unread() -> None:
        stop(signal.SIGPIPE, None)

    for sign in heeded:
        signal.signal(sign, stop)
    try:
        with closing(shown(events, sys.stdout, unread) if here().first else events) as passing:  # type: ignore[type-var]
            for event in passing:
                if isinstance(event, Started):
                    folder = event.out
                elif isinstance(event, Done):
                    done = event
    except Refusal as refusal:
        if here().first:
            raise
        say(refusal, err=True)  # now, for of what ends a training the others may know nothing
        sys.exit(2)
    finally:
        for one, was in heeded.items():
            signal.signal(one, was)
    assert done is not None
    if not done.finished:
        if folder:
            say(stopped(done, folder), err=True)
        sys.exit(128 + (caught or signal.SIGTERM))  # of several processes, another may have been told
    return folder, done


def stopped(done: Done, folder: Path) -> str:
    """What a run holds that was ended by hand."""
    if not done.kept:
        return "Stopped before there was a model to keep: no folder was left."
    on = f"To go on: striate resume {folder}"
    right = f", {done.top1:.2%} of the images held out" if done.top1 is not None else ""
    saved = f"model.safetensors (as after epoch {done.kept}{right}), recipe.json, log.jsonl, curves.png"
    return f"Stopped after step {done.step:,}, in epoch {done.epoch}. Saved in {folder}/: {saved}. {on}"
