"""The table of networks: what each is, where it was published, what it costs, how good it was.

`parameters` and `macs` are those of the network at its input without options, written here so that a listing costs
nothing; tests/zoo holds every one of them against the drafted network, and against what was published. Accuracies are
the published ones, in per cent, and `measured` says by whom and how: they are not comparable across lines that say
different things.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from striate.blueprint.volume import Volume


class Network(NamedTuple):
    """A line of the table. `family` is the module of striate.zoo.families whose function of the same name draws it."""

    name: str
    family: str
    input: Volume
    classes: int
    parameters: int
    macs: int
    year: int
    paper: str
    counted: str = ""  # who published its size, and what they say
    top1: float | None = None
    top5: float | None = None
    measured: str = ""
    note: str = ""


class Accuracy(NamedTuple):
    top1: float | None
    top5: float | None
    measured: str


def tv(top1: float, top5: float) -> Accuracy:
    return Accuracy(top1, top5, "torchvision 0.28, IMAGENET1K_V1: ImageNet-2012 validation, one crop")


def ten_crop(error1: float, error5: float) -> Accuracy:
    return Accuracy(round(100 - error1, 2), round(100 - error5, 2), "Table 3: ImageNet-2012 validation, ten crops")


UNKNOWN = Accuracy(None, None, "")
TORCHVISION = "torchvision 0.28"
Row = tuple[str, Volume, int, int, str, Accuracy, str]


def rows(family: str, year: int, paper: str, *lines: Row, classes: int = 1000) -> Iterator[Network]:
    """The lines of one paper: name, input, parameters, MACs, who counted them, accuracy, note."""
    for name, volume, parameters, macs, counted, accuracy, note in lines:
        yield Network(name, family, volume, classes, parameters, macs, year, paper, counted, *accuracy, note)


IMAGE = Volume(3, 224, 224)
LENET = "LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998"
CONVNETJS = "Karpathy: ConvNetJS, demo/cifar10, 2014"
ALEXNET = "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
ZFNET = "Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, arXiv 1311.2901"
VGG = "Simonyan, Zisserman: Very Deep ConvNets for Large-Scale Image Recognition, ICLR 2015, arXiv 1409.1556"
GOOGLENET = "Szegedy et al.: Going Deeper with Convolutions, CVPR 2015, arXiv 1409.4842"
RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385"

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        *rows(
            *("lenet", 1998, LENET),
            ("lenet5", Volume(1, 32, 32), 61_706, 416_520, "", UNKNOWN, "as lectures draw it"),
            (
                *("lenet5_paper", Volume(1, 32, 32), 60_000, 328_096),
                "section II-B: 60,000 trainable parameters, 340,908 connections",
                Accuracy(99.05, None, "section III-B: MNIST test, trained without distortions"),
                "C3's connection table, trainable subsampling, radial basis output",
            ),
            classes=10,
        ),
        *rows(
            *("convnetjs", 2014, CONVNETJS),
            (
                "convnetjs_cifar10",
                Volume(3, 32, 32),
                22_466,
                3_920_000,
                "",
                UNKNOWN,
                "its page says ~80 % of its own weights",
            ),
            classes=10,
        ),
        *rows(
            *("alexnet", 2012, ALEXNET),
            ("alexnet", IMAGE, 61_100_840, 714_188_480, TORCHVISION, tv(56.522, 79.066), "one GPU: arXiv 1404.5997"),
            (
                *("alexnet_paper", Volume(3, 227, 227), 60_965_224, 724_406_816),
                "abstract: 60 million parameters, 650,000 neurons",
                Accuracy(59.3, 81.8, "Table 2: ImageNet-2012 validation, one network, ten crops"),
                "two GPUs: conv2, conv4 and conv5 in two groups",
            ),
            (
                "alexnet_lecture",
                Volume(3, 227, 227),
                62_378_344,
                1_135_256_096,
                "",
                UNKNOWN,
                "no groups, norm after pool",
            ),
        ),
        *rows(
            *("zfnet", 2013, ZFNET),
            (
                *("zfnet", IMAGE, 62_357_608, 1_168_032_896, ""),
                Accuracy(61.6, 83.5, "Table 2: ImageNet-2012 validation, one network, ten crops"),
                "figure 3; its padding is not published",
            ),
            (
                *("zfnet_lecture", IMAGE, 107_627_624, 2_476_704_896, ""),
                Accuracy(62.5, 84.0, "Table 2, model (b): ImageNet-2012 validation, one network, ten crops"),
                "512, 1024, 512 filters in conv3, conv4, conv5",
            ),
        ),
        *rows(
            *("vgg", 2014, VGG),
            ("vgg11", IMAGE, 132_863_336, 7_609_090_048, TORCHVISION, tv(69.02, 88.628), "column A"),
            ("vgg13", IMAGE, 133_047_848, 11_308_466_176, TORCHVISION, tv(69.928, 89.246), "column B"),
            ("vgg16", IMAGE, 138_357_544, 15_470_264_320, TORCHVISION, tv(71.592, 90.382), "column D"),
            ("vgg19", IMAGE, 143_667_240, 19_632_062_464, TORCHVISION, tv(72.376, 90.876), "column E"),
            ("vgg11_bn", IMAGE, 132_868_840, 7_609_090_048, TORCHVISION, tv(70.37, 89.81), "A + batch norm"),
            ("vgg13_bn", IMAGE, 133_053_736, 11_308_466_176, TORCHVISION, tv(71.586, 90.374), "B + batch norm"),
            ("vgg16_bn", IMAGE, 138_365_992, 15_470_264_320, TORCHVISION, tv(73.36, 91.516), "D + batch norm"),
            ("vgg19_bn", IMAGE, 143_678_248, 19_632_062_464, TORCHVISION, tv(74.218, 91.842), "E + batch norm"),
            (
                *("vgg_a_lrn", IMAGE, 132_863_336, 7_609_090_048, "Table 2: 133 million parameters"),
                Accuracy(70.3, 89.5, "Table 3: ImageNet-2012 validation, one scale, dense"),
                "column A-LRN",
            ),
            (
                *("vgg_c", IMAGE, 133_638_952, 11_770_888_192, "Table 2: 134 million parameters"),
                Accuracy(72.7, 91.2, "Table 3: ImageNet-2012 validation, one scale, dense, S in 256 to 512"),
                "column C",
            ),
        ),
        *rows(
            *("googlenet", 2014, GOOGLENET),
            ("googlenet", IMAGE, 6_624_904, 1_498_376_192, TORCHVISION, tv(69.778, 89.53), "batch norm; 3×3 for 5×5"),
            (
                *("googlenet_paper", IMAGE, 6_998_552, 1_582_671_872, "Table 1"),
                Accuracy(None, 89.93, "Table 2: ImageNet-2012 validation, one network, one crop"),
                "5×5, no batch norm",
            ),
        ),
        *rows(
            *("resnet", 2015, RESNET),
            ("resnet18", IMAGE, 11_689_512, 1_814_073_344, TORCHVISION, tv(69.758, 89.078), ""),
            ("resnet34", IMAGE, 21_797_672, 3_663_761_408, TORCHVISION, tv(73.314, 91.42), ""),
            ("resnet50", IMAGE, 25_557_032, 4_089_184_256, TORCHVISION, tv(76.13, 92.862), ""),
            ("resnet101", IMAGE, 44_549_160, 7_801_405_440, TORCHVISION, tv(77.374, 93.546), ""),
            ("resnet152", IMAGE, 60_192_808, 11_513_626_624, TORCHVISION, tv(78.312, 94.046), ""),
            (
                "resnet50_paper",
                IMAGE,
                25_557_032,
                3_857_973_248,
                "Table 1: 3.8×10^9 multiply-adds",
                ten_crop(22.85, 6.71),
                "stride in the 1×1",
            ),
            (
                "resnet101_paper",
                IMAGE,
                44_549_160,
                7_570_194_432,
                "Table 1: 7.6×10^9 multiply-adds",
                ten_crop(21.75, 6.05),
                "stride in the 1×1",
            ),
            (
                "resnet152_paper",
                IMAGE,
                60_192_808,
                11_282_415_616,
                "Table 1: 11.3×10^9 multiply-adds",
                ten_crop(21.43, 5.71),
                "stride in the 1×1",
            ),
        ),
    )
}
