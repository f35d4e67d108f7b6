"""ResNet: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, Table 1.

The plain names are what today's weights fit, torchvision's: blocks of two 3×3 (18, 34) or of 1×1, 3×3, 1×1 (50, 101,
152), a projection where the volume changes (option B), and the stride of a bottleneck in its 3×3.

`resnet50_paper`, `resnet101_paper`, `resnet152_paper` have that stride in the first 1×1, as the authors' own models:
as many parameters, fewer MACs (3.86 instead of 4.09 billion for 50 layers). `resnet18_paper`, `resnet34_paper` are
those of the first comparison (Table 2): shortcuts without parameters (option A), zeros for new channels; `plain18`,
`plain34` are their twins without any. With projections, 34 layers are the paper's ResNet-34 B. The paper's FLOPs are
multiply-adds: 1.8, 3.6, 3.8, 7.6, 11.3 billion; tests/zoo says which of ours gives which.
"""

from collections.abc import Callable

from striate.blueprint import Blueprint, GlobalPool, Linear, MaxPool, Seq, basic_block, bottleneck, conv_norm_act
from striate.zoo.families import resnet_cifar

RESNET = {  # Table 1: how many blocks at width 64, 128, 256, 512
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def resnet(name: str, classes: int) -> Seq:
    """A depth by its name, with or without `_paper`; `plain18`, `plain34`: 3×224×224 -> classes."""
    depth = name.removesuffix("_paper").replace("plain", "resnet")

    def block(width: int, stride: int) -> Blueprint:
        if depth not in ("resnet18", "resnet34"):
            return bottleneck(width, stride, stride_in_1x1=name != depth)
        return (
            basic_block(width, stride)
            if name == depth
            else resnet_cifar.block(width, stride, not name.startswith("plain"))
        )

    return around(block, RESNET[depth], classes)


def around(block: Callable[[int, int], Blueprint], blocks: tuple[int, ...], classes: int) -> Seq:
    """Table 1's first and last rows, and in between the stages: blocks of width 64, 128, 256, 512, each but the first
    beginning with a stride of 2.
    """
    stages = {
        f"layer{i + 1}": Seq(block(64 * 2**i, 2 if i else 1), *[block(64 * 2**i, 1)] * (n - 1))
        for i, n in enumerate(blocks)
    }
    stem = Seq(conv1=conv_norm_act(64, 7, 2), pool=MaxPool(3, 2, 1))
    return Seq(stem=stem, **stages, mean=GlobalPool(), fc=Linear(classes))
