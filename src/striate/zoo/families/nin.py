"""NIN: Lin, Chen, Yan, Network in Network, ICLR 2014, arXiv 1312.4400: 1×1 convolutions behind each convolution, and
a mean for each class instead of fully connected layers.

The paper leaves widths and windows to its supplement. `nin_cifar10` and `nin_imagenet` are the networks that the
authors released with Caffe: three (four) mlpconv layers, dropout, for CIFAR-10 a mean as the second pool; pools hang
over the edge, and ImageNet's first convolution leaves out what its stride does not reach (54 positions on 224 cells).
"""

from striate.blueprint import AvgPool, Blueprint, Conv, Dropout, GlobalPool, MaxPool, Relu, Seq

Mlpconv = tuple[int, int, int, int, tuple[int, int]]  # filters, window, stride, padding, the two 1×1


def nin(name: str, classes: int) -> Seq:
    """`nin_cifar10`: 3×32×32, `nin_imagenet`: 3×224×224 -> classes."""
    if name == "nin_cifar10":
        layers: list[Mlpconv] = [(192, 5, 1, 2, (160, 96)), (192, 5, 1, 2, (192, 192)), (192, 3, 1, 1, (192, classes))]
        between: list[Blueprint] = [
            Seq(pool=MaxPool(3, 2, fit="ceil"), drop=Dropout()),
            Seq(pool=AvgPool(3, 2, fit="ceil"), drop=Dropout()),
        ]
    else:
        layers = [(96, 11, 4, 0, (96, 96)), (256, 5, 1, 2, (256, 256)), (384, 3, 1, 1, (384, 384))]
        layers += [(1024, 3, 1, 1, (1024, classes))]
        pool = MaxPool(3, 2, fit="ceil")
        between = [pool, pool, Seq(pool=pool, drop=Dropout())]
    parts: dict[str, Blueprint] = {}
    for i, layer in enumerate(layers, 1):
        parts[f"mlpconv{i}"] = mlpconv(*layer)
        if i <= len(between):
            parts[f"pool{i}"] = between[i - 1]
    return Seq(**parts, mean=GlobalPool())


def mlpconv(filters: int, kernel: int, stride: int, padding: int, ones: tuple[int, int]) -> Seq:
    first = Seq(conv=Conv(filters, kernel, stride, padding, fit="floor"), act=Relu)
    return Seq(first, *(Seq(conv=Conv(width, 1), act=Relu) for width in ones))
