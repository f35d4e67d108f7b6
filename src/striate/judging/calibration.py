"""Whether a model is right as often as it says it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

BINS = 15


class Bin(NamedTuple):
    """The images whose most probable class has a probability in (low, high]: how many they are, that probability's
    mean, and the share of them that are right.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


class Calibration(NamedTuple):
    """Reliability in bins of equal width; those without images are left out. Guo et al. 2017 (arXiv 1706.04599),
    section 2.
    """

    bins: tuple[Bin, ...]

    @property
    def error(self) -> float:
        """The expected calibration error (their equation 5): the mean gap between confidence and accuracy, each bin
        weighing by its images.
        """
        return sum(b.images * abs(b.accuracy - b.confidence) for b in self.bins) / sum(b.images for b in self.bins)

    def to_json(self) -> dict[str, Any]:
        return {"error": self.error, "bins": [b._asdict() for b in self.bins]}


def calibrated(confidence: Tensor, right: Tensor, bins: int = BINS) -> Calibration:
    """Of N images: the probability of the class each was taken for, and whether that was right."""
    confidence, right = confidence.nan_to_num().double().cpu(), right.double().cpu()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    count, sure, true = (
        torch.zeros(bins, dtype=torch.double).index_add_(0, place, values)
        for values in (torch.ones_like(confidence), confidence, right)
    )

    def filled() -> Iterator[Bin]:
        for i, n in enumerate(count.tolist()):
            if n:
                yield Bin(i / bins, (i + 1) / bins, int(n), (sure[i] / n).item(), (true[i] / n).item())

    return Calibration(tuple(filled()))
