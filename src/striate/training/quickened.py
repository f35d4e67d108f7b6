"""The same network with some layers said otherwise, where a GPU is quicker so; its weights are the very same."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LargestOf(nn.Module):
    """A 2×2 max pool as larger-of-two twice: compiled, its way back is one pass over memory instead of a search. Of two
    equal values each gets half of the gradient, not the first all of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        rows, columns = height // 2, width // 2
        cells = x[:, :, : 2 * rows, : 2 * columns].permute(0, 2, 3, 1)  # as they lie in memory
        upper, lower = cells.reshape(n, rows, 2, columns, 2, channels).unbind(2)
        left, right = torch.maximum(upper, lower).unbind(3)
        return torch.maximum(left, right).permute(0, 3, 1, 2)


class LargestOfAll(nn.Module):
    """The largest value of each channel: torch's adaptive pool counts cells one by one on the way back. (An axis's
    maximum would do it, too, but that a compiled one may compare what it has rounded with what it has not.)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, x.shape[2:])


def quickened(network: nn.Module, compiled: bool) -> nn.Module:
    """The network, or where there is something to say otherwise a twin of it: the same layers in other containers."""
    if (other := _otherwise(network, compiled)) is not None:
        return other
    parts = {name: quickened(part, compiled) for name, part in network.named_children()}
    if all(part is network._modules[name] for name, part in parts.items()):
        return network
    twin = copy(network)
    twin._modules = {**network._modules, **parts}
    return twin


def _otherwise(layer: nn.Module, compiled: bool) -> nn.Module | None:
    if layer._forward_hooks or layer._forward_pre_hooks:
        return None
    if type(layer) is nn.AdaptiveMaxPool2d and not layer.return_indices and layer.output_size in (1, (1, 1)):
        return LargestOfAll()
    if compiled and type(layer) is nn.MaxPool2d:
        kernel, stride, padding, dilation = (
            tuple(size) if isinstance(size, tuple | list) else (size, size)
            for size in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        plain = (kernel, stride, padding, dilation) == ((2, 2), (2, 2), (0, 0), (1, 1))
        return LargestOf() if plain and not layer.ceil_mode and not layer.return_indices else None
    return None
