"""Files of weights, opened so that nothing they hold is run and nothing is read before it is known to fit.

| file | opened with | bounded by |
|---|---|---|
| `.safetensors` | safetensors' reader, mapped | its header: 64 MiB at most, held against the file's size |
| `.pth`, `.pt`, `.bin` | `torch.load(weights_only=True)`, and no other way | its pickle, which may name tensors only |
| `.npz` | numpy, `allow_pickle=False`, one array at a time | each array's own header, read first |
"""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from striate.blueprint import CannotRead
from striate.blueprint.modelfile import LONGEST_HEADER
from striate.nn.weights.pickles import check_pickle

Shape = tuple[int, ...]
MOST_TENSORS = 100_000


class Source(NamedTuple):
    """Named tensors somewhere: their shapes are known, their numbers are read one by one."""

    label: str  # how messages call it
    shapes: Mapping[str, Shape]
    read: Callable[[str], Tensor]
    ordered: bool = True  # whether the names come in the order in which the network was written
    metadata: Mapping[str, Any] = {}


def from_state(state: Mapping[str, Tensor], label: str = "the state") -> Source:
    """A state dict, such as another module's `state_dict()`."""
    return Source(label, {name: tuple(tensor.shape) for name, tensor in state.items()}, state.__getitem__)


def open_weights(path: str | Path) -> Source:
    """What a file holds. Raises CannotRead: not there, cut short, not what its name says, or more than tensors."""
    path = Path(path)
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        known = ", ".join(OPENERS)
        raise CannotRead(f'Cannot read {path}: "{path.suffix}" is no file of weights.', ways=f"Read here: {known}.")
    try:
        if not (size := path.stat().st_size):
            raise CannotRead(f"Cannot read {path}: the file is empty.")
        source = opener(path, size)
    except CannotRead:
        raise
    except OSError as error:
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None
    except Exception as error:  # whatever a reader makes of damaged or hostile bytes
        raise CannotRead(f"Cannot read {path}: {_reason(error)}.", ways=_WHOLE) from None
    if not 0 < len(source.shapes) <= MOST_TENSORS:
        raise CannotRead(
            f"Cannot read {path}: it holds {len(source.shapes):,} tensors, from 1 to {MOST_TENSORS:,} fit."
        )
    return source._replace(read=partial(_read, path, source.read))


def _read(path: Path, read: Callable[[str], Tensor], name: str) -> Tensor:
    try:
        return read(name)
    except Exception as error:  # as above: damage may show only where the numbers stand
        raise CannotRead(f"Cannot read {name} in {path}: {_reason(error)}.", ways=_WHOLE) from None


def _safetensors(path: Path, size: int) -> Source:
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
    if not 2 <= length <= min(LONGEST_HEADER, size - 8):
        kind = (
            "a pickle or a zip under another name"
            if start[:2] in (b"PK", b"\x80\x02", b"\x80\x04")
            else "no safetensors"
        )
        claim = f"{size:,} bytes, and a header of {max(length, 0):,} claimed"
        raise CannotRead(f"Cannot read {path}: it is {kind}: {claim}.", ways=_WHOLE)
    held = safe_open(path, framework="pt")
    shapes = {name: tuple(held.get_slice(name).get_shape()) for name in held.keys()}  # noqa: SIM118 (no mapping)
    notes = json.loads((held.metadata() or {}).get("striate", "{}"))
    return Source(path.name, shapes, held.get_tensor, False, notes if isinstance(notes, dict) else {})


def _torch(path: Path, size: int) -> Source:
    zipped = check_pickle(path, size)
    with warnings.catch_warnings(action="ignore"):  # of odd protocols: what is odd ends as a refusal or is read
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    state = _state(path, held)
    return from_state({name: tensor.detach() for name, tensor in state.items()}, path.name)


def _state(path: Path, held: Any) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint: itself, or the one part of it that is nothing but tensors."""
    if _is_state(held):
        return held  # type: ignore[no-any-return]
    parts = [key for key, value in held.items() if _is_state(value)] if isinstance(held, Mapping) else []
    chosen = [key for key in parts if key in ("state_dict", "model", "model_state_dict")] or parts
    if len(chosen) != 1:
        found = f"it holds several: {', '.join(map(str, parts))}" if parts else "it holds no named tensors"
        raise CannotRead(f"Cannot read {path}: {found}.", ways="Save the one that is meant: torch.save(state, FILE).")
    return held[chosen[0]]  # type: ignore[no-any-return]


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _npz(path: Path, size: int) -> Source:
    archive = zipfile.ZipFile(path)
    shapes: dict[str, Shape] = {}
    for entry in archive.infolist()[: MOST_TENSORS + 1]:
        with archive.open(entry) as member:
            version = np.lib.format.read_magic(member)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](member)
        if dtype.kind not in "fiub":
            raise CannotRead(f"Cannot read {path}: {entry.filename} holds {dtype}, numbers are wanted.")
        shapes[entry.filename.removesuffix(".npy")] = shape

    def read(name: str) -> Tensor:
        with archive.open(f"{name}.npy") as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))

    return Source(path.name, shapes, read)


OPENERS: dict[str, Callable[[Path, int], Source]] = {
    ".safetensors": _safetensors,
    ".pth": _torch,
    ".pt": _torch,
    ".bin": _torch,
    ".npz": _npz,
}
_WHOLE = "A file cut short on its way here is fetched again; a pickle of code is not read at all."


def _reason(error: Exception) -> str:
    said = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".") or type(error).__name__
    kind = "its safetensors header is damaged, " if isinstance(error, SafetensorError) else "it is damaged, "
    return f"{kind}{said[:1].lower()}{said[1:160]}"
