"""`striate see MODEL [IMAGE…]`: what a network looks at, what it has learnt, whether it can learn."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint.refusal import CannotRead, CannotWrite, NotFound, Refusal
from striate.cli.output import say
from striate.visualize.views import VIEWS, complete, find, view

if TYPE_CHECKING:
    from striate.visualize.wanted import Wanted

EXAMPLES = """\b
Examples:
  striate see lenet5-mnist seven.png                  one page: what it sees here, and whether that can be trusted
  striate see runs/photos *.jpg                       a page for each
  striate see squeezenet1_0 --weights squeezenet1_0.npz cat.jpg --target tabby
  striate see runs/photos cat.jpg --show attribution --method grad-cam++ --layer body.8
  striate see runs/photos cat.jpg --show deconvnet --unit conv2:17
  striate see lenet5-mnist --show filters --out filters.png
  striate see resnet50 --show field --unit layer3.2   of a network without weights, too
  striate see resnet20-cifar10 --show imagine --unit out:cat
  striate see runs/photos cat.jpg --show style --like painting.jpg
  striate see lenet5-mnist --show exciting --unit conv2.conv:3 --data mnist/
  striate see runs/photos --show embedding --data photos/
  striate see resnet20-cifar10 --show surface --data cifar10/ --points 25 --relief
  striate see resnet20-cifar10 --show trajectory --along runs/cifar --data cifar10/
  striate see runs/photos --show similarity --other runs/paintings --data photos/
  striate see runs/cells --show pointing --boxes cells/  XML of Pascal VOC, or JSON of COCO, and the images
  striate see runs/photos cat.jpg --report out.html --data photos/     all of it in one file
  striate see mymodels.py:Net cat.jpg --rule imagenet  a module in your own code, which is run to make it

\b
What can be shown:
{views}

MODEL is a model file, a run's folder, the name of one that comes along, a network of the zoo, with --weights a file, or
an nn.Module as above, whose code loads its weights.
A unit is a layer (layer3.2), a channel of it (conv2:17), one cell of that (conv2:17@3,5) or a class (out:collie).
What is there stays: NAME-2 is made. A report or a surface that was stopped goes on with the same command. What was
given and cannot be read is named on stderr, the rest is made, and the exit code is then 2.
"""
DRAWN = (".png", ".html")
OPTIONS = (  # as `Wanted` calls them
    "unit", "layer", "method", "target", "like", "along", "boxes", "other", "measure", "points", "relief", "threads",
    "steps", "images", "seed", "data",
)  # fmt: skip


@click.command(
    "see",
    epilog=EXAMPLES.format(views="\n".join(f"  {name:12} {kind.shows}" for name, kind in VIEWS.items())),
    short_help="See what a network looks at, and what it has learnt.",
)
@click.argument("model", metavar="MODEL")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--show", metavar="NAME", help="Draw one thing alone; default: page.")
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.html", help="All that can be shown, in a file."
)
@click.option("--only", metavar="NAME,...", help="With --report: only these.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="FILE.png, FILE.html or a folder; default: here."
)
@click.option("--weights", metavar="FILE|TAG", help="Weights for a network of the zoo.")
@click.option("--data", metavar="digits|PATH", help="Images to look at many of: what it takes is what train takes.")
@click.option(
    "--rule",
    metavar="C×H×W|imagenet|FILE",
    help="How images are prepared for a model that does not say it: scaled to 3x64x64, values of 0..1 as they are; or "
    "as for ImageNet, 3x224x224; or a .json with what a model file says of it.",
)
@click.option("--unit", metavar="UNIT", help="What to look at inside: conv2:17, out:collie.")
@click.option("--layer", metavar="NAME", help="The layer to look at; default: it is chosen.")
@click.option("--method", metavar="NAME", help="Of attribution: grad-cam, occlusion, …; default: all.")
@click.option("--target", metavar="CLASS", help="The class to look for, a name or a number; default: its own answer.")
@click.option("--like", metavar="FILE", help="For --show style: the picture whose style it is to have.")
@click.option("--along", metavar="FOLDER", help="For --show trajectory: a run's folder, or model files on the way.")
@click.option("--boxes", metavar="FOLDER|FILE.json", help="For --show pointing: images, and where things are in them.")
@click.option("--other", metavar="MODEL", help="For --show similarity or surface: another network.")
@click.option("--measure", metavar="cka|rsa", help="For --show similarity; default: cka.")
@click.option("--images", "most", type=click.IntRange(1), help="How many of the data's images are looked at.")
@click.option(
    "--points", type=click.IntRange(2, 1001), help="Of a loss surface, along each axis; default: 11, of a line 25."
)
@click.option("--relief", is_flag=True, default=None, help="For --show surface: as a landscape.")
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Rows of a loss surface that are computed at once; default: 1."
)
@click.option("--steps", type=click.IntRange(1, 10**6), help="For --show flow: again after so many steps of training.")
@click.option("--seed", type=click.IntRange(0), help="Of what is drawn at random; default: 0.")
@click.option("--json", "as_json", is_flag=True, help="What is shown, as one line of JSON for each file.")
def command(
    model: str,
    images: tuple[str, ...],
    show: str | None,
    report: Path | None,
    only: str | None,
    out: Path | None,
    weights: str | None,
    rule: str | None,
    as_json: bool,
    **said: Any,
) -> None:
    """See inside MODEL: with an IMAGE, what it sees there; with --show or --report, all else that can be looked at."""
    asked = {"images" if name == "most" else name: value for name, value in said.items() if value is not None}
    for network in (model, *([said["other"]] if said["other"] else [])):
        _named(network)
    _checked(images, show, report, only, out, asked)
    from striate.cli.see_report import reported
    from striate.judging.trained import metadata_of
    from striate.visualize.wanted import Other, Wanted, opened, read_rule

    read = read_rule(rule) if rule is not None else None
    network, name = _opened(model, weights)
    data = opened(network, asked.pop("data"), read) if "data" in asked else None
    if "other" in asked:
        theirs, its_name = _opened(asked["other"], None)
        asked["other"] = Other(theirs, its_name, None if "preprocessing" in metadata_of(theirs) else read)
    of = Wanted(network, name, data=data, rule=read, progress=_progress, **asked)
    of.checked()
    if report:
        sys.exit(reported(of, images, only.split(",") if only else [], report, as_json))
    unread = 0
    for image in images or [""]:
        try:
            _one(of._replace(image=image), show or "page", out, as_json)
        except CannotRead as refusal:
            if not image:
                raise
            say(str(refusal), err=True)
            unread += 1
    if unread:
        sys.exit(2)


def _named(model: str) -> None:
    """Raises NotFound for what is neither a file nor a name, nor looks like a file's or a module's."""
    from striate import zoo
    from striate.blueprint.modelfile import shipped
    from striate.cost.source import SOMEBODYS

    if SOMEBODYS.match(model):
        return
    path, name = Path(model), model.partition("(")[0]
    file = path.exists() or path.suffix == ".safetensors" or path.name != model
    if not file and name not in (known := [*shipped(), *zoo.NETWORKS]):
        raise NotFound("network", name, known, see="striate models")


def _checked(
    images: tuple[str, ...], show: str | None, report: Path | None, only: str | None, out: Path | None, asked: Any
) -> None:
    """What can be known before anything is loaded."""
    for name in [*([show] if show else []), *(only.split(",") if only is not None else [])]:
        find(name)
    if not (images or show or report):
        raise Refusal(
            "Cannot see nothing in particular.", ways="Name an image; or --show filters; or --report out.html."
        )
    if not report:
        _heeded(show or "page", asked, images)
    if report and (show or out):
        raise Refusal(
            f"Cannot make a report and {'--show' if show else '--out'}.", ways="--report FILE.html --only NAME,…"
        )
    if only and not report:
        raise Refusal(
            "Cannot choose by --only without a report.", ways=f"--report out.html, or --show {only.split(',')[0]}."
        )
    wanted = (".html",) if report else DRAWN
    place = report or out
    if place and not (place is out and place.is_dir()):
        if place.suffix.lower() not in wanted:
            raise CannotWrite(
                f"Cannot draw into {place}: it is drawn as {' or '.join(wanted)}.",
                ways=f"{'--report' if report else '--out'} {place.stem}{wanted[0]}",
            )
        if not place.parent.is_dir():
            raise CannotWrite(f"Cannot write {place}: no folder {place.parent} is there.", ways="Make it first.")


def _opened(model: str, weights: str | None) -> tuple[Any, str]:
    """The network, and what it goes by."""
    from striate import zoo
    from striate.blueprint.modelfile import MODEL, model_file, shipped
    from striate.cost.source import SOMEBODYS
    from striate.nn import load
    from striate.visualize.wanted import unprepared

    if SOMEBODYS.match(model):
        return _somebodys(model, weights)
    path = Path(model)
    if weights is not None or (
        model not in shipped() and not path.exists() and model.partition("(")[0] in zoo.NETWORKS
    ):
        network = load(model, weights)
        if weights is None:
            network.metadata["preprocessing"] = unprepared(network.graph.volume).to_json()
            say(f"{model} has not learnt: its weights are drawn anew. --weights FILE gives it some.", err=True)
        name = path.stem if path.exists() else model
        return network, name if weights else f"{name} (untrained)"
    file = model_file(path)
    run = file.resolve().parent.name if file.name == MODEL else ""
    return load(file), run or file.stem


def _somebodys(model: str, weights: str | None) -> tuple[Any, str]:
    """A module in somebody's code. What libraries make without weights is of no use here."""
    from striate.nn.tracing.named import named

    file, _, name = model.partition(":")
    way = f"A function in a file of yours that loads them: mymodels.py:{name if file.endswith('.py') else 'net'}"
    if weights is not None:
        raise Refusal(f"Cannot load {weights} into {model}: whose names its weights have is not known here.", ways=way)
    if not file.endswith(".py"):
        raise Refusal(f"Cannot see inside {model}: {file} makes it without weights.", ways=way)
    return named(model).module, name


def _progress(what: str, total: int, noun: str) -> AbstractContextManager[Any]:
    from striate.judging.counting import counting

    return counting(what, total, sys.stderr, noun)


def _one(of: Wanted, name: str, out: Path | None, as_json: bool) -> None:
    """One thing, drawn into a file."""
    from striate.blueprint.files import write_atomically
    from striate.cli.see_report import facts, finite, unclaimed
    from striate.visualize.parts import taken_away
    from striate.visualize.report import Section
    from striate.visualize.report import report as made

    stem = Path(of.image).stem if of.image else of.name.partition("(")[0].strip()
    own = Path(f"{stem}-{'seen' if name == 'page' else name}.png")
    wanted = own if out is None else out / own if out.is_dir() else out
    complete(name, of)
    rows = _rows(of, name, wanted)
    shown = view(name, of._replace(folder=rows, progress=_told_of(rows) if rows else of.progress))
    path = unclaimed(wanted)
    if path.suffix.lower() == ".html":
        kind = VIEWS[name]
        section = Section(kind.title, kind.read, kind.source, shown.png, shown.line, photos=kind.photos)
        write_atomically(path, made(of.title, facts(of), [section]))
    else:
        write_atomically(path, shown.png)
    taken_away(shown.kept)
    with suppress(OSError):  # rows of another seed are there
        if rows:
            rows.rmdir()
    if as_json:
        said = {"model": of.name, **({"image": of.image} if of.image else {}), "show": name, "file": str(path)}
        say(json.dumps(finite({**said, **shown.facts}), ensure_ascii=False))
    else:
        say(f"{shown.line}\n{path}: drawn")


def _rows(of: Wanted, name: str, out: Path) -> Path | None:
    """Beside where a surface is to be drawn, the folder for its rows, until it is drawn."""
    if "points" not in VIEWS[name].takes:
        return None
    return out.with_name(f"{out.stem}-{of.points or 'some'}.rows")


def _told_of(rows: Path) -> Any:
    """The progress of a surface: before its first point, what keeps it is named."""
    there = (
        f"Going on from what {rows}/ has."
        if rows.is_dir()
        else f"{rows}/ is to keep what is done, for the same command."
    )
    first = iter([there])

    def progress(what: str, total: int, noun: str) -> AbstractContextManager[Any]:
        for line in first:
            say(line, err=True)
        return _progress(what, total, noun)

    return progress


def _heeded(name: str, asked: Iterable[str], images: Sequence[str]) -> None:
    """Raises Refusal for an option, or an image, that would not be heeded."""
    kind = VIEWS[name]
    heeded = {*kind.needs, *kind.takes}
    if beyond := [field for field in asked if field not in heeded]:
        takes = ", ".join(f"--{field}" for field in OPTIONS if field in heeded) or "no options"
        raise Refusal(f"Cannot use --{beyond[0]} with --show {name}.", ways=f"It takes {takes}.")
    if images and "image" not in heeded:
        raise Refusal(f"Cannot show {name} of {images[0]}: it is of the network.", ways=f"Without {images[0]}.")
