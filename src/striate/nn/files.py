"""Model files: one .safetensors that holds the weights and says which network, which classes, which preprocessing, and
where it comes from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from striate import __version__
from striate.blueprint import CannotLoad, CannotWrite, graph_to_json
from striate.blueprint.files import write_atomically
from striate.blueprint.modelfile import FORMAT, model_file, read_header, read_notes
from striate.nn.build import Network

HALVES = (torch.float16, torch.bfloat16)  # kept so in files, not computed with


def save(network: Network, path: str | Path, dtype: torch.dtype | None = None, **metadata: Any) -> Path:
    """Write `network` and what is to be known of it (added to its own `metadata`); whole or not at all. With `dtype`
    (torch.float16: half the bytes) weights are rounded to it; statistics stay. Raises CannotWrite.
    """
    said = {"format": FORMAT, "striate": __version__, **network.metadata, **metadata}
    said["graph"] = graph_to_json(network.graph)
    try:
        read_notes(text := json.dumps(said, ensure_ascii=False))
    except (TypeError, ValueError) as error:  # found now, and not by whoever wants to use it
        raise CannotWrite(
            f"Cannot write {path}: nobody could read back what is said of the network.", str(error)
        ) from None
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if dtype is not None:
        state |= {name: state[name].to(dtype) for name, _ in network.named_parameters()}
    return write_atomically(Path(path), to_bytes(state, {"striate": text}))


def load(path: str | Path) -> Network:
    """The network of a model file, of a run's folder, or of a name that comes along (lenet5-mnist), in evaluation mode,
    halves widened to float32, with its `metadata`. Raises CannotRead, CannotLoad.

    Nothing is allocated before the header's shapes are found to be those of its graph.
    """
    path = model_file(path)
    header = read_header(path)
    with torch.device("meta"):
        network = Network(header.graph)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if odd := sorted(
        name for name in wanted.keys() | header.shapes.keys() if wanted.get(name) != header.shapes.get(name)
    ):
        has, wants = (
            "×".join(map(str, shapes[odd[0]])) if odd[0] in shapes else "missing" for shapes in (header.shapes, wanted)
        )
        raise CannotLoad(
            f"Cannot load {path}: {len(odd)} tensors are not its own network's; {odd[0]} is {has}, wanted {wants}."
        )
    if whole := [n for n, t in network.state_dict().items() if t.is_floating_point() != ("F" in header.dtypes[n])]:
        raise CannotLoad(f"Cannot load {path}: {whole[0]} is of {header.dtypes[whole[0]]}, which no such weight is.")
    tensors = {name: t.float() if t.dtype in HALVES else t for name, t in load_file(path).items()}
    network.load_state_dict(tensors, assign=True)
    network.metadata = header.metadata
    return network.eval()


__all__ = ["load", "save"]
