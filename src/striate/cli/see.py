"""`striate see MODEL [IMAGE…]`: what a network looks at, what it has learnt, whether it can learn."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint.refusal import CannotRead, CannotWrite, NotFound, Refusal
from striate.blueprint.said import visible
from striate.cli.output import say
from striate.visualize.views import VIEWS, complete, find, lacking, view

if TYPE_CHECKING:
    from striate.visualize.report import Section
    from striate.visualize.wanted import View, Wanted

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
  striate see resnet20-cifar10 --show surface --data cifar10/ --points 25
  striate see resnet20-cifar10 --show trajectory --along runs/cifar --data cifar10/
  striate see runs/photos --show similarity --other runs/paintings --data photos/
  striate see runs/cells --show pointing --boxes cells/  XML of Pascal VOC, or JSON of COCO, and the images
  striate see runs/photos cat.jpg --report out.html --data photos/     all of it in one file

\b
What can be shown:
{views}

MODEL is a model file, a run's folder, the name of one that comes along, or a network of the zoo, with --weights a file.
A unit is a layer (layer3.2), a channel of it (conv2:17), one cell of that (conv2:17@3,5) or a class (out:collie).
What is there stays: NAME-2 is made. An image that cannot be read is named on stderr, the others are made, and the exit
code is then 2.
"""
DRAWN = (".png", ".html")
OPTIONS = (  # as `Wanted` calls them
    "unit", "layer", "method", "target", "like", "along", "boxes", "other", "measure", "points", "images", "seed",
    "data",
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
@click.option("--unit", metavar="UNIT", help="What to look at inside: conv2:17, out:collie.")
@click.option("--layer", metavar="NAME", help="The layer to look at; default: it is chosen.")
@click.option("--method", metavar="NAME", help="Of attribution: grad-cam, occlusion, …; default: all.")
@click.option("--target", metavar="CLASS", help="The class to look for, a name or a number; default: its own answer.")
@click.option("--like", metavar="FILE", help="For --show style: the picture whose style it is to have.")
@click.option("--along", metavar="FOLDER", help="For --show trajectory: a run's folder, or model files on the way.")
@click.option("--boxes", metavar="FOLDER|FILE.json", help="For --show pointing: images, and where things are in them.")
@click.option("--other", metavar="MODEL", help="For --show similarity: another network.")
@click.option("--measure", metavar="cka|rsa", help="For --show similarity; default: cka.")
@click.option("--images", "most", type=click.IntRange(1), help="How many of the data's images are looked at.")
@click.option(
    "--points", type=click.IntRange(2, 1001), help="Of a loss surface, along each axis; default: 11, of a line 25."
)
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
    as_json: bool,
    **said: Any,
) -> None:
    """See inside MODEL: with an IMAGE, what it sees there; with --show or --report, all else that can be looked at."""
    asked = {"images" if name == "most" else name: value for name, value in said.items() if value is not None}
    for network in (model, *([said["other"]] if said["other"] else [])):
        _named(network)
    _checked(images, show, report, only, out, asked)
    from striate.visualize.wanted import Other, Wanted, opened

    network, name = _opened(model, weights)
    data = opened(network, asked.pop("data")) if "data" in asked else None
    if "other" in asked:
        asked["other"] = Other(*_opened(asked["other"], None))
    of = Wanted(network, name, data=data, progress=_progress, **asked)
    if report:
        sys.exit(_report(of, images, only.split(",") if only else None, report, as_json))
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
    """Raises NotFound for what is neither a file nor a name, nor looks like a file's."""
    from striate import zoo
    from striate.blueprint.modelfile import shipped

    path, name = Path(model), model.partition("(")[0]
    file = path.exists() or path.suffix == ".safetensors" or path.name != model
    if not file and name not in (known := [*shipped(), *zoo.NETWORKS]):
        raise NotFound("network", name, known, see="striate models")


def _checked(
    images: tuple[str, ...], show: str | None, report: Path | None, only: str | None, out: Path | None, asked: Any
) -> None:
    """What can be known before anything is loaded."""
    for name in [*([show] if show else []), *(only.split(",") if only else [])]:
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
    from striate.nn import load
    from striate.visualize.wanted import unprepared

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


def _progress(what: str, total: int, noun: str) -> AbstractContextManager[Any]:
    from striate.judging.counting import counting

    return counting(what, total, sys.stderr, noun)


def _one(of: Wanted, name: str, out: Path | None, as_json: bool) -> None:
    """One thing, drawn into a file."""
    from striate.blueprint.files import write_atomically

    stem = Path(of.image).stem if of.image else of.name.partition("(")[0].strip()
    own = Path(f"{stem}-{'seen' if name == 'page' else name}.png")
    wanted = own if out is None else out / own if out.is_dir() else out
    complete(name, of)
    rows = _rows(of, name, wanted)
    shown = view(name, of._replace(folder=rows))
    path = unclaimed(wanted)
    if path.suffix.lower() == ".html":
        from striate.visualize.report import Section, report

        kind = VIEWS[name]
        section = Section(kind.title, kind.read, kind.source, shown.png, shown.line)
        write_atomically(path, report(of.title, facts(of), [section]))
    else:
        write_atomically(path, shown.png)
    _done_with(rows, shown)
    if as_json:
        said = {"model": of.name, **({"image": of.image} if of.image else {}), "show": name, "file": str(path)}
        say(json.dumps(finite({**said, **shown.facts}), ensure_ascii=False))
    else:
        say(f"{shown.line}\n{path}: drawn")


def _rows(of: Wanted, name: str, out: Path) -> Path | None:
    """Beside where a surface is to be drawn, the folder for its rows, until it is drawn."""
    if "points" not in VIEWS[name].takes:
        return None
    rows = out.with_name(f"{out.stem}-{of.points or 'some'}.rows")
    there = (
        f"Going on from what {rows}/ has." if rows.is_dir() else f"{rows}/ keeps what is done, for the same command."
    )
    say(there, err=True)
    return rows


def _done_with(rows: Path | None, shown: View) -> None:
    """What this view kept there is for nothing now; what others did, of another seed, stays."""
    for folder in shown.kept:
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        if rows:
            rows.rmdir()


def _heeded(name: str, asked: Iterable[str], images: Sequence[str]) -> None:
    """Raises Refusal for an option, or an image, that would not be heeded."""
    kind = VIEWS[name]
    heeded = {*kind.needs, *kind.takes}
    if beyond := [field for field in asked if field not in heeded]:
        takes = ", ".join(f"--{field}" for field in OPTIONS if field in heeded) or "no options"
        raise Refusal(f"Cannot use --{beyond[0]} with --show {name}.", ways=f"It takes {takes}.")
    if images and "image" not in heeded:
        raise Refusal(f"Cannot show {name} of {images[0]}: it is of the network.", ways=f"Without {images[0]}.")


def unclaimed(path: Path) -> Path:
    """The path, or NAME-2, NAME-3, … where that is taken."""
    if os.path.exists(path) and not path.is_file():  # a pipe, a device
        return path
    places = (path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(1))
    return next(place for place in places if not os.path.lexists(place))


def finite(value: Any) -> Any:
    """For JSON, which has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def facts(of: Wanted) -> list[str]:
    """What a report says of the network above everything else."""
    model: Any = of.model
    learnt = model.metadata.get("provenance") or {}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    lines = [f"{of.name}: {parameters:,} parameters, reads {model.graph.volume}"]
    lines += [f"Learnt from {learnt['data']}, {learnt.get('examples', 0):,} images"] if learnt.get("data") else []
    lines += [f"Looked at with {of.data.name}"] if of.data else []
    return lines


def _report(of: Wanted, images: tuple[str, ...], only: list[str] | None, path: Path, as_json: bool) -> int:
    """All of it in one file; what cannot be shown says why in its place. Gives the exit code."""
    from striate.blueprint.files import write_atomically
    from striate.visualize.report import report

    sections: list[Section] = []
    unread, told = set[str](), list[dict[str, Any]]()
    for name, kind in VIEWS.items():
        if (name not in only) if only else kind.alone:
            continue
        for image in images if "image" in kind.needs else images[:1] or [""]:
            if image not in unread:
                _section(of._replace(image=image), name, len(images) > 1, bool(only), sections, unread, told)
    if not any(section.png for section in sections):
        raise Refusal(
            "Cannot report anything: nothing could be drawn.", ways="With an image, or --data, there is more."
        )
    place = unclaimed(path)
    title = f"Inside {of.name}" + (f", with {images[0]}" if len(images) == 1 else "")
    write_atomically(place, report(title, facts(of), sections))
    if as_json:
        say(json.dumps(finite({"model": of.name, "file": str(place), "sections": told}), ensure_ascii=False))
    else:
        drawn = [section.title for section in sections if section.png]
        say(f"{place}: {len(drawn)} pictures, {place.stat().st_size / 1e6:.1f} MB")
    return 2 if unread else 0


def _section(
    of: Wanted, name: str, several: bool, asked: bool, sections: list[Section], unread: set[str], told: list[Any]
) -> None:
    from striate.visualize.report import Section

    kind = VIEWS[name]
    title = f"{kind.title}: {Path(of.image).name}" if several and "image" in kind.needs else kind.title
    if lacking(name, of) and not asked:
        return
    say(f"{title} …", err=True)
    try:
        shown = view(name, of)
    except CannotRead as refusal:
        say(str(refusal), err=True)
        unread.add(of.image)
    except Refusal as refusal:
        sections.append(Section(title, kind.read, kind.source, why=visible(str(refusal), "\n")))
        told.append({"show": name, "why": refusal.fact})
    else:
        sections.append(Section(title, kind.read, kind.source, shown.png, shown.line))
        told.append({"show": name, **({"image": of.image} if "image" in kind.needs else {}), **shown.facts})
