"""How good a model is on images it has not learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotTrain
from striate.data import Images, Preprocessing, Splits, Streamed, deal

AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Metrics:
    """`confusion[i, j]`: how many images of class i were taken for class j. `loss`: the mean cross-entropy, in nats."""

    top1: float
    top5: float
    loss: float
    confusion: Tensor
    classes: tuple[str, ...]

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

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
            "top5": self.top5,
            "loss": self.loss,
            "per_class": self.per_class,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }


def main_way_out(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    return outputs["out"] if isinstance(outputs, dict) else outputs


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: Images | Streamed | Splits,
    preprocessing: Preprocessing | None = None,
    dtype: torch.dtype = torch.float32,
) -> Metrics:
    """The model on images prepared as it wants them; of Splits, on `test`. The model's mode is given back as it was.

    `preprocessing`: by default what comes with the data, or else what the model's file says. `dtype` is of products.

    Raises CannotTrain where the images are not what the model reads.
    """
    images = data.test if isinstance(data, Splits) else data
    if isinstance(data, Splits):
        preprocessing = preprocessing or data.preprocessing
    if not len(images):
        raise CannotTrain(f"Cannot judge on {images.source}: there are no images.")
    preprocessing = preprocessing or preprocessing_of(model)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        logits, labels = [], []
        for x, y in deal(images, preprocessing, AT_ONCE, shuffle=False).epoch():
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits.append(main_way_out(model(x.to(device))).float())
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
    )


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """What the model's file says of its images. Raises CannotTrain where it says nothing."""
    said = getattr(model, "metadata", {}).get("preprocessing")
    if said is None:
        raise CannotTrain(
            "Cannot prepare images for this model: its file does not say how.",
            "",
            "A model that Striate trained says it; or give preprocessing=.",
        )
    return Preprocessing.from_json(said)


def classes_of(model: nn.Module) -> tuple[str, ...]:
    """The names of what the model tells apart, as its file has them. Raises CannotTrain where it has none."""
    if classes := getattr(model, "metadata", {}).get("classes"):
        return tuple(classes)
    raise CannotTrain(
        "Cannot name what this model tells apart: its file has no classes.",
        "",
        "A model that Striate trained has them; or striate.save(model, path, classes=[…]).",
    )
