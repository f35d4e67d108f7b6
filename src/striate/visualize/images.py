"""Images as a network reads them, and as people see them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.data import read_image
from striate.data.preprocessing import Preprocessing
from striate.judging.trained import preprocessing_of


class Seen(NamedTuple):
    """`x` what the network reads, float32 N×C×H×W, normalised; `pixels` the same to look at, uint8 N×C×H×W; the rule
    that leads from one to the other.
    """

    x: Tensor
    pixels: Tensor
    rule: Preprocessing


def seen(model: nn.Module, images: Iterable[str | Path] | Tensor, rule: Preprocessing | None = None) -> Seen:
    """Image files (or uint8 N×C×H×W) as `model` reads them, by its own rule or the one given. Raises CannotRead,
    CannotTrain (it does not say how images are prepared for it).
    """
    rule = rule or preprocessing_of(model)
    if isinstance(images, Tensor):
        pixels = rule.prepare(images)
    else:
        read = (read_image(Path(path), rule.channels, rule.covered).unsqueeze(0) for path in images)
        pixels = torch.cat([rule.prepare(image) for image in read])
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return Seen(rule.normalise(pixels, device), pixels, rule)


def shown(x: Tensor, rule: Preprocessing) -> Tensor:
    """Back from what a network reads, float N×C×H×W, to what people see: float32 in 0..1, red before blue."""
    mean, std = (torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (rule.mean, rule.std))
    return (x.detach().float() * std + mean).clamp(0, 1).cpu()
