"""Augmentation of colour. Operations take float N×C×H×W of 0..255 and a factor an image (N)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from striate.data.augment import as_was, bounded
from striate.data.chance import Chance
from striate.data.preprocessing import LUMA

MOST = 10  # of what colours are moved by: beyond, nothing but black and white is left
CELLS = 1 << 22  # of which the colours' axes are taken

Operation = Callable[[Tensor, Tensor], Tensor]


def grey(x: Tensor) -> Tensor:
    """Luma, N×1×H×W."""
    return x if x.shape[1] == 1 else (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def blended(x: Tensor, other: Tensor | float, factor: Tensor) -> Tensor:
    """`other` at 0, x at 1, and on in the same direction beyond."""
    factor = factor.view(-1, 1, 1, 1)
    return (factor * x + (1 - factor) * other).clamp_(0, 255)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Black at 0."""
    return blended(x, 0.0, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """The image's mean grey at 0."""
    return blended(x, grey(x).mean((1, 2, 3), keepdim=True), factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Grey at 0."""
    return blended(x, grey(x), factor)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Colours turned by a share of the circle (0.5: to their complements); grey stays."""
    if x.shape[1] == 1:
        return x
    most, least = x.amax(1), x.amin(1)
    spread = most - least
    red, green, blue = ((most - channel) / spread.clamp(min=1e-9) for channel in x.unbind(1))
    angle = torch.where(x[:, 0] == most, blue - green, torch.where(x[:, 1] == most, 2 + red - blue, 4 + green - red))
    angle = (angle / 6 + turn.view(-1, 1, 1)) % 1.0
    place = (torch.tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1) + 6 * angle.unsqueeze(1)) % 6
    return most.unsqueeze(1) - spread.unsqueeze(1) * torch.minimum(place, 4 - place).clamp_(0, 1)


@dataclass(frozen=True)
class ColourJitter:
    """Brightness, contrast and saturation by a factor from 1 - field to 1 + field, hue turned by up to a share of the
    circle, in an order that is drawn, too (Howard 2013, "Some Improvements on Deep CNN Based Image Classification").
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0

    def __post_init__(self) -> None:
        widths = self.brightness, self.contrast, self.saturation
        ranges = {
            f"brightness, contrast and saturation are from 0 to {MOST}": all(0 <= width <= MOST for width in widths),
            "hue is from 0 to 0.5": 0 <= self.hue <= 0.5,
        }
        bounded(self, ranges)

    def drawn(self, chance: Chance) -> tuple[Tensor, Tensor]:
        """The operation at each place of the order, and the factor of each operation: both 4×N."""
        widths = torch.tensor([self.brightness, self.contrast, self.saturation, self.hue]).view(4, 1)
        middle = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(4, 1)
        least = torch.tensor([0.0, 0.0, 0.0, -0.5]).view(4, 1)
        low, high = (middle - widths).maximum(least), middle + widths
        return chance.of(1).uniform(4).argsort(0), low + (high - low) * chance.uniform(4)

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        order, factors = self.drawn(chance)
        operations: tuple[Operation, ...] = (brightness, contrast, saturation, hue)
        widths = (self.brightness, self.contrast, self.saturation, self.hue)
        x = pixels.float()
        for place in order:
            for which, operation in enumerate(operations):
                if widths[which] and len(chosen := (place == which).nonzero()[:, 0]):
                    x = x.index_copy(0, chosen, operation(x[chosen], factors[which, chosen]))
        return as_was(x, pixels)


@dataclass(frozen=True)
class PCAColour:
    """Along the principal axes of red, green and blue, each pixel of an image moved by the same normal draw times the
    eigenvalue (Krizhevsky et al. 2012, section 4.1: deviation 0.1).

    Eigenvalues of the covariance and eigenvectors (in rows) are ImageNet's as the field passes them on, for values of
    0..1; `measured` takes them from your own images, as the paper does from its training set.
    """

    deviation: float = 0.1
    values: tuple[float, float, float] = (0.2175, 0.0188, 0.0045)
    vectors: tuple[tuple[float, float, float], ...] = (
        (-0.5675, -0.5808, -0.5836),
        (0.7192, -0.0045, -0.6948),
        (0.4009, -0.8140, 0.4203),
    )

    def __post_init__(self) -> None:
        sizes = self.deviation, *self.values
        bounded(self, {f"deviation and values are from 0 to {MOST}": all(0 <= size <= MOST for size in sizes)})

    def measured(self, pixels: Tensor) -> PCAColour:
        """With the principal axes of these images, uint8 N×3×H×W; the values are the variances along them."""
        colours = pixels.transpose(0, 1).flatten(1)[:, :: max(1, pixels[:, 0].numel() // CELLS)].double() / 255
        values, vectors = torch.linalg.eigh(colours.cov())
        a, b, c = values.clamp(min=0).flip(0).tolist()
        return replace(self, values=(a, b, c), vectors=tuple(map(tuple, vectors.mT.flip(0).tolist())))

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        if pixels.shape[1] == 1:
            return pixels
        along = chance.normal(3) * self.deviation * torch.tensor(self.values).view(3, 1)
        return as_was(pixels + 255 * (along.mT @ torch.tensor(self.vectors)).view(-1, 3, 1, 1), pixels)
