"""The weights on the way of a training, as its files have them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from striate.blueprint import CannotLoad, CannotRead
from striate.blueprint.said import counted
from striate.nn.weights import open_weights
from striate.visualize.surface.weights import movable

CHECKPOINTS = "checkpoints"  # of a run's folder
PARTS = ("average.", "model.", "")  # of a checkpoint what is judged; of a model file all
LEAST, MOST = 2, 1000  # files
KEEPING = (
    "A run has its last two checkpoints until it is done. To keep more of the way, "
    'striate.save(model, f"way/{event.epoch}.safetensors") at each Epoch that striate.train gives.'
)


class Stop(NamedTuple):
    """A file on the way, and the weights in it by the network's names."""

    path: Path
    weights: dict[str, Tensor]


def along(model: nn.Module, folder: str | Path) -> list[Stop]:
    """A network's weights as a run's checkpoints have them (of an average, its own), or all model files of a folder, in
    the order of their names, 2 before 10. Raises CannotRead (no folder, too few files, a damaged one), CannotLoad (of
    another network).
    """
    folder = Path(folder)
    files = [*(folder / CHECKPOINTS).glob("*.safetensors")] or [*folder.glob("*.safetensors")]
    _enough(folder, len(files))
    learnt = {name: tensor for name, tensor in movable(model).items() if isinstance(tensor, nn.Parameter)}
    stops = [stop for path in sorted(files, key=_numbered) if (stop := _stop(path, learnt))]
    _enough(folder, len(stops))
    return stops


def _enough(folder: Path, files: int) -> None:
    if not LEAST <= files <= MOST:
        state = f"{counted(files, 'model file')} in it" if folder.is_dir() else "it is no folder"
        raise CannotRead(f"Cannot go along {folder}: {state}, {LEAST} to {MOST:,} make a way.", ways=KEEPING)


def _stop(path: Path, learnt: dict[str, nn.Parameter]) -> Stop | None:
    """None where the file is gone since it was listed: a training under way keeps its last checkpoints only."""
    try:
        return Stop(path, _weights(path, learnt))
    except CannotRead:
        if path.exists():
            raise
        return None


def _numbered(path: Path) -> list[tuple[int, str]]:
    """What sorts names by the numbers in them."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.stem)]


def _weights(path: Path, learnt: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    source = open_weights(path)
    part = next((part for part in PARTS if any(part + name in source.shapes for name in learnt)), "")
    for name, like in learnt.items():
        if (shape := source.shapes.get(part + name)) != like.shape:
            has, wants = (
                "×".join(map(str, of)) or "one number" if of is not None else "missing" for of in (shape, like.shape)
            )
            raise CannotLoad(f"Cannot go along {path}: {name} is {has} there, the network has {wants}.")
    return {name: source.read(part + name).to(like.dtype) for name, like in learnt.items()}
