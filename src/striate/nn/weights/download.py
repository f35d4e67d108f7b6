"""A file of weights from its address into the user's cache: resumed when cut, bounded, checked before it is used.

Only https is spoken (and plain http with this machine itself). A part that arrived stays beside its place as NAME.part,
and the next time goes on from there; the name itself appears when the whole file is on the disk and its sha256 right.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple, TextIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from striate.blueprint import CannotLoad, CannotWrite
from striate.blueprint.files import sync_folder

Told = Callable[[int, int], None]  # bytes here, bytes in all
CHUNK = 1 << 18
LOOPBACK = ("127.0.0.1", "::1", "localhost")
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another in a moment
MOST_TRIES = 1000


class Patience(NamedTuple):
    """How long a server is waited for."""

    stall: float = 30.0  # seconds in which `least` bytes must come
    least: int = 1024
    tries: int = 4  # in a row that bring less than that
    pause: float = 0.5  # seconds after the first of them; twice as long after each


def cache() -> Path:
    """Where weights are kept: $STRIATE_CACHE, or the platform's folder for what can be fetched again."""
    if said := os.environ.get("STRIATE_CACHE"):
        return Path(said).expanduser() / "weights"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        said = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(said) if os.path.isabs(said) else Path.home() / ".cache"  # a relative one is to be ignored
    return base / "striate" / "weights"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    url: str,
    digest: str,
    most: int,
    folder: Path | None = None,
    told: Told | None = None,
    patience: Patience = Patience(),  # noqa: B008 (a value)
) -> Path:
    """The file at `url`, of at most `most` bytes, whose sha256 starts with `digest`; from the cache when it is there.

    Raises CannotLoad (no connection, not there, too large, not what was published), CannotWrite.
    """
    folder, name = folder or cache(), urlsplit(url).path.rpartition("/")[2]
    place = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".{name}.lock"):
            if place.exists():
                if sha256(place).startswith(digest):
                    return place
                place.unlink()
            _whole(url, folder / f"{name}.part", digest, most, told or (lambda here, total: None), patience)
            os.replace(folder / f"{name}.part", place)
            sync_folder(folder)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        way = "Make room there, or name another folder in STRIATE_CACHE."
        raise CannotWrite(f"Cannot keep {name} in {folder}: {why}.", ways=way) from None
    return place


def _whole(url: str, part: Path, digest: str, most: int, told: Told, patience: Patience) -> None:
    """`part` complete and right. What is wrong goes; if its start was of an earlier day, once more from nothing."""
    resumed = part.exists()
    _all_bytes(url, part, most, told, patience)
    if not (found := sha256(part)).startswith(digest) and resumed:
        part.unlink()
        _all_bytes(url, part, most, told, patience)
        found = sha256(part)
    if found.startswith(digest):
        return
    part.unlink()
    raise CannotLoad(
        f"Cannot use what {url} gave: its sha256 starts with {found[: len(digest)]}, published is {digest}.",
        ways="It was removed. Try again later, from another network, or name a file that you trust: weights=FILE.",
    )


def _all_bytes(url: str, part: Path, most: int, told: Told, patience: Patience) -> None:
    """Asks, and asks again for the rest, until the server has no more to give."""
    fruitless = 0
    for _ in range(MOST_TRIES):
        before = part.stat().st_size if part.exists() else 0
        why = ""
        try:
            if _pull(url, part, before, most, told, patience):
                return
            why = "the connection was cut"
        except HTTPError as error:
            if error.code == 416 and before:  # no more than what is here, which the digest will judge
                return
            if error.code not in AGAIN:
                raise CannotLoad(
                    f"Cannot fetch {url}: the server says {error.code} {error.reason}.", ways=_by_hand(part)
                ) from None
            why = f"the server says {error.code} {error.reason}"
        except (URLError, TimeoutError, ConnectionError, HTTPException, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error
            why = str(getattr(reason, "strerror", None) or reason or type(error).__name__)
        after = part.stat().st_size if part.exists() else 0
        fruitless = 0 if after >= before + patience.least else fruitless + 1
        if fruitless >= patience.tries:
            break
        if fruitless:
            time.sleep(patience.pause * 2 ** (fruitless - 1))
    have = part.stat().st_size if part.exists() else 0
    kept = f" {have:,} bytes are here and will be gone on from." if have else ""
    raise CannotLoad(f"Cannot fetch {url}: {why}.{kept}", ways=_by_hand(part))


def _pull(url: str, part: Path, have: int, most: int, told: Told, patience: Patience) -> bool:
    """One answer, added to `part`; whether it was the last of the file."""
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with _opener(url).open(asked, timeout=patience.stall) as answer:
        if have and not _continues(answer, have):
            have = 0
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else 0
        if total > most:
            raise _too_large(url, f"claims {total:,} bytes", most)
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            file.truncate()
            for chunk in _chunks(answer, patience):
                have += len(chunk)
                if have > most:
                    file.truncate(0)
                    raise _too_large(url, "goes on", most)
                file.write(chunk)
                told(have, total or most)
            file.flush()
            os.fsync(file.fileno())
    return have == total if total else have > 0


def _chunks(answer: HTTPResponse, patience: Patience) -> Iterator[bytes]:
    """What comes, as it comes. Raises TimeoutError where it comes by drops."""
    since, seen = time.monotonic(), 0
    while chunk := answer.read1(CHUNK):
        seen += len(chunk)
        yield chunk
        if (now := time.monotonic()) - since > patience.stall:
            if seen < patience.least:
                raise TimeoutError(f"{seen} bytes in {now - since:.0f} seconds")
            since, seen = now, 0


def _continues(answer: HTTPResponse, have: int) -> bool:
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    direct = [urllib.request.ProxyHandler({})] if _check(url) else []
    return urllib.request.build_opener(_Redirects, *direct)


def _check(url: str) -> bool:
    """Whether the address is this machine's own. Raises CannotLoad where it is neither that nor https."""
    parts = urlsplit(url)
    here = parts.hostname in LOOPBACK
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        raise CannotLoad(
            f"Cannot fetch {url}: only https is spoken.", ways="Fetch it yourself, and name it: weights=FILE."
        )
    return here


def _too_large(url: str, what: str, most: int) -> CannotLoad:
    return CannotLoad(f"Cannot fetch {url}: it {what}; the published file has at most {most:,} bytes.")


def _by_hand(part: Path) -> str:
    return (
        f"Without a connection: fetch that address elsewhere and put it into {part.parent}, or name it: weights=FILE."
    )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the second finds the file there. (Where locks are unknown, the digest finds a mixture.)"""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shown(name: str, stream: TextIO | None = None) -> Iterator[Told]:
    """Progress for people: a bar on a terminal, a line for every tenth elsewhere."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Lines(name, stream)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from striate.cost.terminal import looked_at

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=looked_at(stream), transient=True) as progress:
        task = progress.add_task(name)
        yield lambda here, total: progress.update(task, completed=here, total=total)


class _Lines:
    def __init__(self, name: str, stream: TextIO) -> None:
        self.name, self.stream, self.tenths = name, stream, -1

    def __call__(self, here: int, total: int) -> None:
        if (tenths := 10 * here // total) > self.tenths:
            self.tenths = tenths
            print(f"{self.name}: {here / 2**20:,.1f} of {total / 2**20:,.1f} MiB", file=self.stream, flush=True)
