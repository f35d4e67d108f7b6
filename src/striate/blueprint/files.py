"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed over it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from striate.blueprint.refusal import CannotWrite


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write `content` (text as UTF-8) to `path`; whoever reads `path` meanwhile finds the old file or the new one, never a part.

    A link keeps pointing where it did: its target is replaced. Raises CannotWrite with the system's reason (no room, no right, no such folder); then
    what stood at `path` still stands and nothing else is left. When it returns, file and folder are on the disk.
    """
    place = Path(os.path.realpath(path))
    draft = ""
    try:
        if place.is_dir():
            raise IsADirectoryError("it is a folder")
        handle, draft = tempfile.mkstemp(prefix=f".{place.name[:64]}.", suffix=".part", dir=place.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchmod(handle, _mode(place))
            os.fsync(handle)
        os.replace(draft, place)
    except BaseException as error:
        if draft:
            with suppress(OSError):
                os.unlink(draft)
        if isinstance(error, OSError | ValueError):
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise CannotWrite(f"Cannot write {os.fspath(path)}: {why}. What stood there before still stands.", where=os.fspath(path)) from None
        raise
    _sync(place.parent)
    return Path(path)


def _mode(place: Path) -> int:
    """The permissions the file has, or that a new one would be given (a temporary file is its owner's alone)."""
    try:
        return place.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync(folder: Path) -> None:
    """The rename too is on the disk; where a file system cannot be asked that, the file itself already is."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
