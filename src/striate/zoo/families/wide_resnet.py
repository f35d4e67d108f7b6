"""Wide ResNets: Zagoruyko, Komodakis, Wide Residual Networks, BMVC 2016, arXiv 1605.07146.

`wide_resnet28_10` and `wide_resnet40_4` are the CIFAR networks of Table 1 (depth, widening factor): norm and ReLU
come first in a block, and a block that changes the volume gives both its branches the same activated input.
`wide_resnet50_2` and `wide_resnet101_2` are ImageNet bottlenecks of twice the inner width, as in torchvision (stride
in the 3×3).
"""

from striate.blueprint import BatchNorm, Blueprint, Conv, GlobalPool, Linear, Relu, Residual, Seq, bottleneck
from striate.zoo.families.resnet import around

IMAGENET = {"wide_resnet50_2": (3, 4, 6, 3), "wide_resnet101_2": (3, 4, 23, 3)}
CIFAR = {"wide_resnet28_10": (4, 10), "wide_resnet40_4": (6, 4)}  # blocks of each stage, widening


def wide_resnet(name: str, classes: int) -> Seq:
    """A network of the tables: 3×224×224 (CIFAR's: 3×32×32) -> classes."""
    if name in IMAGENET:
        return around(lambda width, stride: bottleneck(width, stride, inner=2 * width), IMAGENET[name], classes)
    blocks, widening = CIFAR[name]
    stages = {}
    for i, width in enumerate((16, 32, 64), 1):
        first = preactivated(width * widening, 1 if i == 1 else 2, changes=True)
        stages[f"group{i}"] = Seq(first, *[preactivated(width * widening)] * (blocks - 1))
    stem = Conv(16, 3, padding=1, bias=False)
    return Seq(stem=stem, **stages, norm=BatchNorm(), act=Relu, mean=GlobalPool(), fc=Linear(classes))


def preactivated(width: int, stride: int = 1, changes: bool = False) -> Blueprint:
    """Figure 1 (b): norm, ReLU, 3×3, norm, ReLU, 3×3."""
    one = Conv(width, 3, stride, 1, bias=False)
    rest = {"norm2": BatchNorm(), "act2": Relu, "conv2": Conv(width, 3, padding=1, bias=False)}
    if changes:
        body = Residual(Seq(conv1=one, **rest), project=Conv(width, 1, stride, bias=False))
        return Seq(norm1=BatchNorm(), act1=Relu, sum=body)
    return Residual(Seq(norm1=BatchNorm(), act1=Relu, conv1=one, **rest))
