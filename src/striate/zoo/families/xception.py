"""Xception: Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, arXiv 1610.02357,
figure 5.

As in timm, the weights of which are Cadene's. Separable convolutions have no activation in between and a norm behind
(the figure leaves norms out); a block that changes the volume has a 1×1 at stride 2 as its shortcut. 22,855,952
parameters: the paper's Table 3 has 22,855,952 too.
"""

from striate.blueprint import (
    BatchNorm,
    Blueprint,
    Conv,
    Depthwise,
    GlobalPool,
    Linear,
    MaxPool,
    Relu,
    Residual,
    Seq,
    conv_norm_act,
)

ENTRY = (128, 256, 728)


def xception(name: str, classes: int) -> Seq:
    """3×299×299 -> classes."""
    entry = [block((width, width), stride=2, first_act=i > 0) for i, width in enumerate(ENTRY)]
    stem = Seq(conv(32, 2), conv(64))
    return Seq(
        stem=stem,
        entry=Seq(*entry),
        middle=Seq(*[block((728, 728, 728))] * 8),
        exit=Seq(block((728, 1024), stride=2), separable(1536), Relu, separable(2048), Relu),
        mean=GlobalPool(),
        fc=Linear(classes),
    )


def conv(width: int, stride: int = 1) -> Seq:
    return Seq(conv=Conv(width, 3, stride, bias=False), norm=BatchNorm(), act=Relu)


def separable(width: int) -> Seq:
    return Seq(depthwise=Depthwise(3, padding=1, bias=False), pointwise=Conv(width, 1, bias=False), norm=BatchNorm())


def block(widths: tuple[int, ...], stride: int = 1, first_act: bool = True) -> Blueprint:
    """ReLU, separable convolution, for each width; at stride 2 a pool, and the shortcut projects."""
    steps: list[Blueprint] = []
    for i, width in enumerate(widths):
        steps += [Relu, separable(width)] if i or first_act else [separable(width)]
    if stride == 1:
        return Residual(Seq(*steps))
    return Residual(Seq(*steps, pool=MaxPool(3, 2, 1)), project=conv_norm_act(widths[-1], 1, 2, act=None))
