"""Checkpoints: all that a training is after one step, in a file that is whole or not there, and that knows its digest.

A run's folder `checkpoints/` holds the last KEPT of them, STEP-DIGEST.safetensors: the file's own digest is its name,
so a flipped bit is found, whichever it is, and the one before is used. It is there to find damage and nobody's malice:
XXH3, 64 bits, for SHA-256 held training up (and is still read: its first 32 digits).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from striate.blueprint import CannotRead, CannotTrain, Graph, Refusal, graph_from_json
from striate.blueprint.files import sync_folder, unwritten, write_atomically
from striate.data.threads import apart
from striate.training.events import Checkpoint

FOLDER = "checkpoints"
FORMAT = 1
CHUNK = 1 << 20  # bytes that are still in the cache when they are written, since their digest was just taken
KEPT = 2  # the newest, and the one before it in case the newest is damaged
HALVES = {torch.float16: "F16", torch.bfloat16: "BF16"}
FLOATS = {torch.float64: "F64", torch.float32: "F32", **HALVES}
WHOLE = {torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8"}
TYPES = FLOATS | WHOLE | {torch.bool: "BOOL"}  # as safetensors has them


class Snapshot(NamedTuple):
    """`said` is JSON: the recipe, the state's numbers, what is to be known of the network and its data."""

    graph: Graph
    tensors: dict[str, Tensor]
    said: dict[str, Any]


def often(seconds: float) -> float:
    """The seconds between checkpoints, as they are. Raises CannotTrain for what is no number of 0 or more."""
    if not 0 <= seconds < inf:
        ways = "A number of 0 (after every step) or more; where a run is stopped one is written in any case."
        raise CannotTrain(f"Cannot write a checkpoint every {seconds:g} seconds.", ways=ways)
    return seconds


def listed(folder: Path) -> list[Path]:
    """A run's checkpoints, the newest first."""
    return sorted((folder / FOLDER).glob("*-*.safetensors"), reverse=True)


def write(folder: Path, step: int, copy: Copy, said: Mapping[str, Any]) -> Checkpoint | None:
    """On the disk when it returns; those older than the one before are gone then. None, and nothing is written, where a
    weight or statistic is not finite: nobody could go on from there. Raises CannotWrite.
    """
    from xxhash import xxh3_64

    if not all(_finite(tensor) for name, tensor in copy.tensors.items() if not name.startswith("optimizer.")):
        return None
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    digest = xxh3_64()

    def counted() -> Iterator[bytes | memoryview]:
        for part in copy.parts({"format": FORMAT, **said}):
            digest.update(part)
            yield part

    draft = write_atomically(place / f".{step:010}.part", counted())
    path = place / f"{step:010}-{digest.hexdigest()}.safetensors"
    try:
        os.replace(draft, path)
    except OSError as error:
        raise unwritten(path, error) from None
    sync_folder(place)
    for old in [*listed(folder)[KEPT:], *place.glob(".*.part")]:  # a .part: somebody was killed while writing it
        with suppress(OSError):
            old.unlink()
    return Checkpoint(path, step)


def _finite(tensor: Tensor) -> bool:
    """Whether all of it are numbers, in one pass and without a copy."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(isfinite(end) for end in torch.stack(torch.aminmax(tensor)).tolist())


class Copy:
    """Room for tensors like these as a .safetensors file has them: one after the other, row by row, whatever their own
    layout. It is kept from one checkpoint to the next: fresh pages would take longer than the copying. The library's
    `save` gives the same file, and holds the interpreter's lock while it copies: the training would wait.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        ordered = sorted(
            tensors.items(), key=lambda item: (-item[1].element_size(), item[0])
        )  # each begins where it may
        self._bytes = torch.empty(sum(tensor.nbytes for _, tensor in ordered), dtype=torch.uint8)
        self._header: dict[str, Any] = {}
        self.tensors: dict[str, Tensor] = {}
        end = 0
        for name, tensor in ordered:
            start, end = end, end + tensor.nbytes
            shape, kind = list(tensor.shape), tensor.dtype
            self._header[name] = {"dtype": TYPES[kind], "shape": shape, "data_offsets": [start, end]}
            self.tensors[name] = self._bytes[start:end].view(kind).view(shape)

    @torch.no_grad()
    def of(self, tensors: Mapping[str, Tensor]) -> Copy:
        """Now with these tensors' numbers."""
        torch._foreach_copy_([self.tensors[name] for name in tensors], list(tensors.values()))
        return self

    def parts(self, said: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
        """The file: 8 bytes of length, the header, the tensors."""
        notes = {"striate": json.dumps(said, ensure_ascii=False)}
        text = json.dumps({"__metadata__": notes, **self._header}, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        yield len(text).to_bytes(8, "little") + text
        content = self._bytes.numpy().data
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]


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
        if not _whole(path):
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


def _whole(path: Path) -> bool:
    """Whether its digest is the one in its name."""
    from xxhash import xxh3_64

    named = path.stem.partition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256" if len(named) == 32 else xxh3_64).hexdigest()
    return found == named or (len(named) == 32 and found.startswith(named))


def forget(folder: Path) -> None:
    """Take a run's checkpoints away: it is done, its model is there."""
    with suppress(OSError):
        for path in [*listed(folder), *(folder / FOLDER).glob(".*.part")]:
            path.unlink(missing_ok=True)
        (folder / FOLDER).rmdir()


class Writer:
    """Writes checkpoints beside the training, which gives a copy away and goes on. One at a time: the next waits.

    The copy is laid out as in the file: all threads do that together sooner than one beside the training. Its thread is
    as urgent as the others: one that waited for a processor with the interpreter's lock in its hand would hold training
    up for a dozen steps where other programs are busy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # On one thread of its own: a second team of threads and the training's would wait for each other, also while it
        # has nothing to do.
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(1, "checkpoint", apart)
        self._pool.submit(int).result()
        torch.set_num_threads(threads)  # what the pool's thread said of itself is for it alone
        self._under_way: Future[Checkpoint | None] | None = None
        self._copy: Copy | None = None

    @property
    def busy(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def begin(
        self, step: int, tensors: Mapping[str, Tensor], said: Callable[[], Mapping[str, Any]]
    ) -> list[Checkpoint]:
        """Gives the checkpoint before, if this one had to wait for it. Raises what writing that raised."""
        before = self.finish()
        if not self._copy or self._copy.tensors.keys() != tensors.keys():
            self._copy = Copy(tensors)
        self._under_way = self._pool.submit(write, self.folder, step, self._copy.of(tensors), said())
        return before

    def done(self) -> list[Checkpoint]:
        """The one under way, if it is on the disk by now. Raises CannotWrite if it could not be."""
        return self.finish() if self._under_way and self._under_way.done() else []

    def finish(self) -> list[Checkpoint]:
        """The one under way, waited for."""
        under_way, self._under_way = self._under_way, None
        written = under_way.result() if under_way else None
        return [written] if written else []

    def close(self) -> None:
        self._pool.shutdown(wait=True)
