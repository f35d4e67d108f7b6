"""Random numbers that follow from seed, epoch and image alone: whoever draws them, in whatever batch, process or order.

A counter is hashed instead of a generator being advanced (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), with the finaliser of SplitMix64 (Steele, Lea & Flood 2014).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WHOLE = (1 << 64) - 1
SIGN = 1 << 63


@dataclass(frozen=True, eq=False)
class Chance:
    """What chance gives to the images `index` (int64 N) in one epoch; `stream` keeps one use apart from the next."""

    seed: int
    epoch: int
    index: Tensor
    stream: int = 0
    device: torch.device | str = "cpu"  # where its numbers are wanted; a GPU draws them itself, the same ones

    def of(self, stream: int) -> Chance:
        """The same images, for another use."""
        return replace(self, stream=64 * self.stream + stream + 1)

    def some(self, chosen: Tensor) -> Chance:
        """For some of the images: what each gets does not change."""
        return replace(self, index=self.index[chosen.to(self.index.device)])

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 count×N in [low, high)."""
        if self._there:
            values = self._highest(24, count).float().mul_(2.0**-24)
        else:
            values = torch.from_numpy((self._bits(count) >> np.uint64(40)).astype(np.float32)).mul_(2.0**-24)
        values = values if (low, high) == (0.0, 1.0) else values.mul_(high - low).add_(low)
        return values.to(self.device)

    def integers(self, count: int, below: int) -> Tensor:
        """int64 count×N in 0..below-1."""
        if self._there:
            return self._highest(32, count).mul_(below).bitwise_right_shift_(32)
        values = (self._bits(count) >> np.uint64(32)) * np.uint64(below) >> np.uint64(32)
        return torch.from_numpy(values.astype(np.int64)).to(self.device)

    def normal(self, count: int) -> Tensor:
        """float32 count×N of mean 0 and deviation 1 (Box & Muller 1958)."""
        radius, angle = self.uniform(2 * count).view(2, count, -1)
        return (1 - radius).log_().mul_(-2).sqrt_() * (2 * torch.pi * angle).cos_()

    def beta(self, alpha: float) -> Tensor:
        """float32 N of Beta(alpha, alpha), 0 < alpha <= 1 (Jöhnk 1964): at least half of the trials hold, so one of 32
        does.
        """
        a, b = (self.uniform(64).view(2, 32, -1).double() + 2.0**-25).pow_(1 / alpha)
        whole = a + b
        first = ((whole <= 1) & (whole > 0)).int().argmax(0, keepdim=True)
        return (a / whole).gather(0, first)[0].nan_to_num_(0.5).float()

    @property
    def _there(self) -> bool:
        """Whether a GPU draws: nothing then waits for the processor, nor is sent."""
        return torch.device(self.device).type == "cuda"

    def _lanes(self, count: int) -> list[int]:
        key = _mixed(_mixed(_mixed(self.seed) + self.epoch) + self.stream)
        return [_mixed(key + lane) for lane in range(count)]

    def _bits(self, count: int) -> np.ndarray:
        """64 random bits each, count×N."""
        lanes = np.array(self._lanes(count), np.uint64)[:, None]
        with np.errstate(over="ignore"):
            x = (self.index.cpu().numpy().astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN) + lanes
            x = (x ^ (x >> np.uint64(30))) * np.uint64(FIRST)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(SECOND)
            return x ^ (x >> np.uint64(31))

    def _signed_bits(self, count: int) -> Tensor:
        """The same 64 bits as torch has them anywhere: int64, whose products wrap as well."""
        index = self.index.to(self.device, non_blocking=True)
        golden = (index + 1) * _signed(GOLDEN)
        x = torch.stack([golden + _signed(lane) for lane in self._lanes(count)])
        x = (x ^ _shifted(x, 30)) * _signed(FIRST)
        x = (x ^ _shifted(x, 27)) * _signed(SECOND)
        return x ^ _shifted(x, 31)

    def _highest(self, bits: int, count: int) -> Tensor:
        return _shifted(self._signed_bits(count), 64 - bits)


def _mixed(x: int) -> int:
    """The same finaliser on one number."""
    x = (x + GOLDEN) & WHOLE
    x = ((x ^ (x >> 30)) * FIRST) & WHOLE
    x = ((x ^ (x >> 27)) * SECOND) & WHOLE
    return x ^ (x >> 31)


def _signed(x: int) -> int:
    """The int64 of the same 64 bits."""
    return x - (1 << 64) if x & SIGN else x


def _shifted(x: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in: int64 would copy its sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def order(count: int, seed: int, epoch: int, device: torch.device | str = "cpu") -> Tensor:
    """A permutation of 0..count-1, int64: the order of one epoch."""
    there = torch.device(device)
    chance = Chance(seed, epoch, torch.arange(count, device=there), -1 & 0xFFFF, there)
    if there.type == "cuda":
        return (chance._signed_bits(1)[0] ^ _signed(SIGN)).argsort(stable=True)  # so that signed ones sort as unsigned
    return torch.from_numpy(chance._bits(1)[0].argsort(kind="stable")).to(there)
