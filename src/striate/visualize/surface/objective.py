"""What a surface is of: a loss, the mean over images that stay the same at every point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotTrain, Refusal
from striate.data import Images, Streamed
from striate.data.memory import room_for
from striate.judging.trained import answer, as_read
from striate.visualize.images import batches
from striate.visualize.watching import ran, undisturbed

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, x, y) -> the mean over a batch, one number
BATCH = 128


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Of the network's main answer, in nats; y int64 N, or float N×classes."""
    return F.cross_entropy(answer(model, x), y)


class Objective(NamedTuple):
    """`loss` on `batches` of x, as the network reads it, and y; computed in `dtype` by autocast where that is not
    float32.
    """

    batches: tuple[tuple[Tensor, Tensor], ...]
    loss: Loss = cross_entropy
    dtype: torch.dtype = torch.float32

    @property
    def images(self) -> int:
        return sum(len(x) for x, _ in self.batches)


def objective(
    model: nn.Module, data: Images | Streamed | tuple[Tensor, Tensor], size: int = BATCH, loss: Loss = cross_entropy,
    dtype: torch.dtype = torch.float32,
) -> Objective:  # fmt: skip
    """The loss of a network on a data set, prepared once by the network's own rule, or on tensors x and y, in batches
    of `size`. Raises CannotTrain (no images, no rule, no room), Refusal where x and y do not go together.
    """
    if isinstance(data, Images | Streamed):
        room_for(4 * len(data) * data.volume.size, f"{len(data):,} images")
        pairs = [(x, y) for x, y, _ in batches(model, data, size) if y is not None]
        device = pairs[0][0].device
        return _answered(model, Objective(tuple((x, y.to(device)) for x, y in pairs), loss, dtype))
    x, y = data
    if len(x) != len(y):
        raise Refusal(f"Cannot take a loss of {len(x):,} images with {len(y):,} targets: one for each is wanted.")
    if not len(x):
        raise CannotTrain("Cannot take a loss of no images.")
    if not (isinstance(size, int) and size > 0):
        raise Refusal(f"Cannot take a loss of {size} images at a time.", ways=f"{BATCH} are usual.")
    x, y = as_read(model, x), torch.as_tensor(y)
    parts = tuple(zip(x.split(size), y.to(x.device).split(size), strict=True))
    return _answered(model, Objective(parts, loss, dtype))


def _answered(model: nn.Module, of: Objective) -> Objective:
    """The same, where the network tells apart as many classes as the labels name."""
    if of.loss is cross_entropy and not of.batches[0][1].is_floating_point():
        with torch.no_grad(), undisturbed(model):
            classes = ran(model, of.batches[0][0][:1], scored=True).shape[1]
        low, high = (int(end) for end in torch.cat([y.flatten() for _, y in of.batches]).aminmax())
        if low < 0 or high >= classes:
            raise CannotTrain(
                f"Cannot take a loss: the labels go from {low} to {high}, the network tells {classes} classes apart.",
                ways=f"Labels from 0 to {classes - 1}.",
            )
    return of


def loss_at(model: nn.Module, of: Objective) -> float:
    """The mean over all images, where the weights are now, in the mode the model is in. Raises Refusal for a loss that
    is not one number a batch.
    """
    with torch.no_grad():
        return mean([loss_of(model, of, x, y) for x, y in of.batches], [len(x) for x, _ in of.batches])


def loss_of(model: nn.Module, of: Objective, x: Tensor, y: Tensor) -> Tensor:
    """Of one batch, with its gradient where that is wanted."""
    with torch.autocast(x.device.type, of.dtype, enabled=of.dtype is not torch.float32):
        found = of.loss(model, x, y)
    if not isinstance(found, Tensor) or found.numel() != 1:
        what = f"a tensor of {'×'.join(map(str, found.shape))}" if isinstance(found, Tensor) else type(found).__name__
        raise Refusal(f"Cannot draw this loss: it is {what} a batch, not one number.", ways="Let it give the mean.")
    return found.reshape(())


def mean(losses: Sequence[Tensor], counts: Iterable[int]) -> float:
    """Of batches of so many images: summed in float64."""
    weights = torch.tensor([*counts], dtype=torch.float64)
    return float((torch.stack([*losses]).double().cpu() * weights).sum() / weights.sum())
