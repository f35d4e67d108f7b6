"""Two images made one, and their labels: mixup and cutmix. Neighbours in the batch are partners (0 and 1, 2 and 3, …).

Partners stay together however a batch is shared out, as long as each share has an even number; a last single is itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from striate.data.augment import bounded, within
from striate.data.chance import Chance


class Mix(Protocol):
    """x float N×C×H×W and targets float N×classes (each row a distribution) to the same."""

    def __call__(self, x: Tensor, targets: Tensor, chance: Chance) -> tuple[Tensor, Tensor]: ...


def partners(n: int) -> Tensor:
    """The place of each one's partner."""
    return torch.arange(n).bitwise_xor_(1).clamp_(max=n - 1)


def _range(alpha: float) -> dict[str, bool]:
    return {"alpha is greater than 0 and 1 or less": 0 < alpha <= 1}


def _shares(alpha: float, chance: Chance) -> Tensor:
    """Beta(alpha, alpha), the same for both of a pair: the first one's draw."""
    return chance.beta(alpha)[torch.arange(len(chance.index)) & ~1]


@dataclass(frozen=True)
class Mixup:
    """lambda·x + (1 - lambda)·x', the targets too (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization")."""

    alpha: float = 0.2

    def __post_init__(self) -> None:
        bounded(self, _range(self.alpha))

    def __call__(self, x: Tensor, targets: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
        share = _shares(self.alpha, chance).to(x.device)
        other = partners(len(x)).to(x.device)
        return torch.lerp(x[other], x, share.view(-1, 1, 1, 1)), torch.lerp(targets[other], targets, share.view(-1, 1))


@dataclass(frozen=True)
class CutMix:
    """A box of 1 - lambda of the area, and that share of the target, from the partner (Yun et al. 2019, section 3)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        bounded(self, _range(self.alpha))

    def drawn(self, chance: Chance, height: int, width: int) -> Tensor:
        """top, left, rows, columns, 4×N: centred anywhere, what sticks out cut off."""
        first = torch.arange(len(chance.index)) & ~1
        side = (1 - _shares(self.alpha, chance)).sqrt()
        down, right = (chance.of(1).uniform(2)[:, first] * torch.tensor([[height], [width]])).long()
        half = [(side * n).long() // 2 for n in (height, width)]
        top, left = (down - half[0]).clamp(min=0), (right - half[1]).clamp(min=0)
        rows = (down + half[0]).clamp(max=height) - top
        return torch.stack((top, left, rows, (right + half[1]).clamp(max=width) - left))

    def __call__(self, x: Tensor, targets: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        boxes, other = self.drawn(chance, height, width), partners(len(x)).to(x.device)
        own = 1 - (boxes[2] * boxes[3]).to(x.device) / (height * width)
        mixed = torch.where(within(boxes, height, width).to(x.device), x[other], x)
        return mixed, torch.lerp(targets[other], targets, own.view(-1, 1))
