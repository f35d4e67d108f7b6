"""How good a model is on images it has not learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotTrain
from striate.data import Images, Preprocessing, Splits, Streamed, deal
from striate.data.memory import keep_freed
from striate.judging.asked import ask
from striate.judging.calibration import Calibration, calibrated
from striate.judging.trained import answer, classes_of, main_way_out, preprocessing_of
from striate.judging.views import Views

AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Metrics:
    """`confusion[i, j]`: how many images of class i were taken for class j. `loss`: the mean cross-entropy, that is the
    negative log-likelihood (NLL), in nats. `calibration`: whether the model is right as often as it says.
    """

    top1: float
    top5: float
    loss: float
    confusion: Tensor
    classes: tuple[str, ...]
    calibration: Calibration

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

    @property
    def error(self) -> float:
        """The standard error of `top1`, were these images drawn anew: that of a share of so many."""
        return sqrt(self.top1 * (1 - self.top1) / self.examples)

    @property
    def per_class(self) -> dict[str, float]:
        """The share of each class that was recognised; a class without images is left out."""
        counts = self.confusion.sum(1)
        right = self.confusion.diagonal() / counts
        return {name: right[i].item() for i, name in enumerate(self.classes) if counts[i]}

    def to_json(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "top1": self.top1,
            "top1_standard_error": self.error,
            "top5": self.top5,
            "loss": self.loss,
            "nll": self.loss,
            "calibration": self.calibration.to_json(),
            "per_class": self.per_class,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: Images | Streamed | Splits,
    preprocessing: Preprocessing | None = None,
    dtype: torch.dtype = torch.float32,
    *,
    views: Views | str | None = None,
) -> Metrics:
    """The model on images prepared as it wants them; of Splits, on `test`. The model's mode is given back as it was.

    `preprocessing`: by default what comes with the data, or else what the model's file says. `dtype` is of products.
    With `views` ("ten-crop", "multi-crop", "grid", "dense", or a Views) the mean of the probabilities of several views
    of each image is judged; they are cut out of the images as `data` has them. "shifted" is for small resident ones: as
    they are, moved by a cell, mirrored.

    Raises CannotTrain where the images are not what the model reads.
    """
    images = data.test if isinstance(data, Splits) else data
    if isinstance(data, Splits):
        preprocessing = preprocessing or data.preprocessing
    if not len(images):
        raise CannotTrain(f"Cannot judge on {images.source}: there are no images.")
    preprocessing = preprocessing or preprocessing_of(model)
    if views is not None:
        asked = ask(model, images, Views(views) if isinstance(views, str) else views, preprocessing, dtype)
        return measured(asked.shares, asked.labels, images.classes)
    keep_freed()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        logits, labels = [], []
        for x, y in deal(images, preprocessing, AT_ONCE, shuffle=False).epoch():
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits.append(answer(model, x.to(device)).float())
            labels.append(y.to(device))
    finally:
        model.train(was_training)
    return measured(torch.cat(logits), torch.cat(labels), images.classes)


def measured(logits: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Metrics:
    """Metrics of logits N×classes against labels N."""
    n = len(classes)
    if logits.ndim != 2 or logits.shape[1] != n:
        raise CannotTrain(
            f"Cannot judge {'×'.join(map(str, logits.shape[1:]))} outputs by {n} classes.",
            "",
            "The network's classes and the data's must be the same.",
        )
    best = logits.topk(min(5, n)).indices
    confusion = (labels * n + best[:, 0]).bincount(minlength=n * n).view(n, n).cpu()
    right = (best == labels[:, None]).float()
    return Metrics(
        right[:, 0].mean().item(),
        right.sum(1).mean().item(),
        F.cross_entropy(logits, labels).item(),
        confusion,
        classes,
        calibrated(logits.softmax(1).amax(1), right[:, 0]),
    )


__all__ = ["AT_ONCE", "Metrics", "classes_of", "evaluate", "main_way_out", "measured", "preprocessing_of"]
