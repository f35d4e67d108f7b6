"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed over it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from pathlib import Path

from striate.blueprint.refusal import CannotWrite

REMEDIES = {  # for what the operating system refuses
    **dict.fromkeys((ENOSPC, EDQUOT, EFBIG), "Make room there, or write to another disk"),
    **dict.fromkeys((EACCES, EPERM), "Choose a place that is yours, or change its permissions"),
    EROFS: "Choose a place that can be written",
}


Content = bytes | str | Iterable[bytes | memoryview]  # the parts of an iterable may be made as they are asked for


def write_atomically(path: str | os.PathLike[str], content: Content) -> Path:
    """Write `content` (text as UTF-8; several parts one after the other) to `path`; whoever reads `path` meanwhile
    finds the old file or the new one, never a part.

    A link keeps pointing where it did: its target is replaced. A device or a pipe (/dev/stdout) stays what it is and is
    written to. Raises CannotWrite with the system's reason (no room, no right, no such folder); then what stood at
    `path` still stands and nothing else is left. When it returns, file and folder are on the disk.
    """
    content = content.encode() if isinstance(content, str) else content
    parts = [content] if isinstance(content, bytes) else content
    try:
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise IsADirectoryError("it is a folder")
        if _is_outlet(path):
            with open(path, "wb") as outlet:
                outlet.writelines(parts)
            return Path(path)
        _replace(place, parts)
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        raise unwritten(path, error) from None
    sync_folder(place.parent)
    return Path(path)


def unwritten(path: str | os.PathLike[str], error: OSError | ValueError) -> CannotWrite:
    """The refusal: the system's reason, what still stands, and the way out."""
    why = (getattr(error, "strerror", None) or str(error)).lower()
    stands = " What stood there before still stands." if os.path.lexists(str(path).replace("\0", "")) else ""
    ways = REMEDIES.get(getattr(error, "errno", None) or 0, "Choose another place")
    where = os.fspath(path)
    return CannotWrite(f"Cannot write {where}: {why}.{stands}", ways=f"{ways}.", where=where)


def folder(path: str | os.PathLike[str]) -> Path:
    """That folder, made where it is not there: asked for before the work whose outcome is to lie in it. Raises
    CannotWrite.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except (OSError, ValueError) as error:
        raise unwritten(path, error) from None
    return Path(path)


def _is_outlet(path: str | os.PathLike[str]) -> bool:
    """Nothing can be renamed over a device or a pipe without taking it away from everybody else."""
    return os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)


def _replace(place: Path, parts: Iterable[bytes | memoryview]) -> None:
    draft = place.with_name(f".{place.name[:64]}.{os.urandom(4).hex()}.part")
    handle = os.open(
        draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
    )  # what the user's umask leaves of it
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            if place.exists():
                os.chmod(draft, place.stat().st_mode & 0o777)
            os.fsync(handle)
        os.replace(draft, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def sync_folder(folder: Path) -> None:
    """The rename too is on the disk; where a file system cannot be asked that, the file itself already is."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
