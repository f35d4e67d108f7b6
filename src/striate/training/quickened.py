"""The same network with some layers said otherwise, where a GPU is quicker so; its weights are the very same."""

from __future__ import annotations

from copy import copy

from torch import Tensor, nn
from torch.nn import functional as F


class LargestOfAll(nn.Module):
    """The largest value of each channel: torch's adaptive pool counts cells one by one on the way back, and an axis's
    maximum, compiled, may compare what it has rounded with what it has not.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, x.shape[2:])


def quickened(network: nn.Module) -> nn.Module:
    """The network, or where there is something to say otherwise a twin of it: the same layers in other containers."""
    if _largest(network):
        return LargestOfAll()
    parts = {name: quickened(part) for name, part in network.named_children()}
    if all(part is network._modules[name] for name, part in parts.items()):
        return network
    twin = copy(network)
    twin._modules = {**network._modules, **parts}
    return twin


def _largest(layer: nn.Module) -> bool:
    """Whether it is such a pool, and nobody looks at what goes in or out."""
    alone = not layer._forward_hooks and not layer._forward_pre_hooks
    return (
        alone and type(layer) is nn.AdaptiveMaxPool2d and not layer.return_indices and layer.output_size in (1, (1, 1))
    )
