"""A model file's header: read as it was written, and refused in words wherever it is not what it should be."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from striate.blueprint import Conv, GlobalPool, Linear, Seq, draft
from striate.blueprint.modelfile import read_header
from striate.blueprint.refusal import CannotRead
from striate.blueprint.serial import graph_to_json

GRAPH = draft(Seq(conv=Conv(2, 3), mean=GlobalPool(), fc=Linear(3)), "1x8x8")
NOTES = {
    "format": 1,
    "graph": graph_to_json(GRAPH),
    "classes": ["a", "b", "c"],
    "preprocessing": {},
    "provenance": {},
}
SHAPES = {"conv.bias": [2], "conv.weight": [2, 1, 3, 3], "fc.bias": [3], "fc.weight": [3, 2]}
ENDS = (0, 8, 80, 92, 116)
TENSORS = {
    name: {"dtype": "F32", "shape": shape, "data_offsets": [*ENDS[i : i + 2]]}
    for i, (name, shape) in enumerate(SHAPES.items())
}


def written(path: Path, notes: Any = NOTES, tensors: Any = TENSORS, body: int = ENDS[-1]) -> Path:
    header = json.dumps({"__metadata__": {"striate": json.dumps(notes)}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(body))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    header = read_header(written(tmp_path / "m.safetensors"))
    assert header.graph == GRAPH
    assert header.shapes == {name: tuple(shape) for name, shape in SHAPES.items()}
    assert header.metadata["classes"] == ["a", "b", "c"]


DAMAGE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("a later format", lambda notes: notes.update(format=9), "Its format is 9; this version reads format 1"),
    ("no graph", lambda notes: notes.pop("graph"), "Cannot read a graph from null"),
    ("no nodes", lambda notes: notes["graph"].pop("nodes"), '"nodes" is missing'),
    ("half a pixel", lambda notes: notes["graph"].update(input=[1, 8.5, 8]), "8.5; it must be a whole number"),
    ("words for an input", lambda notes: notes["graph"].update(input="abc"), "'a'; it must be a whole number"),
    ("1e9 channels", lambda notes: notes["graph"].update(input=[10**9, 8, 8]), "from 1 to 100,000,000"),
    ("an unknown layer", lambda notes: notes["graph"]["nodes"][0].__setitem__(1, {"Konv": {}}), "Near: Conv"),
    ("no field", lambda notes: notes["graph"]["nodes"][0].__setitem__(1, {"Conv": {}}), r"\{\}: missing 2 required"),
    ("an unknown field", lambda notes: notes["graph"]["nodes"][2][1]["Linear"].update(zz=1), "unexpected keyword"),
    ("reading itself", lambda notes: notes["graph"]["nodes"][0].__setitem__(2, ["fc"]), "not all earlier nodes"),
    ("numbers for nodes", lambda notes: notes["graph"].update(nodes=[1, None]), "not written as it should be"),
    ("numbers for classes", lambda notes: notes.update(classes=[1, 2, 3]), "so many different names"),
    ("a class twice", lambda notes: notes.update(classes=["a", "a", "b"]), "so many different names"),
    ("a number of classes", lambda notes: notes.update(classes=3), "classes should be a list"),
    ("a word for a table", lambda notes: notes.update(provenance="mine"), "provenance should be a dict"),
]


@pytest.mark.parametrize(("damage", "said"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_notes_that_do_not_read(tmp_path: Path, damage: Callable[[dict[str, Any]], object], said: str) -> None:
    notes: dict[str, Any] = deepcopy(NOTES)
    damage(notes)
    path = written(tmp_path / "m.safetensors", notes)
    with pytest.raises(CannotRead, match=said) as refused:
        read_header(path)
    assert refused.value.fact == f"Cannot read {path}: what it says of itself does not read."
    assert "striate train" in refused.value.ways


@pytest.mark.parametrize("notes", [None, 5, "x", [1, 2]])
def test_notes_of_another_kind(tmp_path: Path, notes: object) -> None:
    with pytest.raises(CannotRead, match="It should be a dict"):
        read_header(written(tmp_path / "m.safetensors", notes))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("conv.bias", {"data_offsets": [-5, 3]}, "out of place"),
        ("conv.weight", {"data_offsets": [0, 72]}, "out of place"),  # on top of the bias
        ("conv.weight", {"data_offsets": [12, 80]}, "out of place"),  # a gap
        ("fc.weight", {"data_offsets": [92, 10**15]}, "bytes 92 to 1000000000000000"),
        ("fc.weight", {"shape": [10**9, 10**9]}, "end at 4000000000000000092"),
        ("fc.weight", {"shape": [3, -2]}, "out of place"),
        ("fc.weight", {"shape": [3, 2.0]}, "out of place"),
        ("fc.weight", {"dtype": "F99"}, 'No dtype of a tensor "F99"'),
        ("fc.weight", {"shape": None}, "does not read"),
        ("fc.weight", {"data_offsets": "ab"}, "does not read"),
    ],
)
def test_tensors_that_do_not_follow_each_other(tmp_path: Path, name: str, change: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "m.safetensors", tensors={**TENSORS, name: {**TENSORS[name], **change}})
    with pytest.raises(CannotRead, match=said):
        read_header(path)


@pytest.mark.parametrize(("body", "said"), [(115, "it is cut short, "), (117, "it is longer than it should be, ")])
def test_another_length_than_promised(tmp_path: Path, body: int, said: str) -> None:
    with pytest.raises(CannotRead, match=said):
        read_header(written(tmp_path / "m.safetensors", body=body))
