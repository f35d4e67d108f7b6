"""WebDataset's shards: tar archives in which files of one name belong together (`0007.jpg`, `0007.cls`).

Read with the standard library and where they lie. Nothing is unpacked, so no archive can write anywhere; one that tries
is refused all the same, because somebody made it so.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from striate.blueprint import CannotRead
from striate.data.decode import MOST_BYTES, SUFFIXES
from striate.data.pictures import Member

LABEL = ".cls"
LONGEST = 1 << 10  # bytes of a label
MOST_SHARDS, MOST_MEMBERS = 100_000, 100_000_000
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]+,[^{}]+))\}")


def expanded(pattern: str) -> list[Path]:
    """`shards/{0000..0127}.tar`, `shards/{train,val}-{0000..0127}.tar`: the paths it stands for, in order. Raises
    CannotRead.
    """
    paths = [Path(name) for name in islice(_expanded(pattern), MOST_SHARDS + 1)]
    if len(paths) > MOST_SHARDS:
        raise CannotRead(f"Cannot read {pattern}: it stands for more than {MOST_SHARDS:,} shards.")
    return paths


def _expanded(pattern: str) -> Iterator[str]:
    if not (found := BRACES.search(pattern)):
        yield pattern
        return
    first, last, words = found.groups()
    if not words and not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise CannotRead(f"Cannot read {pattern}: {{{first}..{last}}} goes up, by at most {MOST_SHARDS:,}.")
    numbers = () if words else (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
    for name in words.split(",") if words else numbers:
        yield from _expanded(pattern[: found.start()] + name + pattern[found.end() :])


def within(folder: Path) -> list[Path]:
    """The shards that lie in a folder, or in each of its folders: in order; none where there is a folder without."""
    inside = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    found = [sorted(place.glob("*.tar")) for place in inside or [folder]]
    return [path for paths in found for path in paths] if all(found) else []


def listed(paths: list[Path]) -> tuple[list[Member], list[str]]:
    """The pictures of all shards and the label of each, as it is written. Raises CannotRead."""
    pictures: list[Member] = []
    labels: list[str] = []
    for path in paths:
        there: dict[str, Member] = {}
        written: dict[str, str] = {}
        for member in members(path):
            stem, suffix = _parted(member.inside)
            if suffix == LABEL:
                if member.size > LONGEST:
                    raise CannotRead(
                        f"Cannot read {member.name}: {member.size:,} bytes, a label has {LONGEST:,} at most."
                    )
                written[stem] = member.held().encoded.content.decode("utf-8", "replace").strip()
            elif suffix in SUFFIXES:
                there[stem] = member
        if lonely := next((member for stem, member in there.items() if not written.get(stem)), None):
            raise CannotRead(
                f"Cannot learn from {path}: {lonely.inside} has no label.",
                ways=f"Beside each picture stands its class: {_parted(lonely.inside)[0]}{LABEL}.",
            )
        pictures += there.values()
        labels += (written[stem] for stem in there)
    return pictures, labels


def members(path: Path) -> Iterator[Member]:
    """The files of one archive, each a plain file within bounds and within the archive. Raises CannotRead."""
    try:
        whole = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for count, member in enumerate(archive):
                _checked(path, member, whole, count)
                if member.isfile():
                    yield Member(path, member.name, member.offset_data, member.size)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise CannotRead(f"Cannot read {path}: {reason.lower()}.") from None
    except (tarfile.TarError, ValueError, EOFError) as error:
        if isinstance(error, CannotRead):
            raise
        raise CannotRead(
            f"Cannot read {path}: {str(error) or 'it ends too soon'}.",
            ways="A shard is a plain tar archive, not compressed. It may have been cut short; fetch it again.",
        ) from None


def _checked(path: Path, member: tarfile.TarInfo, whole: int, count: int) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    strange = {
        "an absolute name": name.is_absolute() or re.match(r"[A-Za-z]:", member.name) is not None,
        "a name that leaves the folder": ".." in name.parts,
        "a link": member.issym() or member.islnk(),
        "neither a file nor a folder": not (member.isfile() or member.isdir() or member.issym() or member.islnk()),
        "a file with holes": member.issparse(),
        f"larger than {MOST_BYTES:,} bytes": member.size > MOST_BYTES,
        "cut off by the end of the archive": member.isfile() and member.offset_data + member.size > whole,
        f"one of more than {MOST_MEMBERS:,}": count >= MOST_MEMBERS,
    }
    if found := next((what for what, so in strange.items() if so), None):
        raise CannotRead(
            f"Cannot read {path}: {member.name[:200]!r} is {found}.", ways="Nothing of it was used or written."
        )


def _parted(name: str) -> tuple[str, str]:
    """`a/0007.seg.png` -> `a/0007`, `.png`: what belongs together is the same up to the first point."""
    folder, slash, last = name.rpartition("/")
    stem, point, rest = last.partition(".")
    return f"{folder}{slash}{stem}", f"{point}{rest.rpartition('.')[2]}".lower()
