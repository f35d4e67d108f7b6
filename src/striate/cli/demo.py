"""`striate demo`: the whole path in a minute: price a network, train it on real digits, read some from files."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.cli.output import say

if TYPE_CHECKING:
    from striate.data import Images

EXAMPLES = """\b
Examples:
  striate demo                     about ten seconds on two cores
  striate demo --out runs/first    another folder than runs/demo
"""
# Each digit is moved by up to two cells whenever it is seen. On one thread: work this small gains little from a second,
# and on a busy machine loses much by waiting for it.
RECIPE: dict[str, Any] = {"name": "demo", "epochs": 30, "augment": "padded-crop(2)", "threads": 1}
SHOWN = 10

NEXT = (
    ("predict {run} {run}/digits/*.png", "read them again, five guesses each"),
    ("see {run} {run}/digits/7.png", "what it looks at in one of them, and whether to trust that"),
    ("eval {run} --confusion", "which digit is taken for which"),
    ("ledger vgg16", "where a famous network's memory and parameters are"),
    ("compare alexnet vgg16 resnet50", "three of them side by side"),
    ("train resnet18 --size 32 --epochs 3", "a deep one on the same digits"),
    ("train resnet18 --data photos/ --size 128 --flip", "your photos: a folder of them for each class"),
)


@click.command("demo", epilog=EXAMPLES, short_help="Train LeNet-5 on real digits and read ten of them: a minute.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="The run's folder; what is there stays.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(out: Path, seed: int) -> None:
    """Train LeNet-5 on 1,437 real handwritten digits and judge it by 360 others.

    A minute at most, and nothing is fetched.
    """
    begun = time.perf_counter()
    _ledger()

    import torch

    from striate.cli.train import watched
    from striate.judging import evaluate
    from striate.nn import build, load
    from striate.training import Control, fit, revised, train

    recipe = revised(seed=seed, **RECIPE)
    fitted = fit("lenet5", "digits", seed=seed)
    torch.manual_seed(seed)
    say(f"\nscikit-learn's handwritten digits: {fitted.data.told}")
    control = Control()
    run, _ = watched(train(build(fitted.graph), fitted.data, recipe, out=out, control=control), control)
    assert run is not None
    if run is None:  # another process speaks
        return
    metrics = evaluate(load(run / "model.safetensors"), fitted.data)
    right = round(metrics.top1 * metrics.examples)
    say(f"\nOn the {metrics.examples} test digits, not looked at until now: {metrics.top1:.2%} right ({right}).")
    _read_some(run)
    say(f"\n{run}/ has model.safetensors, recipe.json, log.jsonl, curves.png and digits/.")
    say(f"All of it took {time.perf_counter() - begun:.1f} s.\n")
    say("What to try next:")
    tries = [(what.format(run=run), why) for what, why in NEXT]
    wide = max(len(what) for what, _ in tries)
    for what, why in tries:
        say(f"  striate {what:{wide}}   {why}")


def _ledger() -> None:
    from striate.cost import ledger

    priced = ledger("lenet5")
    if sys.stdout.isatty():
        from striate.cost.terminal import show

        show(priced)
    else:
        from striate.cost.render import FORMATS

        say(FORMATS["table"](priced, None))


def _read_some(run: Path) -> None:
    """Ten test digits as image files, read back from there by the saved model."""
    from striate.data import Images, open_data
    from striate.judging import predictor

    test = open_data("digits").test
    assert isinstance(test, Images)
    paths = _written(test, [int((test.labels == digit).nonzero()[0]) for digit in range(SHOWN)], run / "digits")
    predict = predictor(run / "model.safetensors", top=2)
    say(f"\nTen of them as image files, read by {run}/model.safetensors:")
    for digit, (path, [first, second]) in enumerate(zip(paths, predict(paths), strict=True)):
        mark = "" if first.label == str(digit) else f"   it is a {digit}"
        say(f"  {path}  {first.label}  {first.probability:6.1%}   (or {second.label}, {second.probability:.1%}){mark}")


def _written(images: Images, chosen: list[int], folder: Path) -> list[Path]:
    from io import BytesIO

    from PIL import Image

    from striate.blueprint.files import write_atomically

    folder.mkdir()
    paths = []
    for i in chosen:
        picture = BytesIO()
        Image.fromarray(images.pixels[i, 0].numpy()).save(picture, format="png")
        paths.append(write_atomically(folder / f"{images.classes[int(images.labels[i])]}.png", picture.getvalue()))
    return paths
