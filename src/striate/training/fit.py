"""A network and data made to fit each other: the data gives channels and classes, the network the size."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from striate.blueprint import CannotTrain, Graph, replace_head, without_softmax
from striate.cost.source import argument
from striate.data import Splits, open_data


class Fitted(NamedTuple):
    """Ready to build and train."""

    name: str
    graph: Graph
    data: Splits


def fit(network: str, data: str | Path, size: int | None = None, seed: int = 0) -> Fitted:
    """`network` (a name or call of the zoo, or a file in any notation) drafted on `data`, read at `size` (None: the
    network's own; where it says none, the images').

    It takes as many channels as the images have; its head becomes as wide as there are classes; a last soft-max is left
    to the loss. Raises NotFound, CannotRead, CannotPlace (with sizes that fit), CannotTrain.
    """
    found = argument(network)
    splits = open_data(data, size or (found.volume.grid if found.volume else None), seed=seed)
    graph = without_softmax(found.graph(splits.preprocessing.volume))
    if not graph.output.is_vector:
        raise CannotTrain(
            f"Cannot train {found.name}: it gives {graph.output}, not one number for each class.",
            "",
            "End it in a GlobalPool or a Linear.",
        )
    if graph.output.channels != len(splits.classes):
        graph = replace_head(graph, len(splits.classes))
    return Fitted(found.name, graph, splits)
