"""All that changes while a network learns, taken out as tensors and numbers, and put back to the bit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from striate.training.average import Average
from striate.training.captured import Late
from striate.training.events import Epoch
from striate.training.optimise import restore

SMOOTH = 0.98  # how slowly the usual loss follows the loss
NOTHING = Epoch(0, 0, 0, None, None, 0, 0)


@dataclass
class State:
    """What is learnt, and how far it is. The order of the images, their augmentation and every other chance follow from
    the recipe's seed and `step`, so that nothing of a generator is kept.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average | None = None
    step: int = 0  # done
    epoch: int = 1  # under way
    dealt: int = 0  # batches of it that were learnt, or of which nothing could be read
    losses: float = 0.0  # of its images, added up
    seen: int = 0  # its images
    usual: float = 0.0  # the loss of late, smoothed
    late: deque[Late] = field(default_factory=deque)  # steps done whose loss has not been read
    settling: bool = False  # whether they are to be read before another step is begun
    epochs: list[Epoch] = field(default_factory=list)  # done
    kept: Epoch = NOTHING  # whose model is on the disk
    stopgap: Epoch | None = None  # in its place, where it was stopped in the first epoch

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept: the mean of its weights where the recipe keeps one."""
        return self.average.model if self.average else self.model

    @property
    def highest(self) -> float:
        return max((epoch.top1 or 0.0 for epoch in self.epochs), default=0.0)

    def counted(self, value: float, seen: int) -> None:
        """The loss of a step, and of how many images it is the mean."""
        self.losses, self.seen = self.losses + value * seen, self.seen + seen
        self.usual = value if self.usual == 0 else SMOOTH * self.usual + (1 - SMOOTH) * value

    def begin(self, epoch: int) -> None:
        self.epoch, self.dealt, self.losses, self.seen = epoch, 0, 0.0, 0

    def tensors(self) -> dict[str, Tensor]:
        """The tensors themselves, by names that a file can have."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average:
            found |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        for place, slot, value in self._slots():
            if isinstance(value, Tensor):
                found[f"optimizer.{place}.{slot}"] = value
        return {name: tensor.detach() for name, tensor in found.items()}

    def numbers(self) -> dict[str, Any]:
        """The rest, as JSON has it."""
        slots = [[place, slot, value] for place, slot, value in self._slots() if not isinstance(value, Tensor)]
        plain = {name: getattr(self, name) for name in ("step", "epoch", "dealt", "losses", "seen", "usual")}
        epochs = [asdict(epoch) for epoch in self.epochs]
        return {**plain, "epochs": epochs, "kept": asdict(self.kept), "optimizer": slots}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Puts back what `tensors` and `numbers` gave; names and shapes are those of a file that was found whole."""
        self.model.load_state_dict(_below("model.", tensors))
        if self.average:
            self.average.model.load_state_dict(_below("average.", tensors))
        slots: dict[int, dict[str, Any]] = {}
        for place, slot, value in numbers["optimizer"]:
            slots.setdefault(place, {})[slot] = value
        for name, tensor in _below("optimizer.", tensors).items():
            number, slot = name.split(".", 1)
            slots.setdefault(int(number), {})[slot] = tensor
        restore(self.optimiser, {"state": slots, "param_groups": self.optimiser.state_dict()["param_groups"]})
        for name in ("step", "epoch", "dealt", "losses", "seen", "usual"):
            setattr(self, name, numbers[name])
        self.epochs = [Epoch(**epoch) for epoch in numbers["epochs"]]
        self.kept = Epoch(**numbers["kept"])

    def _slots(self) -> Iterator[tuple[int, str, Any]]:
        """(place of the parameter, name, value) of all that the optimiser remembers."""
        for place, parameter in enumerate(_parameters(self.optimiser)):
            for slot, value in self.optimiser.state.get(parameter, {}).items():
                yield place, slot, value


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
