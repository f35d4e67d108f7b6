"""`striate see MODEL --report FILE.html`: all that can be shown, in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from math import isfinite
from os.path import exists, lexists
from pathlib import Path
from typing import Any, NamedTuple

from striate.blueprint.files import write_atomically
from striate.blueprint.refusal import CannotRead, Refusal
from striate.blueprint.said import counted, visible
from striate.cli.output import say
from striate.visualize.parts import Parts
from striate.visualize.report import Section, report
from striate.visualize.views import VIEWS, lacking, view
from striate.visualize.wanted import Wanted


def unclaimed(path: Path) -> Path:
    """The path, or NAME-2, NAME-3, … where that is taken."""
    if exists(path) and not path.is_file():  # a pipe, a device
        return path
    places = (path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(1))
    return next(place for place in places if not lexists(place))


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


def reported(of: Wanted, images: Sequence[str], only: Sequence[str], path: Path, as_json: bool) -> int:
    """All of it in one file; what cannot be shown says why in its place. Gives the exit code."""
    parts = Parts.beside(path, of)
    there = parts.folder.is_dir()
    say(f"Going on from what {parts.folder}/ has." if there else f"{parts.folder}/ keeps what is done.", err=True)
    chosen = [name for name, kind in VIEWS.items() if (name in only if only else not kind.alone)]
    asked = [(name, image) for name in chosen for image in (images if "image" in VIEWS[name].needs else [""])]
    asked = [(name, image) for name, image in asked if only or not lacking(name, of._replace(image=image))]
    found, unread = list[_Found](), set[str]()
    for number, (name, image) in enumerate(asked, 1):
        if image in unread:
            continue
        image = image or next((one for one in images if one not in unread), "")  # what heeds one may have the first
        several = len(images) > 1 and "image" in VIEWS[name].needs
        title = f"{VIEWS[name].title}: {Path(image).name}" if several else VIEWS[name].title
        try:
            found.append(_found(of._replace(image=image), name, title, parts, f"{number} of {len(asked)}: {title}"))
        except CannotRead as refusal:
            say(str(refusal), err=True)
            unread.add(image)
    drawn = [one for one in found if one.section.png]
    if not drawn:
        raise Refusal(
            "Cannot report anything: nothing could be drawn.", ways="With an image, or --data, there is more."
        )
    place = unclaimed(path)
    title = f"Inside {of.name}" + (f", with {Path(images[0]).name}" if len(images) == 1 else "")
    write_atomically(place, report(title, facts(of), [one.section for one in found]))
    parts.done_with(one.kept for one in drawn)
    if as_json:
        told = [one.told for one in found]
        say(json.dumps(finite({"model": of.name, "file": str(place), "sections": told}), ensure_ascii=False))
    else:
        say(f"{place}: {counted(len(drawn), 'picture')}, {place.stat().st_size / 1e6:.1f} MB")
    return 2 if unread else 0


class _Found(NamedTuple):
    """A section, the same for JSON, and where it is kept until there is a report."""

    section: Section
    told: dict[str, Any]
    kept: Path


def _found(of: Wanted, name: str, title: str, parts: Parts, progress: str) -> _Found:
    """Raises CannotRead for an image; what else cannot be shown is a section that says why."""
    kind, place = VIEWS[name], parts.of(name, of)
    shown = parts.kept(place)
    say(f"{progress}{', as it was' if shown else ' …'}", err=True)
    about = {"show": name, **({"image": of.image} if "image" in kind.needs else {})}
    try:
        if shown is None:
            shown = view(name, of._replace(folder=parts.folder))
            parts.keep(place, shown)
    except CannotRead:
        raise
    except Refusal as refusal:
        why = visible(str(refusal), "\n")
        return _Found(Section(title, kind.read, kind.source, why=why), {**about, "why": refusal.fact}, place)
    return _Found(Section(title, kind.read, kind.source, shown.png, shown.line), {**about, **shown.facts}, place)
