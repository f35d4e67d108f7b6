"""TrivialAugment, wide: one operation an image, drawn evenly, at a strength drawn evenly (Müller & Hutter 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.augment import as_was
from striate.data.chance import Chance
from striate.data.colour import blended, brightness, contrast, saturation

STEPS = 31  # strengths from none to the strongest


def moved(x: Tensor, matrices: Tensor) -> Tensor:
    """Each image through the matrix (N×2×3, from a cell of the result to the cell it comes from, both counted from the
    image's centre); the nearest cell, black from outside.
    """
    height, width = x.shape[2:]
    rows, columns = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    across, down = (
        m[:, 0].view(-1, 1, 1) * columns + m[:, 1].view(-1, 1, 1) * rows.view(-1, 1) + m[:, 2].view(-1, 1, 1)
        for m in matrices.unbind(1)
    )
    column, row = (across + (width - 1) / 2).round().long(), (down + (height - 1) / 2).round().long()
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    place = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1).unsqueeze(1)
    taken = x.flatten(2).gather(2, place.expand(-1, x.shape[1], -1)).view_as(x)
    return taken.masked_fill_(outside.unsqueeze(1), 0)


def _matrices(*rows: Tensor | float) -> Tensor:
    """Six entries, row by row, some of them for all images, some an image (N)."""
    entries = torch.broadcast_tensors(*(torch.as_tensor(v, dtype=torch.float32) for v in rows))
    return torch.stack(entries, -1).view(-1, 2, 3)


def sheared_across(x: Tensor, s: Tensor) -> Tensor:
    """Rows slide over each other by `s` cells a row, the top one staying."""
    return moved(x, _matrices(1, s, s * (x.shape[2] / 2), 0, 1, 0))


def sheared_down(x: Tensor, s: Tensor) -> Tensor:
    return moved(x, _matrices(1, 0, 0, s, 1, s * (x.shape[3] / 2)))


def moved_across(x: Tensor, s: Tensor) -> Tensor:
    return moved(x, _matrices(1, 0, -s.trunc(), 0, 1, 0))


def moved_down(x: Tensor, s: Tensor) -> Tensor:
    return moved(x, _matrices(1, 0, 0, 0, 1, -s.trunc()))


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """Anticlockwise."""
    cos, sin = (degrees * pi / 180).cos(), (degrees * pi / 180).sin()
    return moved(x, _matrices(cos, -sin, 0, sin, cos, 0))


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """A blurred image at 0 (each inner cell the mean of its nine, itself weighing 5); the edge as it is."""
    if min(x.shape[2:]) <= 2:
        return x
    kernel = torch.ones(3, 3)
    kernel[1, 1] = 5
    blurred = x.clone()
    kernels = (kernel / kernel.sum()).expand(x.shape[1], 1, 3, 3)
    blurred[:, :, 1:-1, 1:-1] = F.conv2d(x, kernels, groups=x.shape[1]).round_()
    return blended(x, blurred, factor)


def posterised(x: Tensor, bits: Tensor) -> Tensor:
    """Only the first so many bits of each value."""
    step = torch.exp2(8 - bits).view(-1, 1, 1, 1)
    return (x / step).floor_() * step


def solarised(x: Tensor, threshold: Tensor) -> Tensor:
    """What is as bright as the threshold or brighter becomes its negative."""
    return torch.where(x >= threshold.view(-1, 1, 1, 1), 255 - x, x)


def stretched(x: Tensor, _: Tensor) -> Tensor:
    """Each channel from 0 to 255; a flat one stays."""
    least, most = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = least == most
    return torch.where(flat, x, ((x - least) * (255 / (most - least).masked_fill(flat, 1))).clamp_(0, 255))


def equalised(x: Tensor, _: Tensor) -> Tensor:
    """Each channel with a histogram as even as it can be made by a table of 256 values."""
    cells = x.round().long().flatten(2)
    counts = torch.zeros(*cells.shape[:2], 256, dtype=torch.long).scatter_add_(2, cells, torch.ones_like(cells))
    last = counts.gather(2, cells.amax(2, keepdim=True))
    step = (counts.sum(2, keepdim=True) - last) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    return torch.where((step == 0).unsqueeze(3), x, table.gather(2, cells).view_as(x).float())


class Operation(NamedTuple):
    """What is done; the strength at the last of the STEPS, and at the first; whether half are of the other sign."""

    apply: Callable[[Tensor, Tensor], Tensor]
    strongest: float = 0.0
    none: float = 0.0
    signed: bool = False
    whole: bool = False


OPERATIONS = {
    "identity": Operation(lambda x, _: x),
    "shear x": Operation(sheared_across, 0.99, signed=True),
    "shear y": Operation(sheared_down, 0.99, signed=True),
    "translate x": Operation(moved_across, 32.0, signed=True),
    "translate y": Operation(moved_down, 32.0, signed=True),
    "rotate": Operation(rotated, 135.0, signed=True),
    "brightness": Operation(lambda x, s: brightness(x, 1 + s), 0.99, signed=True),
    "colour": Operation(lambda x, s: saturation(x, 1 + s), 0.99, signed=True),
    "contrast": Operation(lambda x, s: contrast(x, 1 + s), 0.99, signed=True),
    "sharpness": Operation(lambda x, s: sharpness(x, 1 + s), 0.99, signed=True),
    "posterise": Operation(posterised, 2.0, 8.0, whole=True),
    "solarise": Operation(solarised, 0.0, 255.0),
    "autocontrast": Operation(stretched),
    "equalise": Operation(equalised),
}


@dataclass(frozen=True)
class TrivialAugment:
    """The wide space of the paper's table 1; images of one operation are done together."""

    def drawn(self, chance: Chance) -> tuple[Tensor, Tensor, Tensor]:
        """Which operation, at which of the STEPS, with which sign: each N."""
        sign = 1.0 - 2.0 * chance.of(2).integers(1, 2)[0]
        return chance.integers(1, len(OPERATIONS))[0], chance.of(1).integers(1, STEPS)[0], sign

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        which, step, sign = self.drawn(chance)
        x = pixels.float()
        for number, operation in enumerate(OPERATIONS.values()):
            if number and len(chosen := (which == number).nonzero()[:, 0]):
                strength = operation.none + (operation.strongest - operation.none) * step[chosen] / (STEPS - 1)
                strength = strength.round() if operation.whole else strength
                strength = strength * sign[chosen] if operation.signed else strength
                x.index_copy_(0, chosen, operation.apply(x[chosen], strength))
        return as_was(x, pixels)
