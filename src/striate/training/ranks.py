"""Several processes that learn together, as torchrun starts them: each a share of every batch, the first one writes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from striate.blueprint import CannotTrain

SIGNS = (  # of gloo and NCCL, that they wait for somebody; their other errors are faults of our own
    "onnection closed by peer",
    "onnection reset by peer",
    "onnection refused",
    "roken pipe",
    "imed out",
    "remote process exited",
    "ncclRemoteError",
)


@dataclass(frozen=True)
class Ranks:
    """This process's number, and how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def sums(self, *values: float, device: torch.device) -> list[float]:
        """Each value, added up over the processes: what they agree on."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        distributed.all_reduce(total)
        return total.tolist()  # type: ignore[no-any-return]

    def joined(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The same network, its gradients the mean over the processes; weights and statistics are the first one's."""
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, [device] if device.type == "cuda" else None)


ALONE = Ranks()


def here() -> Ranks:
    """As torchrun's environment has it; a process on its own where there is none."""
    return Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def device_here() -> torch.device:
    """A GPU of this process's own; where there is none, or where $STRIATE_DEVICE says cpu, the processor."""
    if os.environ.get("STRIATE_DEVICE") == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


@contextmanager
def together(ranks: Ranks, device: torch.device, folder: Path | None = None) -> Iterator[None]:
    """The processes find each other, and part again. Where one of them is gone, CannotTrain says so, and how the run in
    `folder`, if this is the one that writes it, goes on.
    """
    if ranks.count == 1:
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in SIGNS):
            raise
        raise CannotTrain(
            f"Cannot go on in process {ranks.rank} of {ranks.count}: another one is gone.",
            "What it said stands above; where a signal ended it, it said nothing, and torchrun says which signal.",
            f"The run goes on from its last checkpoint: striate resume {folder or 'RUN, its folder'}.",
        ) from None
    finally:
        gc.collect()  # what still holds the group would be taken apart while the process ends, its threads running
        distributed.destroy_process_group()


def alone_until(last: bool, model: nn.Module) -> AbstractContextManager[None]:
    """Gradients are exchanged once a step, after its last part."""
    if not last and isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return nullcontext()


class _Summed(torch.autograd.Function):
    """A tensor added up over the processes; so is its gradient, since every one's loss depends on it."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        whole = mine.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        distributed.all_reduce(whole)
        return whole


class SyncedNorm(nn.BatchNorm2d):
    """BatchNorm over the batch of all processes, on any device (torch's own is for GPUs): the mean, then the variance
    around it, each added up over all of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not distributed.is_initialized():
            return super().forward(x)
        channels = x.shape[1]
        of = x.float()
        count = of.new_tensor([x.numel() / channels])
        total = _Summed.apply(torch.cat((of.sum((0, 2, 3)), count)))
        mean, count = total[:-1] / total[-1], total[-1]
        off = of - mean.view(1, -1, 1, 1)
        var = _Summed.apply(off.square().sum((0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
                share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)  # type: ignore[arg-type]
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(var * count / (count - 1), share)
        scale = torch.rsqrt(var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        y = off * scale.view(1, -1, 1, 1)
        return (y if self.bias is None else y + self.bias.view(1, -1, 1, 1)).to(x.dtype)


def synced(model: nn.Module) -> nn.Module:
    """Its BatchNorms, from now on, over all processes; what they are called and hold stays."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedNorm
    return model
