"""What of a report is done, beside where it is to be, until it is whole: who was stopped, or killed, goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate import __version__
from striate.blueprint import CannotWrite
from striate.blueprint.files import unwritten, write_atomically
from striate.data import Images, Streamed
from striate.visualize.views import VIEWS
from striate.visualize.wanted import View, Wanted

MOST = 1 << 27  # bytes of a part
FILES = ("image", "like")  # of what is wanted: what they hold counts, not their names alone
FOLDERS = ("along", "boxes")  # and of these, for who needs them, the names, sizes and times of all that is in them
NAMES = (
    "name", "unit", "layer", "method", "measure", "target", "along", "boxes", "points", "images", "seed", "rule",
    "relief", "steps",
)  # fmt: skip


class Parts(NamedTuple):
    """A folder of parts, and what all of them follow from: weights, data, and what else is wanted, as a digest."""

    folder: Path
    follows: str

    @classmethod
    def beside(cls, path: Path, of: Wanted) -> Parts:
        """Of a report that is to be at `path`."""
        said = _digest([__version__.encode(), *_weights(of.model), *_data(of)])
        said.update(repr([getattr(of, name) for name in NAMES]).encode())
        if of.other:
            said.update(repr((of.other.name, of.other.rule)).encode())
            for part in _weights(of.other.model):
                said.update(part)
        return cls(path.with_name(f"{path.stem}.parts"), said.hexdigest())

    def of(self, view: str, of: Wanted) -> Path:
        """Where a view is kept."""
        said = _digest([self.follows.encode(), view.encode()])
        for name in FILES:
            if path := getattr(of, name):
                said.update(repr(path).encode())
                with suppress(OSError):
                    said.update(Path(path).read_bytes() if Path(path).is_file() else b"")
        for name in FOLDERS:
            if name in VIEWS[view].needs:
                said.update(repr([*self._beyond(Path(getattr(of, name)).resolve())]).encode())
        return self.folder / f"{view}-{said.hexdigest()[:24]}.json"

    def _beyond(self, root: Path) -> Iterable[tuple[str, int, int]]:
        """Of all files under a folder, or of the one that it is, but for the parts themselves: path, bytes, time."""
        mine = self.folder.resolve()
        for place in sorted(root.rglob("*")) if root.is_dir() else [root]:
            with suppress(OSError):
                if place.is_file() and mine not in place.parents:
                    state = place.stat()
                    yield str(place), state.st_size, state.st_mtime_ns

    def kept(self, place: Path) -> View | None:
        """The view that is there; what cannot be read is as if it were not."""
        try:
            if place.stat().st_size > MOST:
                return None
            found = json.loads(place.read_text(encoding="utf-8"))
            return View(b64decode(found["png"], validate=True), dict(found["facts"]), str(found["line"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def keep(self, place: Path, shown: View) -> None:
        """Raises CannotWrite, also for facts that JSON cannot hold."""
        found = {"png": b64encode(shown.png).decode(), "facts": shown.facts, "line": shown.line}
        try:
            text = json.dumps(found)
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritten(self.folder, error) from None
        except (TypeError, ValueError) as error:
            raise CannotWrite(f"Cannot write {place}: {error}.") from None
        write_atomically(place, text)
        taken_away(shown.kept)

    def done_with(self, places: Iterable[Path]) -> None:
        """They are in a report now; parts of others stay."""
        for place in places:
            with suppress(OSError):  # what could not be kept, for one
                place.unlink()
        with suppress(OSError):
            self.folder.rmdir()


def taken_away(folders: Iterable[Path]) -> None:
    """What a view kept for going on with it."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _digest(parts: Iterable[bytes | memoryview]) -> hashlib._Hash:
    said = hashlib.sha256()
    for part in parts:
        said.update(part)
    return said


def _weights(model: nn.Module) -> Iterable[bytes | memoryview]:
    """And what the model's file says of them: classes, how images are prepared."""
    yield str(model).encode()
    yield repr(getattr(model, "metadata", {})).encode()
    for name, tensor in model.state_dict().items():
        yield name.encode()
        yield _bytes(tensor)


def _data(of: Wanted) -> Iterable[bytes | memoryview]:
    if of.data is None:
        return
    yield repr((of.data.name, of.data.strange)).encode()
    for split in (of.data.splits.train, of.data.splits.test):
        yield _bytes(split.labels)
        yield from _pixels(split)


def _pixels(split: Images | Streamed) -> Iterable[bytes | memoryview]:
    if isinstance(split, Images):
        yield _bytes(split.pixels)
    else:
        for picture in split.pictures:
            yield picture.name.encode()
            if (path := getattr(picture, "path", getattr(picture, "archive", None))) is not None:
                with suppress(OSError):
                    state = path.stat()
                    yield f"{state.st_size} {state.st_mtime_ns}".encode()


def _bytes(tensor: Tensor) -> memoryview:
    view: memoryview = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
    return view
