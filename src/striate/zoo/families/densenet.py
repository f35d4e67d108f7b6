"""DenseNet: Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks, CVPR 2017, arXiv
1608.06993.

`densenet121`, `169`, `201`, `161` are Table 1 (growth 32; 48 for 161), DenseNet-BC as in torchvision;
`densenet_bc100_k12` is the CIFAR network of section 3 with bottlenecks and compression by half: 100 layers, growth
12, 0.8 million parameters (Table 2).
"""

from itertools import count

from striate.blueprint import AvgPool, BatchNorm, Blueprint, Conv, Dense, GlobalPool, Linear, MaxPool, Relu, Seq

DENSENET = {  # growth, first width, layers of each dense block
    "densenet121": (32, 64, (6, 12, 24, 16)),
    "densenet169": (32, 64, (6, 12, 32, 32)),
    "densenet201": (32, 64, (6, 12, 48, 32)),
    "densenet161": (48, 96, (6, 12, 36, 24)),
    "densenet_bc100_k12": (12, 24, (16, 16, 16)),
}


def densenet(name: str, classes: int) -> Seq:
    """A network of the table: 3×224×224 (CIFAR's: 3×32×32) -> classes."""
    growth, width, depths = DENSENET[name]
    layer = Seq(norm_conv(4 * growth, 1), norm_conv(growth, 3))
    stages: dict[str, Blueprint] = {}
    for i, depth in zip(count(1), depths, strict=False):
        stages[f"dense{i}"] = Dense(*[layer] * depth)
        width += growth * depth
        if i < len(depths):
            width //= 2
            stages[f"transition{i}"] = Seq(squeeze=norm_conv(width, 1), pool=AvgPool(2))
    stem = Seq(conv=Conv(2 * growth, 7, 2, 3, bias=False), norm=BatchNorm(), act=Relu, pool=MaxPool(3, 2, 1))
    if name == "densenet_bc100_k12":
        stem = Seq(conv=Conv(2 * growth, 3, padding=1, bias=False))
    return Seq(stem=stem, **stages, norm=BatchNorm(), act=Relu, mean=GlobalPool(), fc=Linear(classes))


def norm_conv(width: int, kernel: int) -> Seq:
    return Seq(norm=BatchNorm(), act=Relu, conv=Conv(width, kernel, padding=kernel // 2, bias=False))
