"""What somebody names a network by, as a graph: a zoo name or call, a notation, a file, a blueprint, a module."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from striate.blueprint.graph import Graph, Node, draft
from striate.blueprint.layer import Layer
from striate.blueprint.layers import LAYERS
from striate.blueprint.modelfile import MODEL, model_file, read_header, shipped
from striate.blueprint.notation.text import UNSAID, WIDEST, Choice, without_choice
from striate.blueprint.passes import replay
from striate.blueprint.refusal import CannotJoin, CannotPlace, CannotRead, NotFound, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.window import FITS
from striate.blueprint.wiring import WIRINGS, Blueprint, Wiring

FILES = {
    ".txt",
    ".md",
    ".json",
    ".safetensors",
    ".striate",
}  # a name that ends so is a file's, even where there is none
NO_FILE = "A network is a file, one of the zoo (striate models), or its text itself, in quotes."
SOMEBODYS = re.compile(r"(timm|torchvision|[^\n(]+\.py):[\w.]")  # a module of a library's, or in a file of code
LONGEST = 16 * 2**20  # bytes of a text that describes a network; the longest of the zoo takes some 100,000


@dataclass(frozen=True)
class Source:
    """A network before it is placed: a blueprint, a graph already drafted, or what traces a module on a volume; the
    input it asks for, if it says one.
    """

    name: str
    network: Blueprint | Graph | Callable[[Any], Graph]
    volume: Volume | None = None
    skipped: tuple[Any, ...] = ()  # lines of a listing that say nothing of the network
    lines: Mapping[str, str] = field(
        default_factory=dict
    )  # of a text: the line that each node stands on, and its number
    entry: Any = None  # what the zoo knows of it: year, published accuracies

    def graph(self, volume: Volume | str | None = None, fit: str | None = None) -> Graph:
        """The network on that volume, else on its own. Raises Refusal where nobody says a volume, and as drafting."""
        volume = Volume.parse(volume) if isinstance(volume, str) else volume
        if fit is not None and fit not in FITS:
            raise NotFound("fit", fit, FITS)
        if isinstance(self.network, Graph):
            if volume in (None, self.network.volume) and fit is None:
                return self.network
            return replay(self.network, lambda node: _fitted(node, fit), volume and Volume(*volume).checked())
        if (volume := self.volume if volume is None else volume) is None:
            fact = f"Cannot price {self.name} without its input: it does not say which volume it reads."
            raise Refusal(
                fact,
                ways="Say it: 3x224x224, channels × height × width (--input on the command line, volume= in Python).",
            )
        if isinstance(self.network, Layer | Wiring):
            try:
                return draft(self.network, volume, fit, published=self.entry and self.entry.input)
            except (CannotPlace, CannotJoin) as refusal:
                refusal.written = self._line(refusal.where)
                raise
        if fit is not None:
            raise Refusal(f"Cannot give {self.name} a fit: a module has torch's, which floors.", ways="Leave fit out.")
        return self.network(volume)

    def _line(self, name: str) -> str:
        """Where the text says that node, or what it stands in."""
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return self.lines.get(name, "")


def _fitted(node: Node, fit: str | None) -> Layer | str:
    unsaid = fit is not None and getattr(node.op, "fit", fit) is None
    return replace(node.op, fit=fit) if unsaid else node.op  # type: ignore[type-var]


def source(network: Any) -> Source:
    """Whatever stands for a network. Raises NotFound, CannotRead."""
    if isinstance(network, Source):
        return network
    if isinstance(network, Graph):
        return Source("graph", network, network.volume)
    if isinstance(network, Layer | Wiring):
        return Source(type(network).__name__, network)
    if isinstance(network, Path):
        return from_file(network)
    if isinstance(network, str):
        return _named(network)
    if isinstance(getattr(network, "graph", None), Graph):  # a module that striate.build made
        return Source(type(network).__name__, network.graph, network.graph.volume)
    if any(base.__module__ == "torch.nn.modules.module" for base in type(network).__mro__):
        return Source(type(network).__name__, partial(import_module("striate.nn").trace, network))
    wanted = "a network is a blueprint, a graph, a module, a name of the zoo, or a text in any notation"
    raise Refusal(f"Cannot price a {type(network).__name__}: {wanted}.")


def argument(text: str, choice: Choice = UNSAID) -> Source:
    """What was typed on a command line: "-" and files too; `vgg16` is the zoo's even beside such a file (./vgg16).

    `choice` is of one network, where a listing leaves several open.
    """
    if SOMEBODYS.match(text):
        without_choice(text, choice)
        found = import_module("striate.nn.tracing.named").named(text)
        return Source(found.name, partial(import_module("striate.nn").trace, found.module), found.volume)
    path = Path(text)
    like_a_file = not re.search(r"[\s()\[\]]", text) and ("/" in text or path.suffix.lower() in FILES)
    a_run = (path / MODEL).is_file() and text not in import_module("striate.zoo").NETWORKS
    a_file = text == "-" or like_a_file or a_run or text in shipped() or (path.is_file() and not _is_call(text))
    return from_file(text, choice) if a_file else _named(text, choice)


def _is_call(text: str) -> re.Match[str] | None:
    return re.fullmatch(r"\s*([\w.-]+)\s*(\(.*\))?\s*", text, re.DOTALL)


def _named(text: str, choice: Choice = UNSAID) -> Source:
    """A zoo name or call where it looks like one; else a notation."""
    opened = re.fullmatch(r"\s*([\w.-]+)\s*\([^)]*", text)
    opened = (
        opened if opened and opened[1] in import_module("striate.zoo").NETWORKS else None
    )  # its bracket is not closed
    if (call := opened or _is_call(text)) and call[1] not in LAYERS and call[1] not in WIRINGS:
        from striate import zoo

        entry, blueprint = zoo.call(text.strip())
        own = ", ".join(f"{option}={value!r}" for option, value in zoo.options(entry.name).items())
        without_choice(text.strip(), choice, own and f"Its own options are said in a call: {entry.name}({own})")
        return Source(text.strip(), blueprint, entry.input, entry=entry)
    return from_text(text, "the text", choice)


def from_text(text: str, name: str, choice: Choice = UNSAID) -> Source:
    """A network in any notation. Raises CannotRead with line and column."""
    from striate.blueprint.notation import read

    reading = read(text, choice=choice)
    said = text.split("\n")
    lines = {node: f"line {n}: {said[n - 1].strip()[:WIDEST]}" for node, n in reading.lines.items() if said[1:]}
    return Source(name, reading.blueprint, reading.volume, tuple(reading.skipped), lines)


def from_file(path: str | Path, choice: Choice = UNSAID) -> Source:
    """A model (.safetensors, or the run's folder with it), a blueprint or graph (.json), a text in any notation ("-":
    what is piped in).

    Raises CannotRead.
    """
    if str(path) == "-":
        return from_text(_decoded(sys.stdin.buffer.read(LONGEST + 1), "what is piped in"), "the text", choice)
    path = model_file(path)
    if path.suffix in (".safetensors", ".json"):
        without_choice(str(path), choice)
    if path.suffix == ".safetensors":
        graph = read_header(path).graph
        return Source(path.resolve().parent.name if path.name == MODEL else path.name, graph, graph.volume)
    try:
        with path.open("rb") as file:
            text = _decoded(file.read(LONGEST + 1), str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, Refusal):
            raise
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise CannotRead(f"Cannot read {path}: {why}.", ways=_instead(path)) from None
    return _from_json(text, path) if path.suffix == ".json" else from_text(text, path.name, choice)


def _instead(path: Path) -> str:
    """What there is where a file is not."""
    folder = path.parent
    with suppress(OSError, ValueError):
        if not folder.is_dir():
            return f"There is no folder {folder}. A network of the zoo is named without one: striate models"
        if not path.exists():
            found = get_close_matches(path.name, os.listdir(folder))
            return f"Near: {', '.join(str(folder / name) for name in found)}." if found else NO_FILE
    return ""


def _from_json(text: str, path: Path) -> Source:
    from striate.blueprint.serial import from_json, graph_from_json

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise CannotRead(f"Cannot read {path}: it is not JSON{at}.") from None
    if isinstance(data, dict) and "nodes" in data:
        graph = graph_from_json(data)
        return Source(path.name, graph, graph.volume)
    return Source(path.name, from_json(data))


def _decoded(content: bytes, where: str) -> str:
    if len(content) > LONGEST:
        raise CannotRead(
            f"Cannot read {where}: more than {LONGEST // 2**20} MiB, which no description of a network is."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotRead(
            f"Cannot read {where}: byte {error.start:,} is no UTF-8; a text is wanted.",
            ways="A model file ends in .safetensors.",
        ) from None
