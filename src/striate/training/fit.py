"""A network and data made to fit each other: the data gives channels and classes, the network the size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from striate.blueprint import (
    CannotLoad,
    CannotPlace,
    CannotTrain,
    Graph,
    Refusal,
    Volume,
    replace_head,
    without_softmax,
)
from striate.blueprint.modelfile import model_file
from striate.blueprint.sliding import Remedy
from striate.cost.source import Source, argument
from striate.data import Splits, open_data
from striate.data.opening import Counting, unheard

if TYPE_CHECKING:
    from striate.nn import Network
    from striate.nn.weights import Report

LARGEST = 512  # side of images tried


class Fitted(NamedTuple):
    """Ready to build and train; `weights` is the model file it came from, if from one."""

    name: str
    graph: Graph
    data: Splits
    weights: Path | None = None


def fit(network: str, data: str | Path, size: int | None = None, seed: int = 0, counting: Counting = unheard) -> Fitted:
    """`network` (a name or call of the zoo, or a file in any notation) drafted on `data`, read at `size` (None: the
    network's own; where it says none, the images').

    It takes as many channels as the images have; its head becomes as wide as there are classes; a last soft-max is left
    to the loss. `counting` as `open_data` has it. Raises NotFound, CannotRead, CannotPlace (with sizes that fit),
    CannotTrain.
    """
    found = argument(network)
    splits = open_data(data, size or (found.volume.grid if found.volume else None), seed=seed, counting=counting)
    try:
        graph = without_softmax(found.graph(splits.preprocessing.volume))
    except CannotPlace as refusal:
        tried = refusal.search
        refusal.search = lambda: [*tried(), *_smallest(found, splits.preprocessing.volume)]
        raise
    if not graph.output.is_vector:
        raise CannotTrain(
            f"Cannot train {found.name}: it gives {graph.output}, not one number for each class.",
            "",
            "End it in a GlobalPool or a Linear.",
        )
    if graph.output.channels != len(splits.classes):
        graph = replace_head(graph, len(splits.classes))
    a_file = model_file(network) if isinstance(found.network, Graph) else None
    return Fitted(found.name, graph, splits, a_file if a_file and a_file.suffix == ".safetensors" else None)


def _smallest(found: Source, volume: Volume) -> Iterator[Remedy]:
    """The least side of images that the network takes, if it is larger than theirs."""
    for side in range(min(volume.grid) + 1, LARGEST + 1):
        with suppress(Refusal):
            on = volume._replace(height=side, width=side)
            text = f"--size {side}, the smallest from there on that {found.name} takes"
            yield Remedy(text, found.network, on, found.graph(on).output)
            return


def started(fitted: Fitted, seed: int = 0, fresh: bool = False) -> tuple[Network, Report | None]:
    """The network as training begins with it: drawn by `seed`; where it came from a model file, with that file's
    weights, but for a head of other classes, whose rows go by name (and the report of which tensors are which).

    `fresh` leaves the file's weights alone. Raises CannotLoad where they do not fit, CannotRead.
    """
    from striate.nn import build
    from striate.nn.weights import move

    torch.manual_seed(seed)
    network = build(fitted.graph)
    if fitted.weights is None or fresh:
        return network, None
    network.metadata |= {"classes": list(fitted.data.classes), "started_from": str(fitted.weights)}
    try:
        report = move(fitted.weights, network, new_head=True)
    except CannotLoad as refusal:
        refusal.ways = " ".join(filter(None, (refusal.ways, "To start from none of its weights: --fresh.")))
        raise
    return network, report._replace(source=str(fitted.weights), network=fitted.name)
