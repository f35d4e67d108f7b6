"""What a network is to make small: cross-entropy, smoothed, weighted, at every way out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.training.recipe import Recipe


def loss_of(
    outputs: Tensor | dict[str, Tensor], targets: Tensor, recipe: Recipe, class_weights: Tensor | None = None
) -> Tensor:
    """The mean over the batch of the cross-entropy at the main way out, in nats, and a share of it at each further one
    of as many outputs (auxiliary heads; Szegedy et al. 2014, section 5).

    outputs: logits N×classes; targets: int64 N, or float N×classes that say how much of each class there is;
    class_weights: float32 of each class. A weighted loss is divided by N, too, so that batches can be added.
    """
    main = outputs["out"] if isinstance(outputs, dict) else outputs
    loss = _cross_entropy(main, targets, recipe, class_weights)
    if isinstance(outputs, dict) and recipe.auxiliary:
        for tap, output in outputs.items():
            if tap != "out" and output.shape == main.shape:
                loss = loss + recipe.auxiliary * _cross_entropy(output, targets, recipe, class_weights)
    return loss


def _cross_entropy(logits: Tensor, targets: Tensor, recipe: Recipe, weights: Tensor | None) -> Tensor:
    smoothing = recipe.label_smoothing
    if weights is None:
        return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
    total = F.cross_entropy(logits.float(), targets, weights, reduction="sum", label_smoothing=smoothing)
    return total / len(targets)


def class_weights(labels: Tensor, classes: int, recipe: Recipe) -> Tensor | None:
    """How much an image of each class counts, float32, 1 on the mean image: "balanced" lets every class that is there
    count as much as any other (King & Zeng 2001, "Logistic Regression in Rare Events Data"); None where all count one.
    """
    if recipe.class_weights == "none":
        return None
    counts = labels.bincount(minlength=classes).double()
    there = counts > 0
    weights = torch.where(there, len(labels) / (there.sum() * counts.clamp(min=1)), 0.0)
    return weights.float()
