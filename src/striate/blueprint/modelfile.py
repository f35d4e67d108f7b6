"""A model file's header, read with bounds and without torch: one .safetensors that describes itself.

Layout (safetensors): 8 bytes of header length, a JSON header {tensor: {dtype, shape, data_offsets}, "__metadata__":
{"striate": JSON}}, the numbers.
"""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.refusal import CannotRead, NotFound, Refusal
from striate.blueprint.serial import graph_from_json

LONGEST_HEADER = 64 * 2**20
FORMAT = 1
MODEL = "model.safetensors"  # as a run's folder has it
SHIPPED = Path(__file__).parents[1] / "nn" / "shipped"  # networks that come trained: lenet5-mnist, …
PARTS: dict[str, type] = {
    "classes": list,
    "preprocessing": dict,
    "provenance": dict,
}  # what may be said beside the graph
WIDTHS = {  # bytes of a number, by safetensors' name
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


class Header(NamedTuple):
    """What a model file says of itself before any weight is read."""

    graph: Graph
    metadata: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]


def shipped() -> list[str]:
    """The names of the trained networks that come along."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def model_file(path: str | Path) -> Path:
    """A model file, the one in a run's folder, or the one that comes along by that name. Raises CannotRead for a folder
    that has none.
    """
    if str(path) in shipped() and not Path(path).exists():
        return SHIPPED / f"{path}.safetensors"
    path = Path(path)
    if path.is_dir() and not (path / MODEL).is_file():
        raise CannotRead(f"Cannot read {path}: it is a folder, and no {MODEL} is in it.", ways=_WAYS)
    return path / MODEL if path.is_dir() else path


def read_header(path: str | Path) -> Header:
    """Raises CannotRead: not there, cut short, a pickle, somebody else's safetensors, or a header that lies about its
    size.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(LONGEST_HEADER, size - 8):
                if start.startswith((b"PK\x03\x04", b"\x80")):
                    raise CannotRead(
                        f"Cannot read {path}: it is a pickle, and a pickle runs the code it holds.",
                        ways="Striate writes and reads .safetensors.",
                    )
                raise CannotRead(
                    f"Cannot read {path}: no model file: {size:,} bytes, and a header of {max(length, 0):,} claimed.",
                    ways=_WAYS,
                )
            header = json.loads(file.read(length))
    except OSError as error:
        ways = _WAYS if isinstance(error, FileNotFoundError) else ""
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.", ways=ways) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, CannotRead):
            raise
        raise CannotRead(f"Cannot read {path}: its header is not JSON.", ways=_WAYS) from None
    if not isinstance(header, dict):
        raise CannotRead(f"Cannot read {path}: its header is not a table of tensors.", ways=_WAYS)
    notes = header.pop("__metadata__", None)
    if not isinstance(notes, dict) or "striate" not in notes:
        raise CannotRead(
            f"Cannot read {path}: its {len(header)} tensors do not say which network they belong to.",
            ways=_WAYS,
        )
    try:
        said = read_notes(notes["striate"])
        graph, end = graph_from_json(said.pop("graph", None)), _end_of(header)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        why = str(error) if isinstance(error, Refusal) else ""
        raise CannotRead(f"Cannot read {path}: what it says of itself does not read.", why, _WAYS) from None
    if size != (promised := 8 + length + end):
        state = "cut short" if size < promised else "longer than it should be"
        raise CannotRead(f"Cannot read {path}: it is {state}, {size:,} bytes where its header promises {promised:,}.")
    shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    return Header(graph, said, shapes, {name: entry["dtype"] for name, entry in header.items()})


def read_notes(text: str) -> dict[str, Any]:
    """What `striate.save` writes into the header, each part the kind of value that its readers count on. Raises
    CannotRead, ValueError or TypeError (no JSON).
    """
    said = json.loads(text)
    if not isinstance(said, dict):
        raise CannotRead("It should be a dict.")
    if (form := said.get("format", FORMAT)) != FORMAT:
        raise CannotRead(f"Its format is {form}; this version reads format {FORMAT}.")
    for part, kind in PARTS.items():
        if said.get(part) is not None and not isinstance(said[part], kind):
            raise CannotRead(f"Its {part} should be a {kind.__name__}.")
    classes = said.get("classes") or []
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise CannotRead("Its classes should be so many different names.")
    return said


def _end_of(tensors: dict[str, Any]) -> int:
    """Where the last number ends: the tensors follow each other without gap or overlap, each as long as it must be."""
    end = 0
    for name, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        shape, (begin, after), dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
        if dtype not in WIDTHS:
            raise NotFound("dtype of a tensor", str(dtype), WIDTHS)
        if not all(isinstance(n, int) and n >= 0 for n in shape) or begin != end:
            raise CannotRead(f"Its tensor {name} is out of place: {shape} at {begin}, {end} expected.")
        end += prod(shape) * WIDTHS[dtype]
        if after != end:
            raise CannotRead(f"Its tensor {name} takes bytes {begin} to {after}; {shape} of {dtype} end at {end}.")
    return end


_WAYS = (
    "A model file is what `striate train` leaves in its run's folder, or striate.save(model, path) writes; "
    f"these come along: {', '.join(shipped())}."
)
