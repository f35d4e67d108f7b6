"""Bricks of many papers: plain functions that return wiring."""

from __future__ import annotations

from typing import Any

from striate.blueprint.layer import Size, pair
from striate.blueprint.layers import Activation, BatchNorm, Conv, GlobalPool, Relu
from striate.blueprint.wiring import Blueprint, Gate, Residual, Seq

NORM = BatchNorm()


def conv_norm_act(
    out_channels: int | None,
    kernel_size: Size,
    stride: Size = 1,
    act: Blueprint | None = Relu,
    *,
    norm: Blueprint | None = NORM,
    **more: Any,
) -> Seq:
    """Convolution without bias, normalisation, activation; padded so that only the stride shrinks the grid."""
    dilation = pair(more.get("dilation", 1))
    padding = tuple(d * (k - 1) // 2 for k, d in zip(pair(kernel_size), dilation, strict=True))
    more = {"padding": padding[0] if padding[0] == padding[1] else padding, "bias": norm is None} | more
    return Seq(conv=Conv(out_channels, kernel_size, stride, **more), norm=norm, act=act)


def bottleneck(
    width: int,
    stride: int = 1,
    expansion: int = 4,
    *,
    stride_in_1x1: bool = False,
    groups: int = 1,
    inner: int | None = None,
) -> Seq:
    """1×1 down, 3×3, 1×1 up, around a skip (He et al. 2015, figure 5). The paper strides in the first 1×1; everyone's
    weights have it in the 3×3.
    """
    early, late = (stride, 1) if stride_in_1x1 else (1, stride)
    body = Seq(
        conv_norm_act(inner or width, 1, early),
        conv_norm_act(inner or width, 3, late, groups=groups),
        conv_norm_act(expansion * width, 1, act=None),
    )
    return Seq(sum=Residual(body, project=conv_norm_act(expansion * width, 1, stride, act=None)), act=Relu)


def basic_block(width: int, stride: int = 1) -> Seq:
    """Two 3×3 around a skip (He et al. 2015, figure 5, left)."""
    body = Seq(conv_norm_act(width, 3, stride), conv_norm_act(width, 3, act=None))
    return Seq(sum=Residual(body, project=conv_norm_act(width, 1, stride, act=None)), act=Relu)


def squeeze_excite(squeezed: int, channels: int, act: str = "relu", gate: str = "sigmoid") -> Gate:
    """Each channel scaled by a number that a small network reads off all channel means (Hu et al. 2017, arXiv
    1709.01507, section 3).
    """
    return Gate(Seq(GlobalPool(), Conv(squeezed, 1), Activation(act), Conv(channels, 1), Activation(gate)))
