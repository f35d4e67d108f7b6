"""The same network with some layers said otherwise, where a GPU is quicker so; its weights are the very same."""

from __future__ import annotations

from copy import copy

from torch import Tensor, nn


class LargestOf(nn.Module):
    """A 2×2 max pool as a maximum over an axis: compiled, its way back is one pass over memory instead of a search. Of
    equal values each gets its share of the gradient, not the first all of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        rows, columns = height // 2, width // 2
        cells = x[:, :, : 2 * rows, : 2 * columns].permute(0, 2, 3, 1)  # as they lie in memory
        largest = cells.reshape(n, rows, 2, columns, 2, channels).amax((2, 4))
        return largest.permute(0, 3, 1, 2)


class LargestOfAll(nn.Module):
    """The largest value of each channel: torch's adaptive pool counts cells one by one on the way back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)


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
