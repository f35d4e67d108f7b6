"""One torch form for each layer. Yours: `@realise.register` for your own layer class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

from torch import nn

from striate.blueprint import CannotBuild, Volume, Window
from striate.blueprint import layers as L
from striate.blueprint.layer import Layer, pair
from striate.nn import modules as M
from striate.nn.fractional import FractionalMaxPool2d
from striate.nn.locally import LocallyConnected2d

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "scaled_tanh": M.ScaledTanh,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "softmax": partial(nn.Softmax, dim=1),
    "log_softmax": partial(nn.LogSoftmax, dim=1),
}


@singledispatch
def realise(layer: Layer, volume: Volume) -> nn.Module:
    """The nn.Module of a layer that reads `volume`. Raises CannotBuild where none is registered."""
    raise CannotBuild(
        f"Cannot build {layer!r}: torch has no form of {type(layer).__name__} yet.",
        ways=f"Register one: @striate.nn.realise.register on a function of ({type(layer).__name__}, Volume).",
    )


def _pads(windows: tuple[Window, ...], volume: Volume, fit: str | None) -> M.Pads:
    """(before, after) on both axes; with fit="ceil" what the last window hangs over counts as padding."""
    pads = []
    for n, window in zip(volume.grid, windows, strict=True):
        reached = (window.slide(n, fit or "floor").positions - 1) * window.stride + window.reach
        pads.append((window.before, max(window.after, reached - n - window.before)))
    return pads[0], pads[1]


def _stated(windows: tuple[Window, Window]) -> M.Pads:
    return (windows[0].before, windows[0].after), (windows[1].before, windows[1].after)


def _even(pads: M.Pads) -> tuple[int, int] | None:
    return (pads[0][0], pads[1][0]) if all(before == after for before, after in pads) else None


@realise.register
def _(layer: L.Conv, volume: Volume) -> nn.Module:
    out, groups = layer.out_channels or volume.channels, layer.groups or volume.channels
    sizes: dict[str, Any] = {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "groups": groups,
        "bias": layer.bias,
    }
    windows = layer.windows(volume)
    if layer.transposed:
        even = _even(_stated(windows))
        if even is None:
            raise CannotBuild(
                f"Cannot build {layer!r}: torch pads a transposed convolution equally on both sides.",
                ways="Give padding=(rows, columns).",
            )
        return nn.ConvTranspose2d(volume.channels, out, padding=even, output_padding=layer.output_padding, **sizes)
    pads = _pads(windows, volume, "ceil" if layer.fit == "ceil" else None)
    if layer.padding == "same" and max(pair(layer.stride)) > 1:
        return M.PaddedConv2d(volume.channels, out, pads=None, **sizes)
    if (even := _even(pads)) is not None:
        return nn.Conv2d(volume.channels, out, padding=even, **sizes)
    return M.PaddedConv2d(volume.channels, out, pads=pads, **sizes)


@realise.register
def _(layer: L.LocallyConnected, volume: Volume) -> nn.Module:
    pads = _pads(layer.windows(volume), volume, layer.fit)
    sizes = (volume.grid, layer.kernel_size, layer.stride, pads, layer.dilation)
    return LocallyConnected2d(volume.channels, layer.out_channels, *sizes, layer.groups, layer.bias)


@realise.register
def _(layer: L.Pool, volume: Volume) -> nn.Module:
    windows = layer.windows(volume)
    even = _even(_stated(windows))
    kernel, stride, _, _, dilation = zip(*windows, strict=True)
    same = layer.padding == "same" and max(w.stride for w in windows) > 1
    if same or even is None:
        pads = None if same else _pads(windows, volume, layer.fit)
        return M.PaddedPool2d(layer.kind, kernel, stride, dilation, pads, layer.count_include_pad)
    if layer.kind == "max":
        return nn.MaxPool2d(kernel, stride, even, dilation, ceil_mode=layer.fit == "ceil")
    return nn.AvgPool2d(kernel, stride, even, ceil_mode=layer.fit == "ceil", count_include_pad=layer.count_include_pad)


@realise.register
def _(layer: L.FractionalMaxPool, volume: Volume) -> nn.Module:
    return FractionalMaxPool2d(layer.kernel_size, layer.output_ratio, layer.kind)


@realise.register
def _(layer: L.GlobalPool, volume: Volume) -> nn.Module:
    return {"average": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}[layer.kind](layer.output_size)


@realise.register
def _(layer: L.Linear, volume: Volume) -> nn.Module:
    return M.FlatLinear(volume.size, layer.out_features, layer.bias)


@realise.register
def _(layer: L.BatchNorm, volume: Volume) -> nn.Module:
    return nn.BatchNorm2d(volume.channels, layer.eps, layer.momentum, layer.affine)


@realise.register
def _(layer: L.GroupNorm, volume: Volume) -> nn.Module:
    return nn.GroupNorm(layer.num_groups, volume.channels, layer.eps, layer.affine)


@realise.register
def _(layer: L.LayerNorm, volume: Volume) -> nn.Module:
    return M.ChannelLayerNorm(volume.channels, layer.eps, layer.affine)


@realise.register
def _(layer: L.LocalResponseNorm, volume: Volume) -> nn.Module:
    return M.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k, layer.average)


@realise.register
def _(layer: L.Activation, volume: Volume) -> nn.Module:
    return ACTIVATIONS[layer.kind]()


@realise.register
def _(layer: L.Dropout, volume: Volume) -> nn.Module:
    return (nn.Dropout2d if layer.channels else nn.Dropout)(layer.p)


@realise.register
def _(layer: L.DropPath, volume: Volume) -> nn.Module:
    return M.DropPath(layer.p)


@realise.register
def _(layer: L.Upsample, volume: Volume) -> nn.Module:
    return nn.Upsample(scale_factor=layer.scale_factor, mode=layer.mode)


@realise.register
def _(layer: L.Shuffle, volume: Volume) -> nn.Module:
    return nn.ChannelShuffle(layer.groups)


@realise.register
def _(layer: L.Select, volume: Volume) -> nn.Module:
    return M.Select(layer.channels)


@realise.register
def _(layer: L.PositionBias, volume: Volume) -> nn.Module:
    return M.PositionBias(volume)


@realise.register
def _(layer: L.RadialBasis, volume: Volume) -> nn.Module:
    return M.RadialBasis(layer.codes, volume.size)


@realise.register
def _(layer: L.Identity, volume: Volume) -> nn.Module:
    return nn.Identity()


@realise.register
def _(layer: L.Pad, volume: Volume) -> nn.Module:
    rows, columns = pair(layer.grid)
    return M.Pad((pair(rows), pair(columns)), layer.channels)


@realise.register
def _(layer: L.Scale, volume: Volume) -> nn.Module:
    return M.Scale(layer.factor)


@realise.register
def _(layer: L.Foreign, volume: Volume) -> nn.Module:
    module = layer.factory(volume)
    if not isinstance(module, nn.Module):
        raise CannotBuild(f"Cannot build {layer!r}: its factory gave {type(module).__name__}; an nn.Module is wanted.")
    return module
