"""Modules that are one of our layers, whatever they do inside: the way back from `realise`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from torch import nn

from striate.blueprint import Layer
from striate.blueprint import layers as L
from striate.blueprint.layer import Padding
from striate.nn import modules as M
from striate.nn.fractional import FractionalMaxPool2d
from striate.nn.locally import LocallyConnected2d


@singledispatch
def recognise(module: nn.Module) -> Layer | None:
    """The layer that a module is, or None: its steps are looked at one by one. Yours: `@recognise.register`."""
    return None


def _padding(pads: list[int] | None) -> Padding:
    return "same" if pads is None else ((pads[2], pads[3]), (pads[0], pads[1]))


@recognise.register
def _(module: M.PaddedConv2d) -> Layer:
    sizes = (module.kernel_size, module.stride, _padding(module.pads), module.dilation)
    return L.Conv(module.out_channels, *sizes, module.groups, module.bias is not None)  # type: ignore[arg-type]


@recognise.register
def _(module: M.PaddedPool2d) -> Layer:
    sizes = (module.kernel, module.stride, _padding(module.pads), module.dilation)
    return L.Pool(module.kind, *sizes, count_include_pad=module.counted)


@recognise.register
def _(module: LocallyConnected2d) -> Layer:
    sizes = (module.kernel_size, module.stride, _padding(module.pads), module.dilation)
    return L.LocallyConnected(module.out_channels, *sizes, module.groups, module.bias is not None)  # type: ignore[arg-type]


@recognise.register
def _(module: M.ScaledTanh) -> Layer:
    return L.Activation("scaled_tanh")


@recognise.register
def _(module: M.DropPath) -> Layer:
    return L.DropPath(module.p)


@recognise.register
def _(module: M.Select) -> Layer:
    picked = module.channels
    return L.Select(tuple(range(picked.start, picked.stop)) if isinstance(picked, slice) else tuple(picked))


@recognise.register
def _(module: M.RadialBasis) -> Layer | None:
    codes: Any = module.codes
    if codes.is_meta:
        return None
    bits = codes.gt(0).tolist()
    return L.RadialBasis(tuple(sum(bit << (len(row) - 1 - i) for i, bit in enumerate(row)) for row in bits))


@recognise.register
def _(module: nn.LocalResponseNorm) -> Layer:
    return L.LocalResponseNorm(module.size, module.alpha, module.beta, module.k)


@recognise.register
def _(module: FractionalMaxPool2d) -> Layer:
    return L.FractionalMaxPool(module.kernel_size, module.output_ratio, module.kind)


@recognise.register
def _(module: nn.FractionalMaxPool2d) -> Layer | None:
    kernel, ratio = module.kernel_size, module.output_ratio
    ratios = set(ratio) if isinstance(ratio, tuple) else {ratio}
    simple = isinstance(kernel, int) and len(ratios) == 1 and not module.return_indices and None not in ratios
    return L.FractionalMaxPool(kernel, ratios.pop()) if simple else None  # type: ignore[arg-type]
