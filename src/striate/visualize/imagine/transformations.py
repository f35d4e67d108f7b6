"""Small random changes between the image and the network: what survives them is no fragile pattern of single pixels
(Mordvintsev et al. 2015's jitter; Olah et al. 2017, "Transformation Robustness"). The images' size stays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import pi

import torch
from torch import Tensor
from torch.nn import functional as F

PHOTO = 64  # the side from which an image is a photo

Transformation = Callable[[Tensor, torch.Generator], Tensor]


def shifted(cells: int) -> Transformation:
    """Moved by up to so many cells down and across, the same way for a batch; what comes in is mirrored."""

    def move(x: Tensor, generator: torch.Generator) -> Tensor:
        most = [min(cells, side - 1) for side in x.shape[2:]]
        down, across = (int(torch.randint(2 * n + 1, (), generator=generator)) for n in most)
        if not max(most):
            return x
        around = F.pad(x, (most[1], most[1], most[0], most[0]), mode="reflect")
        return around[:, :, down : down + x.shape[2], across : across + x.shape[3]]

    return move


def turned(degrees: float, smallest: float = 1.0, largest: float = 1.0) -> Transformation:
    """Turned about the middle by up to so many degrees, and enlarged, each image its own way; what comes in is
    mirrored.
    """

    def turn(x: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.rand(2, len(x), generator=generator)
        angle = (2 * draws[0] - 1) * degrees * pi / 180
        size = smallest + (largest - smallest) * draws[1]
        ratio = x.shape[3] / x.shape[2]  # grid_sample's axes are both 2 long
        sine, cosine, none = angle.sin() / size, angle.cos() / size, torch.zeros(len(x))
        rows = (torch.stack(row, 1) for row in ((cosine, -sine / ratio, none), (sine * ratio, cosine, none)))
        grid = F.affine_grid(torch.stack([*rows], 1).to(x), [*x.shape], align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    return turn


def usual(size: tuple[int, int]) -> tuple[Transformation, ...]:
    """For images of this size: moved, turned and scaled, moved again. Photos by much, which makes whole things of them;
    digits and the like, of which every cell counts, by little.
    """
    side = min(size)
    if side < PHOTO:
        return shifted(side // 16), turned(5, 0.95, 1.05), shifted(1)
    return shifted(3 * side // 16), turned(20, 0.7, 1.3), shifted(side // 16)


def usual_lr(size: tuple[int, int]) -> float:
    """A photo's colours would saturate before its shapes are there."""
    return 0.1 if min(size) < PHOTO else 0.03


def applied(changes: tuple[Transformation, ...], x: Tensor, generator: torch.Generator) -> Tensor:
    return reduce(lambda images, change: change(images, generator), changes, x)
