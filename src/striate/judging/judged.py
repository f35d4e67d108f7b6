"""Images prepared for a model that is already trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from striate.blueprint import CannotTrain, Refusal
from striate.data import Flip, Images, Splits, Streamed, augmentations, open_data, stratified
from striate.judging.trained import classes_of, metadata_of, preprocessing_of


def images_for(network: Any, data: str | Path, seed: int | None = None, whole: bool = False) -> Splits:
    """`data` prepared as the network's file says, its labels those of the network's classes. Who cuts views himself has
    the `whole` images, unprepared; files are then left where they lie.

    `validation` is the data's own, or what the network's training held out, where that is known. Raises what opening
    data raises; CannotTrain for a class that the network does not know.
    """
    rule, known, origin = preprocessing_of(network), classes_of(network), provenance(network)
    said = origin.get("recipe", {}).get("seed")
    learnt = said if isinstance(said, int) else 0
    by = learnt if seed is None else seed
    splits = open_data(data, seed=by, preprocessing=None if whole else rule, looking=whole)
    held = splits.validation or (held_out(network, splits.train) if by == learnt else None)

    def renamed(images: Images | Streamed) -> Images | Streamed:
        if unknown := [name for name in images.classes if name not in known]:
            raise CannotTrain(
                f"Cannot judge the model on {data}: it does not know the class {unknown[0]}.",
                f"It knows {', '.join(known[:20])}{' …' if len(known) > 20 else ''}.",
                f"It learnt from {origin['data']}: --data PATH."
                if origin.get("data")
                else "Its own data: --data PATH.",
            )
        place = torch.tensor([known.index(name) for name in images.classes])
        return replace(images, labels=place[images.labels], classes=known)

    train, test = renamed(splits.train), renamed(splits.test)
    return replace(splits, train=train, test=test, validation=renamed(held) if held else None, preprocessing=rule)


def provenance(network: Any) -> dict[str, Any]:
    """What the network's file says of its training; nothing where that is nothing of ours."""
    said = metadata_of(network).get("provenance")
    if not isinstance(said, dict):
        return {}
    recipe = said.get("recipe")
    return {**said, "recipe": recipe if isinstance(recipe, dict) else {}}


def held_out(network: Any, train: Images | Streamed) -> Images | Streamed | None:
    """Those of the training images that its training held out to choose the epoch by, dealt out as they were then; None
    where there were none, or where as many as then do not come of it.
    """
    said = provenance(network)
    share, seed = (said.get("recipe", {}).get(name) for name in ("validation", "seed"))
    if not said.get("held_out") or not isinstance(share, float) or not isinstance(seed, int) or not 0 < share < 1:
        return None
    kept, out = stratified(train.labels, share, seed)
    return train[out] if (len(kept), len(out)) == (said.get("examples"), said["held_out"]) else None


def mirrored(network: Any) -> bool:
    """Whether it learnt from images that were shown left to right, too. Where its file does not say what it learnt
    from, it did, as in the papers.
    """
    text = provenance(network).get("recipe", {}).get("augment")
    if not isinstance(text, str):
        return True
    try:
        return any(isinstance(one, Flip) and one.share > 0 for one in augmentations(text))
    except Refusal:
        return True
