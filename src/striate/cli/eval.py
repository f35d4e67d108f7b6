"""`striate eval MODEL… --data …`: how good trained models are, one by one and together."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint import CannotTrain
from striate.blueprint.said import counted, visible
from striate.cli.output import say

if TYPE_CHECKING:
    from striate.data import Images, Streamed
    from striate.judging import Metrics
    from striate.judging.asked import Answers
    from striate.judging.ensemble import Member
    from striate.judging.views import Views

EXAMPLES = """\b
Examples:
  striate eval runs/demo                                 on the digits' test images (striate demo makes this run)
  striate eval runs/photos --data photos/ --confusion    which classes it mistakes for which
  striate eval runs/photos --data photos/ --pictures judged/   the same to look at, and its worst mistakes
  striate eval runs/photos/model.safetensors --data photos/ --split val    to choose by, before test is opened
  striate eval runs/demo --json | jq .per_class
  striate eval runs/alexnet --data photos/ --views ten-crop    as Krizhevsky et al. 2012
  striate eval runs/vgg16 --data photos/ --dense --scales 256,384,512   as Simonyan & Zisserman 2014
  striate eval runs/airbench --data cifar10/ --views shifted   as Jordan 2024
  striate eval runs/a runs/b runs/c --data photos/       each alone, and their mean

\b
Views, whose probabilities are averaged:
  centre       one crop
  ten-crop     the corners and the centre; and mirrored
  multi-crop   144 crops: of three squares at four scales the corners, the centre and the whole; and mirrored
  grid         150 crops: 5×5 at three scales; and mirrored
  dense        the whole image, the network sliding over it; and mirrored
  shifted      small images as they are, and the least sure moved by a cell; and mirrored

MODEL is a model file or a run's folder. Images are prepared as the model's file says. The probabilities of several
models are averaged, too. To choose among models is what --split val is for: the images that the data brings for that
(val beside test), or that were held out of the training; the test images then judge the one that was chosen.
"""
VIEWS = ("centre", "ten-crop", "multi-crop", "grid", "dense", "shifted")
SPLITS = {"test": "test", "val": "validation", "train": "train"}
FEW = 5  # classes at most, among five of which every answer is right


class Sides(click.ParamType):
    """Short sides of images: 256,384,512."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if not all(part.strip().isdecimal() for part in parts):
            self.fail(f"{value!r} is not short sides as in 256,384,512", param, ctx)
        return tuple(int(part) for part in parts)


@click.command("eval", epilog=EXAMPLES, short_help="Say how good a trained model is.")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@click.option("--data", default="digits", show_default=True, metavar="digits|PATH", help="What to be judged by.")
@click.option("--split", type=click.Choice([*SPLITS]), default="test", show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), help="By which a folder without splits is split; default: the training's."
)
@click.option(
    "--views", "kind", type=click.Choice(VIEWS), default="centre", show_default=True, help="What it is shown."
)
@click.option("--scales", type=Sides(), default=(), help="Short sides that images are scaled to; default: the view's.")
@click.option("--dense", is_flag=True, help="Slide the network over whole images; with other views, both.")
@click.option(
    "--mirror/--no-mirror",
    default=None,
    help="Whether views are shown mirrored, too; default: as the model learnt, with flips or without.",
)
@click.option("--confusion", is_flag=True, help="Print how many images of each class were taken for which.")
@click.option("--calibration", is_flag=True, help="Print how often it is right, by how sure it is.")
@click.option(
    "--pictures", type=click.Path(path_type=Path), metavar="FOLDER", help="Draw both there, and its worst mistakes."
)
@click.option("--json", "as_json", is_flag=True, help="Everything, for a script.")
def command(
    models: tuple[Path, ...],
    data: str,
    split: str,
    seed: int | None,
    kind: str,
    scales: tuple[int, ...],
    dense: bool,
    mirror: bool | None,
    confusion: bool,
    calibration: bool,
    pictures: Path | None,
    as_json: bool,
) -> None:
    """Say how good MODEL is on data: top-1, top-5, loss, calibration, and each class."""
    from striate.blueprint.files import folder
    from striate.judging.ensemble import together
    from striate.judging.judged import mirrored
    from striate.judging.metrics import measured
    from striate.judging.trained import preprocessing_of
    from striate.judging.views import SHIFTED, Views

    views = Views("dense" if dense and kind == "centre" else kind, scales, dense)
    networks, members = _opened(models, data, split, seed, whole=kind != SHIFTED)
    if pictures:
        folder(pictures)  # refused now and not after all has been judged
    each_views = [replace(views, mirror=mirrored(n) if mirror is None else mirror) for n in networks]
    told = "; ".join(dict.fromkeys(v.told(preprocessing_of(n)) for n, v in zip(networks, each_views, strict=True)))
    answers = [_asked(*one) for one in zip(networks, members, each_views, strict=True)]
    each = [measured(a.shares, a.labels, m.classes) for a, m in zip(answers, members, strict=True)]
    mean = together(answers, [member.classes for member in members])
    metrics = measured(mean.shares, mean.labels, members[0].classes) if len(models) > 1 else each[0]
    for skipped in mean.skipped:
        say(f"Left out: {skipped.reason}", err=True)
    title = f"{members[0].name if len(models) == 1 else counted(len(models), 'model')} on {data}"
    drawn = _draw(pictures, members[0].images, mean, metrics, title) if pictures else []
    rule = preprocessing_of(networks[0])
    if as_json:
        said = {"data": data, "split": split, "views": told, **metrics.to_json()}
        models_ = [{"model": str(m), **one.to_json()} for m, one in zip(models, each, strict=True)]
        one = {"model": str(models[0])} if len(models) == 1 else {"models": models_}
        say(json.dumps({**one, **said}, ensure_ascii=False))
        return
    how = told if views.kind != "centre" or scales else rule.told(_grid(members[0].images))
    named = members[0].name if len(models) == 1 else f"{len(models)} models"
    say(f"{named} on {counted(metrics.examples, split + ' image')} of {data}: {how}")
    if len(models) > 1:
        say("\n".join(side_by_side([*(member.name for member in members), "together"], [*each, metrics])))
    say("\n".join(report(metrics)[1 if len(models) > 1 else 0 :]))
    if calibration:
        say("\n" + "\n".join(reliability(metrics)))
    if confusion:
        say("\n" + "\n".join(table(metrics)))
    for path in drawn:
        say(f"{path}")


def _opened(
    models: Sequence[Path], data: str, split: str, seed: int | None, whole: bool
) -> tuple[list[Any], list[Member]]:
    """The networks, and what each is judged by."""
    from striate.blueprint.modelfile import model_file
    from striate.judging.ensemble import Member, agreed
    from striate.judging.judged import images_for
    from striate.nn import load

    networks = [load(model_file(model)) for model in models]
    members = []
    for model, network in zip(models, networks, strict=True):
        images = getattr(images_for(network, data, seed, whole), SPLITS[split])
        if images is None:
            raise CannotTrain(
                f"Cannot judge {model} by images to choose by: {data} brings none, and what its training held out of "
                "them, if anything, is not known.",
                ways="A folder val beside train and test is such; or a model trained on them with validation above 0.",
            )
        members.append(Member(str(model), images.classes, images))
    agreed(members)
    return networks, members


def _asked(network: Any, member: Member, views: Views) -> Answers:
    from striate.judging.asked import ask
    from striate.judging.counting import counting

    with counting(f"Judging {member.name}", len(member.images), sys.stderr) as tick:
        return ask(network, member.images, views, tick=tick)


def _grid(images: Images | Streamed) -> tuple[int, int] | None:
    from striate.data import Images

    return images.volume.grid if isinstance(images, Images) else None


def _draw(folder: Path, images: Images | Streamed, answers: Answers, metrics: Metrics, title: str) -> list[Path]:
    """The pictures' files."""
    from striate.blueprint.files import write_atomically
    from striate.judging import pictures

    drawn = {
        "confusion.png": pictures.confusion(metrics, title),
        "calibration.png": pictures.calibration(metrics, title),
        "mistakes.png": pictures.mistakes(pictures.worst(images, answers, metrics.classes), title),
    }
    return [write_atomically(folder / name, picture) for name, picture in drawn.items()]


def report(metrics: Metrics) -> list[str]:
    named = {name: visible(name) for name in metrics.classes}
    wide = max(map(len, named.values()))
    of = metrics.confusion.sum(1).tolist()
    lines = [summary(metrics), ""]
    for name, share in metrics.per_class.items():
        count = of[metrics.classes.index(name)]
        lines.append(f"{named[name]:{wide}}  {share:7.2%} of {count:,}")
    return lines


def summary(metrics: Metrics) -> str:
    top1 = f"top-1 {metrics.top1:.2%} ± {metrics.error:.2%}"
    sure = f"calibration error {metrics.calibration.error:.2%}"
    top5 = f"   top-5 {metrics.top5:.2%}" if len(metrics.classes) > FEW else ""
    return f"{top1}{top5}   loss (NLL) {metrics.loss:.4f}   {sure}"


def side_by_side(names: Sequence[str], each: Sequence[Metrics]) -> list[str]:
    named = [visible(name) for name in names]
    wide = max(map(len, named))
    return [f"{name:{wide}}  {summary(metrics)}" for name, metrics in zip(named, each, strict=True)]


def reliability(metrics: Metrics) -> list[str]:
    """How often the model is right, by how sure it is; bins without images are left out."""
    return [
        "how sure            images     sure    right",
        *(
            f"{b.low:7.2%} to {b.high:7.2%} {b.images:7,}  {b.confidence:7.2%}  {b.accuracy:7.2%}"
            for b in metrics.calibration.bins
        ),
    ]


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
