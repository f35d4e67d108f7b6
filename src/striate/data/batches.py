"""Batches of resident images: shuffled, augmented and normalised a whole batch at a time, by vectorised operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.images import Images
from striate.data.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Batches:
    """Deals out `images` in batches of about `size`: x float32 N×C×H×W (channels last), y int64 N.

    The order and every random choice follow from `seed` and the epoch, so the same seed gives the same batches, at any
    epoch, in any process. Every image is dealt once an epoch; batches differ in size by one at most, so that the last
    is never a stray single.
    """

    images: Images
    preprocessing: Preprocessing
    size: int
    seed: int = 0
    shift: int = 0  # at most so many cells up, down, left, right; zeros come in
    flip: bool = False  # left and right exchanged, for half of the images
    shuffle: bool = True
    device: torch.device | str = "cpu"

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)

    def epoch(self, number: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch. Raises nothing of its own."""
        random = torch.Generator().manual_seed((self.seed << 20) + number)
        count = len(self.images)
        order = torch.randperm(count, generator=random) if self.shuffle else torch.arange(count)
        for index in order.tensor_split(len(self)):
            pixels = self.images.pixels.index_select(0, index)
            if self.shift:
                pixels = shifted(pixels, self.shift, random)
            if self.flip:
                pixels = flipped(pixels, random)
            yield (
                self.preprocessing.normalise(pixels, self.device),
                self.images.labels.index_select(0, index).to(self.device),
            )


def shifted(pixels: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Each image moved by up to `most` cells along each axis, zeros coming in (pad and crop, as for ResNet)."""
    n, channels, height, width = pixels.shape
    padded = F.pad(pixels, (most,) * 4)
    down, right = torch.randint(2 * most + 1, (2, n), generator=random)
    rows = (down[:, None] + torch.arange(height))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, None, :]
    example, channel = torch.arange(n).view(-1, 1, 1, 1), torch.arange(channels).view(1, -1, 1, 1)
    return padded[example, channel, rows, columns]


def flipped(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Half of the images, picked at random, left to right."""
    chosen = torch.rand(len(pixels), generator=random) < 0.5
    return torch.where(chosen.view(-1, 1, 1, 1), pixels.flip(3), pixels)
