"""Images prepared for a model that is already trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from striate.blueprint import CannotTrain
from striate.data import Images, Splits, Streamed, open_data
from striate.judging.trained import classes_of, preprocessing_of


def images_for(network: Any, data: str | Path, seed: int | None = None, whole: bool = False) -> Splits:
    """`data` prepared as the network's file says, its labels those of the network's classes. Who cuts views himself has
    the `whole` images, unprepared; files are then left where they lie.

    Raises what opening data raises; CannotTrain for a class that the network does not know.
    """
    rule = preprocessing_of(network)
    if seed is None:
        recipe = (network.metadata.get("provenance") or {}).get("recipe")
        seed = recipe.get("seed", 0) if isinstance(recipe, dict) else 0
    splits = open_data(data, seed=seed, preprocessing=None if whole else rule, looking=whole)
    known = classes_of(network)

    def renamed(images: Images | Streamed) -> Images | Streamed:
        if unknown := [name for name in images.classes if name not in known]:
            raise CannotTrain(
                f"Cannot judge the model on {data}: it does not know the class {unknown[0]}.",
                f"It knows {', '.join(known[:20])}{' …' if len(known) > 20 else ''}.",
            )
        place = torch.tensor([known.index(name) for name in images.classes])
        return replace(images, labels=place[images.labels], classes=known)

    return replace(splits, train=renamed(splits.train), test=renamed(splits.test), preprocessing=rule)
