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
from striate.blueprint.refusal import CannotRead, CannotWrite, Refusal
from striate.blueprint.said import counted, visible
from striate.cli.output import say
from striate.data import read_image
from striate.visualize.parts import Parts, taken_away
from striate.visualize.report import Section, facts, report
from striate.visualize.views import VIEWS, lacking, view
from striate.visualize.wanted import View, Wanted


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


def reported(of: Wanted, images: Sequence[str], only: Sequence[str], path: Path, as_json: bool) -> int:
    """All of it in one file; what cannot be shown says why in its place. Gives the exit code: 2 where something that
    was given cannot be read.
    """
    parts = Parts.beside(path, of)
    there = parts.folder.is_dir()
    say(f"Going on from what {parts.folder}/ has." if there else f"{parts.folder}/ keeps what is done.", err=True)
    chosen = [name for name, kind in VIEWS.items() if (name in only if only else not kind.alone)]
    asked = [(name, image) for name in chosen for image in ((images or [""]) if "image" in VIEWS[name].needs else [""])]
    asked = [(name, image) for name, image in asked if only or not lacking(name, of._replace(image=image))]
    heeded = any("image" in (*VIEWS[name].needs, *VIEWS[name].takes) for name in chosen)
    unread = _unread(images if heeded else ())
    readable = [image for image in images if image not in unread]
    found, said = list[_Found](), {*map(str, unread.values())}
    for reason in unread.values():
        say(str(reason), err=True)
    for number, (name, image) in enumerate(asked, 1):
        several = len(images) > 1 and "image" in VIEWS[name].needs
        title = f"{VIEWS[name].title}: {Path(image).name}" if several else VIEWS[name].title
        this = of._replace(image=image or next(iter(readable), ""))  # what heeds one may have the first
        one = _found(this, name, title, parts, f"{number} of {len(asked)}: {title}", unread.get(image))
        found.append(one)
        if isinstance(one.refusal, CannotRead) and str(one.refusal) not in said:
            say(str(one.refusal), err=True)
            said.add(str(one.refusal))
    drawn = [one for one in found if one.section.png]
    if not drawn:
        reasons = [str(one.refusal) for one in found if one.refusal]
        more = [what for what, given in (("an image", images), ("--data", of.data)) if not given]
        raise Refusal(
            "Cannot report anything: nothing could be drawn.",
            "\n".join(reason for reason in dict.fromkeys(reasons) if reason not in said).replace("\n", "\n    "),
            f"With {', or '.join(more)}, there is more." if more else "",
        )
    place = unclaimed(path)
    title = f"Inside {of.name}" + (f", with {Path(readable[0]).name}" if len(readable) == len(images) == 1 else "")
    write_atomically(place, report(title, facts(of), [one.section for one in found]))
    taken_away(folder for one in drawn for folder in one.rows)
    parts.done_with(file for one in drawn for file in one.files)
    if as_json:
        told = [one.told for one in found]
        say(json.dumps(finite({"model": of.name, "file": str(place), "sections": told}), ensure_ascii=False))
    else:
        say(f"{place}: {counted(len(drawn), 'picture')}, {place.stat().st_size / 1e6:.1f} MB")
    return 2 if said else 0


def _unread(images: Sequence[str]) -> dict[str, CannotRead]:
    """Those that cannot be read, and why. Each is read once, a JPEG at an eighth of its size, before any is looked at:
    else whatever is not readable, of many things, would look as an image's fault.
    """
    found = dict[str, CannotRead]()
    for image in images:
        try:
            read_image(Path(image), least=(1, 1))
        except CannotRead as refusal:
            found[image] = refusal
    return found


class _Found(NamedTuple):
    """A section, and the same for JSON; why it is not there, or what keeps it until there is a report: its file, and
    a surface's rows.
    """

    section: Section
    told: dict[str, Any]
    refusal: Refusal | None = None
    files: tuple[Path, ...] = ()
    rows: tuple[Path, ...] = ()


def _found(of: Wanted, name: str, title: str, parts: Parts, progress: str, refusal: Refusal | None) -> _Found:
    """What cannot be shown, as is known before (`refusal`) or as turns out, is a section that says why."""
    kind = VIEWS[name]
    about = {"show": name, **({"image": of.image} if "image" in kind.needs else {})}
    try:
        if refusal:
            raise refusal
        place = parts.of(name, of)
        shown = parts.kept(place)
        say(f"{progress}{', as it was' if shown else ' …'}", err=True)
        if shown is None:
            shown = view(name, of._replace(folder=parts.folder))
            _keep(parts, place, shown)
    except Refusal as reason:
        section = Section(title, kind.read, kind.source, why=visible(str(reason), "\n"))
        return _Found(section, {**about, "why": reason.fact}, reason)
    section = Section(title, kind.read, kind.source, shown.png, shown.line, photos=kind.photos)
    return _Found(section, {**about, **shown.facts}, None, (place,), shown.kept)


def _keep(parts: Parts, place: Path, shown: View) -> None:
    """What cannot be kept is shown all the same."""
    try:
        parts.keep(place, shown)
    except CannotWrite as refusal:
        say(str(refusal), err=True)
