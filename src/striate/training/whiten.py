"""A first layer whose filters come from the images: they whiten patches (Page 2018, "How to train your ResNet", part 8;
Jordan 2024, arXiv 2404.00498, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain
from striate.data import Images, Preprocessing, Streamed, deal
from striate.training.prepare import parts

SEEN = 5000  # images
AT_ONCE = 500
LEAST = 5e-4  # added to each variance: what hardly varies is noise


@torch.no_grad()
def whitened(
    model: nn.Module,
    name: str,
    images: Images | Streamed,
    preprocessing: Preprocessing,
    seed: int = 0,
    share: Callable[[Tensor], Tensor] = lambda mean: mean,
) -> None:
    """The convolution of that name gets the eigenvectors of what its window sees of the images, each divided by its
    deviation, the ones that vary least first; then their negatives, since what follows drops the negative.

    Raises NotFound, CannotTrain for a layer that such filters do not fit. `share`: the mean over processes.
    """
    [layer] = parts(model, [name], "whiten")
    weight = layer.weight if isinstance(layer, nn.Conv2d) else None
    fact = f"Cannot whiten in {name}: it"
    if weight is None or layer.groups != 1 or weight.shape[1] != preprocessing.channels:
        raise CannotTrain(f"{fact} is no convolution of images.", ways=f"One that reads {preprocessing.volume}.")
    numbers = weight[0].numel()
    if len(weight) not in (numbers, 2 * numbers):
        ways = f"{numbers}, or {2 * numbers} with their negatives: as many numbers as are in a patch."
        raise CannotTrain(f"{fact} has {len(weight)} filters.", ways=ways)
    vectors, deviations = axes(images, preprocessing, (weight.shape[2], weight.shape[3]), weight.device, seed, share)
    filters = (vectors / deviations).mT.reshape(-1, *weight.shape[1:])
    weight.copy_(torch.cat((filters, -filters))[: len(weight)])
    if isinstance(layer.bias, Tensor):
        layer.bias.zero_()


def axes(
    images: Images | Streamed,
    preprocessing: Preprocessing,
    window: tuple[int, int],
    device: torch.device,
    seed: int,
    share: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """The principal axes of patches, in columns, and the deviation along each, of some of the images."""
    total, seen = torch.zeros((), device=device), 0
    for x, _ in deal(images, preprocessing, AT_ONCE, seed, device=device).epoch():
        rows = x.unfold(2, window[0], 1).unfold(3, window[1], 1)  # N×C×(places)×window
        patches = rows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        total, seen = total + patches.mT @ patches, seen + len(patches)
        if seen >= SEEN * len(patches) / len(x):
            break
    values, vectors = torch.linalg.eigh(share(total / seen).double().cpu())
    return vectors.to(device, torch.float32), (values.clamp(min=0) + LEAST).sqrt().to(device, torch.float32)
