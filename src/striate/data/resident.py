"""Padded crops and flips of images in memory, ten times as fast: padded once, and mirrored once, ahead of time. On a
GPU, too, a crop is then one lookup.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from striate.data.augment import Augmentation, Flip, PaddedCrop, augmented, windows
from striate.data.chance import Chance
from striate.data.memory import free

SHARE = 0.25  # of free memory, at most, for the copies


@dataclass(frozen=True, eq=False)
class Crops:
    """`padded`: every image with a border around it, rows × columns × channels (`shape`), and where `flip` their mirror
    images after them. So a crop is one run of memory, whichever way it faces.
    """

    padded: Tensor
    shape: tuple[int, int, int]
    count: int
    chain: tuple[Augmentation, ...]
    crop: PaddedCrop
    flip: Flip | None

    @classmethod
    def prepared(cls, pixels: Tensor, chain: tuple[Augmentation, ...]) -> Crops | None:
        """Where the chain begins with one PaddedCrop, before or after one Flip, and the copies find room; else None."""
        kinds = {kind for a in chain[:2] for kind in (Flip, PaddedCrop) if isinstance(a, kind)}
        head = chain[: len(kinds)]
        crop = next((a for a in head if isinstance(a, PaddedCrop)), None)
        flip = next((a for a in head if isinstance(a, Flip)), None)
        if crop is None or pixels.device.type not in ("cpu", "cuda") or pixels.dtype != torch.uint8:
            return None
        n, channels, height, width = pixels.shape
        if n * channels * (height + 2 * crop.pad) * (width + 2 * crop.pad) * (2 if flip else 1) > SHARE * room(
            pixels.device
        ):
            return None
        high, wide = height + 2 * crop.pad, width + 2 * crop.pad
        faces = (pixels, pixels.flip(3)) if flip else (pixels,)
        image = high * wide * channels
        reach = 2 * crop.pad * channels  # of the last crop beyond the last image
        padded = torch.zeros(len(faces) * n * image + reach, dtype=torch.uint8, device=pixels.device)
        for place, face in enumerate(faces):
            there = padded[place * n * image : (place + 1) * n * image].view(n, high, wide, channels)
            there.copy_(crop.bordered(face).permute(0, 2, 3, 1))
        return cls(padded, (high, wide, channels), n, chain, crop, flip)

    def starts(self, chance: Chance) -> Tensor:
        """Where in memory the crop of each image of `chance` begins, int64 N."""
        high, wide, channels = self.shape
        image, place = chance.index, self.chain.index(self.crop)
        top, left = self.crop.drawn(chance.of(place))
        if self.flip:
            flip = self.chain.index(self.flip)
            mirrored = self.flip.drawn(chance.of(flip))
            image = image + self.count * mirrored
            if flip > place:  # cropped first: the crop is mirrored, not the image
                left = torch.where(mirrored, 2 * self.crop.pad - left, left)
        return ((image * high + top) * wide + left) * channels

    def __call__(self, starts: Tensor, chance: Chance) -> Tensor:
        """The images of `chance`, which begin there, augmented by the whole chain: uint8 N×C×H×W."""
        high, wide, channels = self.shape
        height, width = high - 2 * self.crop.pad, wide - 2 * self.crop.pad
        runs = windows(self.padded, starts, height, wide * channels)
        pixels = runs.view(-1, height, wide, channels)[:, :, :width].permute(0, 3, 1, 2)
        return augmented(pixels, self.chain, chance, 2 if self.flip else 1)


def room(device: torch.device) -> int:
    """Bytes that are free there."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free()
