"""A network with its weights, in one call: a model file of ours, or a network of the zoo and weights from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate import zoo
from striate.blueprint import CannotLoad, Graph, Volume, draft, replace_head, replay
from striate.blueprint.modelfile import read_header
from striate.nn import files
from striate.nn.build import Network, build
from striate.nn.weights import published
from striate.nn.weights.adapt import first_readers
from striate.nn.weights.download import fetch, sha256, shown
from striate.nn.weights.move import Report, move
from striate.nn.weights.published import Published
from striate.nn.weights.source import OPENERS, Source, open_weights

A_NAME = re.compile(r"\s*[A-Za-z_]\w*\s*(\(.*\)\s*)?", re.S)


def load(
    network: str | Path,
    weights: str | Path | None = None,
    classes: int | Sequence[str] | None = None,
    in_channels: int | None = None,
    volume: Volume | str | None = None,
    except_: str | Sequence[str] = (),
) -> Network:
    """A network in evaluation mode, with its `metadata`, and its `report` where weights were moved.

        load("model.safetensors")                                   a model file of ours, as it was saved
        load("resnet50", weights="imagenet")                        published weights, fetched once
        load("resnet50", "imagenet", classes=["ant", "bee"])        the rows of shared names kept, else a new head
        load("resnet18", "theirs.pth", classes=10, in_channels=1)   any file of torchvision's or timm's names, or ours

    `network` is a model file or a name of the zoo; without `weights` a name is untrained. `volume` is what it is to
    read ("1x320x320"); `in_channels` changes that alone. Parts named in `except_` keep their initial weights.
    Raises CannotRead, CannotLoad, NotFound, and what placing the network on the volume raises.
    """
    named = isinstance(network, str) and A_NAME.fullmatch(network) is not None and not Path(network).exists()
    if not named and weights is None and classes is in_channels is volume is None and not except_:
        return files.load(network)
    source, line = _weights(network, named, weights)
    graph, metadata = _network(str(network), named, line)
    if volume is not None or in_channels is not None:
        size = graph.volume if volume is None else Volume.parse(volume) if isinstance(volume, str) else Volume(*volume)
        graph = replay(graph, volume=(size if in_channels is None else size._replace(channels=in_channels)).checked())
    theirs = list(published.classes() if line else (source.metadata.get("classes", ()) if source else ()))
    names = [] if classes is None or isinstance(classes, int) else [str(name) for name in classes]
    wanted = classes if isinstance(classes, int) else len(names)
    if classes is not None and wanted != graph.output.channels:
        graph = replace_head(graph, wanted)
    model = build(graph)
    said = {
        **metadata,
        "classes": names or (theirs if graph.output.channels == len(theirs) else []),
        "preprocessing": _preprocessing(line, source, graph.volume),
        "weights": published.provenance(line) if line else metadata.get("weights"),
    }
    model.metadata = {key: value for key, value in said.items() if value}
    if source:
        model.report = _moved(model, source, line, theirs, classes is not None, except_)
    return model.eval()


def _weights(network: str | Path, named: bool, weights: str | Path | None) -> tuple[Source | None, Published | None]:
    """What the weights are, and the line of the table where they are published ones, whoever brought them."""
    if weights is None:
        return (None, None) if named else (open_weights(network), None)
    path, name = Path(weights), zoo.call(str(network))[0].name if named else ""
    if path.suffix.lower() not in OPENERS and not path.exists():
        line = published.find(name or str(network), str(weights))
        if not line.url:
            way = f"weights=FILE, when you have {line.file}: it is known by its sha256."
            raise CannotLoad(f'Cannot fetch the weights "{line.tag}" of {name}: they have no address.', ways=way)
        with shown(line.file) as told:
            path = fetch(line.url, line.digest, line.most_bytes, told=told)
        return open_weights(path), line
    source = open_weights(path)
    size = path.stat().st_size
    alike = [line for line in published.TABLE if line.network == name and line.is_size(size)]
    digest = sha256(path) if alike else ""
    return source, next((line for line in alike if digest.startswith(line.digest)), None)


def _network(network: str, named: bool, line: Published | None) -> tuple[Graph, dict[str, Any]]:
    if named:
        entry, blueprint = zoo.call(network)
        return draft(blueprint, line.volume if line else entry.input), {"network": network.strip()}
    header = read_header(network)
    return header.graph, dict(header.metadata)


def _moved(
    model: Network,
    source: Source,
    line: Published | None,
    theirs: list[str],
    new_head: bool,
    except_: str | Sequence[str],
) -> Report:
    """Published weights that read blue first are turned: every network here reads red, green, blue."""
    turned = line.turned if line else ""
    if turned:
        plain = source
        source = source._replace(read=lambda n: plain.read(n).flip(1) if n == turned else plain.read(n))
    report = move(source, model, except_=except_, classes=theirs, new_head=new_head)
    if turned:
        names = [f"{layer}.weight" for layer in first_readers(model.graph)]
        told = {
            n: f"{report.adapted.get(n, '')}; input channels turned, blue first -> red first".lstrip("; ")
            for n in names
        }
        loaded = tuple(name for name in report.loaded if name not in told)
        report = report._replace(loaded=loaded, adapted={**report.adapted, **told})
    return report


def _preprocessing(line: Published | None, source: Source | None, volume: Volume) -> Mapping[str, Any]:
    """How images become what the network reads, as a model file says it; nothing where nobody knows for this volume."""
    if line is None:
        rule = source.metadata.get("preprocessing", {}) if source else {}
        return rule if [rule.get("channels"), *rule.get("size", ())] == [*volume] else {}
    photo = line.photo
    if volume.channels not in (1, len(photo.mean)):
        return {}
    mean, std = photo.mean, photo.std
    if volume.channels == 1:  # one number for grey: the mean over the colours
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    short = round(photo.short * min(volume.grid) / photo.crop)
    return {
        "channels": volume.channels,
        "grid": volume.grid,
        "size": volume.grid,
        "mean": mean,
        "std": std,
        "short": short,
    }
