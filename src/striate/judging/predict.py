"""What is in an image: a model file and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotLoad, CannotTrain
from striate.blueprint.modelfile import model_file
from striate.data import read_image
from striate.judging.trained import answer, classes_of, preprocessing_of


class Prediction(NamedTuple):
    label: str
    probability: float


def predictor(
    model: nn.Module | str | Path, top: int = 5
) -> Callable[[Iterable[str | Path] | Tensor], list[list[Prediction]]]:
    """A function from image files (or uint8 N×C×H×W) to the `top` most probable classes of each, most probable first.

    `model` is a trained network, its file, or its run's folder. Raises CannotRead, CannotLoad (also where its answers
    are no numbers), CannotTrain (it does not say its classes or preprocessing).
    """
    network: Any = model if isinstance(model, nn.Module) else _load(Path(model))
    rule, classes = preprocessing_of(network), classes_of(network)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))

    @torch.inference_mode()
    def predict(images: Iterable[str | Path] | Tensor) -> list[list[Prediction]]:
        if isinstance(images, Tensor):
            pixels = rule.prepare(images)
        else:
            pixels = torch.cat(
                [rule.prepare(read_image(Path(path), rule.channels, rule.covered).unsqueeze(0)) for path in images]
            )
        network.eval()
        shares = answer(network, rule.normalise(pixels, device)).softmax(1)
        if shares.shape[1:] != (len(classes),):
            told = "×".join(map(str, shares.shape[1:]))
            raise CannotTrain(f"Cannot name what this model tells apart: {told} outputs, {len(classes)} classes.")
        if not shares.isfinite().all():
            raise CannotLoad(
                "Cannot say what is in an image by this model: its answers are not numbers.",
                ways="Its weights are damaged, or its training came apart.",
            )
        best = shares.topk(min(top, len(classes)))
        return [
            [Prediction(classes[i], p) for p, i in zip(values, indices, strict=True)]
            for values, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    return predict


def _load(path: Path) -> nn.Module:
    from striate import nn as networks

    return networks.load(model_file(path))
