"""A model file's header, read with bounds and without torch: one .safetensors that describes itself.

Layout (safetensors): 8 bytes of header length, a JSON header {tensor: {dtype, shape, data_offsets}, "__metadata__":
{"striate": JSON}}, the numbers.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.refusal import CannotRead
from striate.blueprint.serial import graph_from_json

LONGEST_HEADER = 64 * 2**20
FORMAT = 1


class Header(NamedTuple):
    """What a model file says of itself before any weight is read."""

    graph: Graph
    metadata: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]


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
        raise CannotRead(f"Cannot read {path}: {error.strerror or error}.") from None
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
        said = json.loads(notes["striate"])
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
        dtypes = {name: str(entry["dtype"]) for name, entry in header.items()}
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        graph = graph_from_json(said.pop("graph"))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, CannotRead):
            raise
        raise CannotRead(
            f"Cannot read {path}: its description of the network is damaged ({error}).", ways=_WAYS
        ) from None
    if size != (promised := 8 + length + end):
        state = "cut short" if size < promised else "longer than it should be"
        raise CannotRead(f"Cannot read {path}: it is {state}, {size:,} bytes where its header promises {promised:,}.")
    return Header(graph, said, shapes, dtypes)


_WAYS = "A model file is what `striate train` leaves in its run's folder, or striate.save(model, path) writes."
