"""Airbench: Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, arXiv 2404.00498, section 3.

A 2×2 layer that whitens patches (its filters come from the images: twelve eigenvectors and their negatives, Page 2018),
three groups of two 3×3, the first of each pooled before its norm, the largest value of each channel, ten classes. GELU
throughout; norms have a quick memory, and their scales stay at 1 where it is trained as it was. The last logits are
divided by 256 there: here the head's weights are.
"""

from striate.blueprint import Activation, BatchNorm, Blueprint, Conv, GlobalPool, Linear, MaxPool, Seq

GELU = Activation("gelu")
AIRBENCH = {"airbench94": (64, 256, 256)}  # the filters of each group


def airbench(name: str, classes: int) -> Seq:
    """`airbench94`: 3×32×32 -> classes."""
    groups = {f"group{i}": group(width) for i, width in enumerate(AIRBENCH[name], 1)}
    whiten = Seq(conv=Conv(24, 2), act=GELU)
    return Seq(whiten=whiten, **groups, pool=GlobalPool("max"), fc=Linear(classes, bias=False))


def group(width: int) -> Blueprint:
    """Two 3×3, the first one's values pooled 2×2; an odd last row and column are left out."""
    first = {"conv1": conv(width), "pool": MaxPool(2, fit="floor"), "norm1": norm(), "act1": GELU}
    return Seq(**first, conv2=conv(width), norm2=norm(), act2=GELU)


def conv(width: int) -> Conv:
    return Conv(width, 3, padding=1, bias=False)


def norm() -> BatchNorm:
    return BatchNorm(eps=1e-12, momentum=0.4)
