"""Blueprints and graphs as JSON, both ways, without loss. A file holds names and numbers only: nothing in it is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, cast

from striate.blueprint.graph import Graph, Node, Pen
from striate.blueprint.layer import Layer, Placed
from striate.blueprint.layers import LAYERS, Foreign
from striate.blueprint.refusal import CannotRead, CannotWrite, NotFound, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.window import Field
from striate.blueprint.wiring import JOINS, WIRINGS, Blueprint, Wiring

Json = dict[str, Any]
DEEPEST = 64  # levels of a blueprint in a file


def to_json(part: Blueprint) -> Json:
    """{"Conv": {"out_channels": 64, "kernel_size": 3}}: one key, the class; only what is not the default is said."""
    if isinstance(part, Foreign) or type(part).__name__ not in (LAYERS | WIRINGS):
        raise CannotWrite(
            f"Cannot write {part!r} to a file: it is code, and a file holds none.",
            "",
            "Only the layers and wirings of striate.blueprint can be written.",
        )
    values = ((f, getattr(part, f.name)) for f in fields(cast(Any, part)))
    return {type(part).__name__: {f.name: _plain(v) for f, v in values if f.default is MISSING or v != f.default}}


def _plain(value: Any) -> Any:
    if isinstance(value, Layer | Wiring):
        return to_json(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def from_json(data: Json, layers: Mapping[str, type[Layer]] = LAYERS, depth: int = 0) -> Blueprint:
    """A blueprint from `to_json`. Raises CannotRead; NotFound for a layer that is not known (yours go in `layers`)."""
    if not isinstance(data, dict) or len(data) != 1:
        raise CannotRead(
            f"Cannot read a blueprint from {_short(data)}: one key is wanted, the name of a layer or wiring."
        )
    if depth > DEEPEST:
        raise CannotRead(f"Cannot read a blueprint nested deeper than {DEEPEST} levels.")
    [(name, said)] = data.items()
    known: dict[str, Any] = {**layers, **WIRINGS}
    if name not in known:
        raise NotFound("layer", str(name), known)
    if not isinstance(said, dict):
        raise CannotRead(f"Cannot read {name} from {_short(said)}: its fields are wanted, by name.")
    values = {key: _back(value, layers, depth + 1) for key, value in said.items()}
    try:
        if name in ("Seq", "Concat", "Dense"):
            [parts] = values.values() or [()]
            return known[name](**dict(parts))  # type: ignore[no-any-return]
        return known[name](**values)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        if isinstance(error, Refusal):
            raise
        raise CannotRead(f"Cannot read {name} from {_short(said)}: {_about(error)}.") from None


def _back(value: Any, layers: Mapping[str, type[Layer]], depth: int) -> Any:
    if depth > DEEPEST:
        raise CannotRead(f"Cannot read a blueprint nested deeper than {DEEPEST} levels.")
    if isinstance(value, list):
        return tuple(_back(v, layers, depth + 1) for v in value)
    return from_json(value, layers, depth + 1) if isinstance(value, dict) else value


def graph_to_json(graph: Graph) -> Json:
    """The flat program: {"input": [3, 224, 224], "nodes": [[name, op, inputs], …], "taps": {…}}."""
    nodes = [
        [
            node.name,
            node.op if isinstance(node.op, str) else to_json(node.op),
            list(node.inputs),
            *([node.twin] if node.twin else []),
        ]
        for node in graph.nodes[1:]
    ]
    return {"input": list(graph.volume), "nodes": nodes, "taps": dict(graph.taps)}


def graph_from_json(data: Json, layers: Mapping[str, type[Layer]] = LAYERS) -> Graph:
    """The graph again, every node placed anew. Raises CannotRead and whatever placing raises."""
    try:
        volume, listed, taps = Volume(*data["input"]).checked(), data["nodes"], dict(data["taps"])
        pen = Pen({}, {}, {})
        pen._write(Node("input", "input", (), Placed(volume), Field()))
        for name, op, inputs, *twin in listed:
            if (
                not all(i in pen.nodes for i in inputs)
                or not isinstance(name, str)
                or (isinstance(op, str) and op not in JOINS)
            ):
                raise CannotRead(
                    f"Cannot read node {_short(name)}: it reads {_short(inputs)}, which are not all earlier nodes."
                )
            at = Pen(pen.nodes, {}, {}, name, None, (name, twin[0]) if twin else None)
            if isinstance(op, str):
                at.join(op, list(inputs))
            else:
                layer = from_json(op, layers)
                if not isinstance(layer, Layer):
                    raise CannotRead(f"Cannot read node {name}: a node holds a layer, not {type(layer).__name__}.")
                at.place(layer, inputs[0])
        if "out" not in taps or not all(node in pen.nodes for node in taps.values()):
            raise CannotRead(f"Cannot read the ways out {_short(taps)}: each names a node, and one is called out.")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, Refusal):
            raise
        raise CannotRead(f"Cannot read a graph from {_short(data)}: {_about(error)}.") from None
    return Graph(tuple(pen.nodes.values()), taps)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) < 80 else text[:77] + "…"


def _about(error: Exception) -> str:
    """What a constructor has against its fields; of any other error, only that there was one."""
    if isinstance(error, KeyError):
        return f'"{error.args[0]}" is missing'
    return str(error).partition(".__init__() ")[2] or "it is not written as it should be"
