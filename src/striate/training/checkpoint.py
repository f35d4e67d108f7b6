"""Checkpoints: all that a training is after one step, in a file that is whole or not there, and that knows its digest.

A run's folder `checkpoints/` holds the last KEPT of them, STEP-DIGEST.safetensors: the file's own SHA-256 is its name,
so a flipped bit is found, whichever it is, and the one before is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from striate.blueprint import CannotRead, Graph, Refusal, graph_from_json
from striate.blueprint.files import write_atomically
from striate.training.events import Checkpoint

FOLDER = "checkpoints"
FORMAT = 1
KEPT = 2  # the newest, and the one before it in case the newest is damaged
DIGITS = 32  # of the digest, in a name


class Snapshot(NamedTuple):
    """`said` is JSON: the recipe, the state's numbers, what is to be known of the network and its data."""

    graph: Graph
    tensors: dict[str, Tensor]
    said: dict[str, Any]


def listed(folder: Path) -> list[Path]:
    """A run's checkpoints, the newest first."""
    return sorted((folder / FOLDER).glob("*-*.safetensors"), reverse=True)


def write(folder: Path, step: int, tensors: Mapping[str, Tensor], said: Mapping[str, Any]) -> Checkpoint:
    """On the disk when it returns; those older than the one before are gone then. Raises CannotWrite."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    content = to_bytes(dict(tensors), {"striate": json.dumps({"format": FORMAT, **said}, ensure_ascii=False)})
    name = f"{step:010}-{hashlib.sha256(content).hexdigest()[:DIGITS]}.safetensors"
    path = write_atomically(place / name, content)
    for old in [*listed(folder)[KEPT:], *place.glob(".*.part")]:  # a .part: somebody was killed while writing it
        with suppress(OSError):
            old.unlink()
    return Checkpoint(path, step)


def read(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest checkpoint that is whole (None: there is none), and what is wrong with each newer one."""
    damaged: list[str] = []
    for path in listed(folder):
        try:
            return _read(path), damaged
        except CannotRead as refusal:
            damaged.append(str(refusal).splitlines()[0])
    return None, damaged


def _read(path: Path) -> Snapshot:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
        if digest != path.stem.partition("-")[2]:
            raise CannotRead(f"Cannot read {path}: it is damaged, its digest is no longer the one in its name.")
        with safe_open(path, "pt") as opened:
            said = json.loads((opened.metadata() or {})["striate"])
        if said.pop("format") != FORMAT:
            raise CannotRead(f"Cannot read {path}: another version of Striate wrote it.")
        return Snapshot(graph_from_json(said.pop("graph")), load_file(path), said)
    except CannotRead:
        raise
    except OSError as error:
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError, Refusal):
        raise CannotRead(f"Cannot read {path}: it is no checkpoint of a run.") from None


def forget(folder: Path) -> None:
    """Take a run's checkpoints away: it is done, its model is there."""
    with suppress(OSError):
        for path in [*listed(folder), *(folder / FOLDER).glob(".*.part")]:
            path.unlink(missing_ok=True)
        (folder / FOLDER).rmdir()


class Writer:
    """Writes checkpoints beside the training, which gives a copy away and goes on. One at a time: the next waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._under_way: Future[Checkpoint] | None = None

    def begin(
        self, step: int, tensors: Mapping[str, Tensor], said: Callable[[], Mapping[str, Any]]
    ) -> list[Checkpoint]:
        """Gives the checkpoint before, if this one had to wait for it. Raises what writing that raised."""
        before = self.finish()
        copies = {
            name: torch.clone(tensor, memory_format=torch.contiguous_format).cpu() for name, tensor in tensors.items()
        }
        numbers = said()
        self._under_way = self._pool.submit(write, self.folder, step, copies, numbers)
        return before

    def done(self) -> list[Checkpoint]:
        """The one under way, if it is on the disk by now. Raises CannotWrite if it could not be."""
        return self.finish() if self._under_way and self._under_way.done() else []

    def finish(self) -> list[Checkpoint]:
        """The one under way, waited for."""
        under_way, self._under_way = self._under_way, None
        return [under_way.result()] if under_way else []

    def close(self) -> None:
        self._pool.shutdown(wait=True)
