"""A network that begins where another ended: of that one's tensors, those that fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from striate.blueprint import CannotLoad
from striate.blueprint.modelfile import model_file
from striate.blueprint.passes import heads
from striate.nn import Network
from striate.nn.weights import Report, open_weights
from striate.nn.weights.match import by, under
from striate.training.prepare import parts


@torch.no_grad()
def start_from(network: Network, model: str | Path, take: Sequence[str] = (), classes: Sequence[str] = ()) -> Report:
    """The tensors of a model file, or of a run's folder, that have the name and the shape of one of `network`; all else
    stays as it is. With `take`, only those of these parts. A head of other `classes` is not taken.

    So the deeper nets of VGG began as net A had ended (Simonyan & Zisserman 2014, section 3.1). Raises CannotRead,
    CannotLoad where nothing fits or a number is not finite, NotFound for a part that is not there.
    """
    parts(network, take)
    path = model_file(model)
    source, mine = open_weights(path), network.state_dict()
    theirs = [str(name) for name in source.metadata.get("classes", ())]
    strange = heads(network.graph) if classes and theirs and list(classes) != theirs else set()
    skipped: dict[str, str] = {}
    for name, tensor in mine.items():
        have, want = source.shapes.get(name), tuple(tensor.shape)
        if take and not under(name, take):
            skipped[name] = "not asked for"
        elif have is None:
            skipped[name] = "not there"
        elif under(name, strange):
            skipped[name] = "of other classes there"
        elif have != want:
            skipped[name] = f"{by(have)} there, {by(want)} here"
    loaded = tuple(name for name in mine if name not in skipped)
    if not loaded:
        first, why = next(iter(skipped.items()))
        raise CannotLoad(f"Cannot start from {path}: none of its {len(source.shapes)} tensors fits; {first} is {why}.")
    read = {name: source.read(name) for name in loaded}
    if odd := next((n for n, t in read.items() if t.is_floating_point() and not bool(t.isfinite().all())), ""):
        raise CannotLoad(f"Cannot start from {path}: not every number of {odd} is finite.")
    for name, tensor in read.items():
        mine[name].copy_(tensor)
    network.metadata["started_from"] = str(model)
    left = tuple(name for name in source.shapes if name not in mine)
    return Report(str(path), str(network.metadata.get("network", "the network")), loaded, {}, skipped, left)
