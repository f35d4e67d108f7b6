"""Weights that others have published for networks of the zoo: where they are, how to know them, what they want to read.

The table is torchvision 0.28's own (its weights' metadata; tests hold every line against it), and one file of the
Deep Compression authors. A `digest` is as much of the file's sha256 as its publisher tells: torchvision tells the first
eight digits, in the file's name, and that is what torch.hub checks too. Eight digits find damage; that the file is the
publisher's own rests on https. Accuracies are per cent, one crop, as the publisher measured them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from striate.blueprint import CannotLoad, NotFound, Volume

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
MEBIBYTE = 2**20
BASE = "https://download.pytorch.org/models/"
MEASURED = "torchvision 0.28: ImageNet-2012 validation, one crop"
LICENCE = "BSD-3-Clause (torchvision); learnt from ImageNet, whose own terms are for research"


class Photo(NamedTuple):
    """What weights want to read: the short side scaled to `short`, the centre `crop` square cut out, (value/255 -
    mean)/std of each channel. `order` is the channels' in the file; `mean` and `std` are in red, green, blue.
    """

    short: int = 256
    crop: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    order: str = "RGB"
    interpolation: str = "bilinear"


class Published(NamedTuple):
    """A line of the table. `url` is empty where the file itself has no public address: then it is known by its digest
    alone. `turned` names the tensor that reads blue first.
    """

    network: str
    tag: str
    file: str
    url: str
    digest: str
    bytes: int  # to the publisher's last digit: `about` tells how near
    top1: float
    top5: float
    photo: Photo
    measured: str = MEASURED
    licence: str = LICENCE
    turned: str = ""

    @property
    def volume(self) -> Volume:
        return Volume(len(self.photo.mean), self.photo.crop, self.photo.crop)

    @property
    def most_bytes(self) -> int:
        """What the file can have at most: sizes are published to 0.001 MiB."""
        return self.bytes + 1100

    def is_size(self, size: int) -> bool:
        return abs(size - self.bytes) <= self.most_bytes - self.bytes


def row(
    network: str,
    tag: str,
    file: str,
    mebibytes: float,
    top1: float,
    top5: float,
    short: int = 256,
    crop: int = 224,
    interpolation: str = "bilinear",
) -> Published:
    """A line of torchvision's. Its GoogLeNet and Inception were trained on (x - 0.5)/0.5 and shift the input themselves
    (`transform_input`); here that is their mean and deviation.
    """
    mean, std = (HALF, HALF) if network in ("googlenet", "inception_v3") else (IMAGENET_MEAN, IMAGENET_STD)
    digest = re.search(r"-([0-9a-f]{8,64})\.pth$", file)
    assert digest, file
    photo = Photo(short, crop, mean, std, interpolation=interpolation)
    return Published(network, tag, file, BASE + file, digest[1], round(mebibytes * MEBIBYTE), top1, top5, photo)


TABLE = (
    row("alexnet", "imagenet", "alexnet-owt-7be5be79.pth", 233.087, 56.522, 79.066),
    row("vgg11", "imagenet", "vgg11-8a719046.pth", 506.84, 69.02, 88.628),
    row("vgg13", "imagenet", "vgg13-19584684.pth", 507.545, 69.928, 89.246),
    row("vgg16", "imagenet", "vgg16-397923af.pth", 527.796, 71.592, 90.382),
    row("vgg19", "imagenet", "vgg19-dcbb9e9d.pth", 548.051, 72.376, 90.876),
    row("vgg11_bn", "imagenet", "vgg11_bn-6002323d.pth", 506.881, 70.37, 89.81),
    row("vgg13_bn", "imagenet", "vgg13_bn-abd245e5.pth", 507.59, 71.586, 90.374),
    row("vgg16_bn", "imagenet", "vgg16_bn-6c64b313.pth", 527.866, 73.36, 91.516),
    row("vgg19_bn", "imagenet", "vgg19_bn-c79401a0.pth", 548.143, 74.218, 91.842),
    row("googlenet", "imagenet", "googlenet-1378be20.pth", 49.731, 69.778, 89.53),
    row("inception_v3", "imagenet", "inception_v3_google-0cc3c7bd.pth", 103.903, 77.294, 93.45, 342, 299),
    row("resnet18", "imagenet", "resnet18-f37072fd.pth", 44.661, 69.758, 89.078),
    row("resnet34", "imagenet", "resnet34-b627a593.pth", 83.275, 73.314, 91.42),
    row("resnet50", "imagenet", "resnet50-0676ba61.pth", 97.781, 76.13, 92.862),
    row("resnet50", "imagenet_v2", "resnet50-11ad3fa6.pth", 97.79, 80.858, 95.434, 232, 224),
    row("resnet101", "imagenet", "resnet101-63fe2227.pth", 170.511, 77.374, 93.546),
    row("resnet101", "imagenet_v2", "resnet101-cd907fc2.pth", 170.53, 81.886, 95.78, 232, 224),
    row("resnet152", "imagenet", "resnet152-394f9c45.pth", 230.434, 78.312, 94.046),
    row("resnet152", "imagenet_v2", "resnet152-f82ba261.pth", 230.474, 82.284, 96.002, 232, 224),
    row("wide_resnet50_2", "imagenet", "wide_resnet50_2-95faca4d.pth", 131.82, 78.468, 94.086),
    row("wide_resnet50_2", "imagenet_v2", "wide_resnet50_2-9ba9bcbe.pth", 263.124, 81.602, 95.758, 232, 224),
    row("wide_resnet101_2", "imagenet", "wide_resnet101_2-32ee1156.pth", 242.896, 78.848, 94.284),
    row("wide_resnet101_2", "imagenet_v2", "wide_resnet101_2-d733dc28.pth", 484.747, 82.51, 96.02, 232, 224),
    row("resnext50_32x4d", "imagenet", "resnext50_32x4d-7cdf4587.pth", 95.789, 77.618, 93.698),
    row("resnext50_32x4d", "imagenet_v2", "resnext50_32x4d-1a0047aa.pth", 95.833, 81.198, 95.34, 232, 224),
    row("resnext101_32x8d", "imagenet", "resnext101_32x8d-8ba56ff5.pth", 339.586, 79.312, 94.526),
    row("resnext101_32x8d", "imagenet_v2", "resnext101_32x8d-110c445d.pth", 339.673, 82.834, 96.228, 232, 224),
    row("resnext101_64x4d", "imagenet", "resnext101_64x4d-173b62eb.pth", 319.318, 83.246, 96.454, 232, 224),
    row("densenet121", "imagenet", "densenet121-a639ec97.pth", 30.845, 74.434, 91.972),
    row("densenet161", "imagenet", "densenet161-8d451a50.pth", 110.369, 77.138, 93.56),
    row("densenet169", "imagenet", "densenet169-b2777c0a.pth", 54.708, 75.6, 92.806),
    row("densenet201", "imagenet", "densenet201-c1103571.pth", 77.373, 76.896, 93.37),
    row("squeezenet1_0", "imagenet", "squeezenet1_0-b66bff10.pth", 4.778, 58.092, 80.42),
    row("squeezenet1_1", "imagenet", "squeezenet1_1-b8a52dc0.pth", 4.729, 58.178, 80.624),
    row("mobilenet_v2", "imagenet", "mobilenet_v2-b0353104.pth", 13.555, 71.878, 90.286),
    row("mobilenet_v2", "imagenet_v2", "mobilenet_v2-7ebf99e0.pth", 13.598, 72.154, 90.822, 232, 224),
    row("mobilenet_v3_small", "imagenet", "mobilenet_v3_small-047dcff4.pth", 9.829, 67.668, 87.402),
    row("mobilenet_v3_large", "imagenet", "mobilenet_v3_large-8738ca79.pth", 21.114, 74.042, 91.34),
    row("mobilenet_v3_large", "imagenet_v2", "mobilenet_v3_large-5c1a4163.pth", 21.107, 75.274, 92.566, 232, 224),
    row("shufflenet_v2_x0_5", "imagenet", "shufflenetv2_x0.5-f707e7126e.pth", 5.282, 60.552, 81.746),
    row("shufflenet_v2_x1_0", "imagenet", "shufflenetv2_x1-5666bf0f80.pth", 8.791, 69.362, 88.316),
    row("shufflenet_v2_x1_5", "imagenet", "shufflenetv2_x1_5-3c479a10.pth", 13.557, 72.996, 91.086, 232, 224),
    row("shufflenet_v2_x2_0", "imagenet", "shufflenetv2_x2_0-8be3c8ee.pth", 28.433, 76.23, 93.006, 232, 224),
    row("mnasnet1_0", "imagenet", "mnasnet1.0_top1_73.512-f206786ef8.pth", 16.915, 73.456, 91.51),
    row(
        "efficientnet_b0",
        "imagenet",
        "efficientnet_b0_rwightman-7f5810bc.pth",
        20.451,
        77.692,
        93.532,
        256,
        224,
        "bicubic",
    ),
    row(
        "efficientnet_b1",
        "imagenet",
        "efficientnet_b1_rwightman-bac287d4.pth",
        30.134,
        78.642,
        94.186,
        256,
        240,
        "bicubic",
    ),
    row("efficientnet_b1", "imagenet_v2", "efficientnet_b1-c27df63c.pth", 30.136, 79.838, 94.934, 255, 240),
    row(
        "efficientnet_b2",
        "imagenet",
        "efficientnet_b2_rwightman-c35c1473.pth",
        35.174,
        80.608,
        95.31,
        288,
        288,
        "bicubic",
    ),
    row(
        "efficientnet_b3",
        "imagenet",
        "efficientnet_b3_rwightman-b3899882.pth",
        47.184,
        82.008,
        96.054,
        320,
        300,
        "bicubic",
    ),
    row(
        "efficientnet_b4",
        "imagenet",
        "efficientnet_b4_rwightman-23ab8bcd.pth",
        74.489,
        83.384,
        96.594,
        384,
        380,
        "bicubic",
    ),
    row(
        "efficientnet_b5",
        "imagenet",
        "efficientnet_b5_lukemelas-1a07897c.pth",
        116.864,
        83.444,
        96.628,
        456,
        456,
        "bicubic",
    ),
    row(
        "efficientnet_b6",
        "imagenet",
        "efficientnet_b6_lukemelas-24a108a5.pth",
        165.362,
        84.008,
        96.916,
        528,
        528,
        "bicubic",
    ),
    row(
        "efficientnet_b7",
        "imagenet",
        "efficientnet_b7_lukemelas-c5b4e57e.pth",
        254.675,
        84.122,
        96.908,
        600,
        600,
        "bicubic",
    ),
    Published(
        network="squeezenet1_0",
        tag="deepcompression",
        file="squeezenet1_0.npz",  # decoded from the authors' compressed_SqueezeNet.net into torchvision's names
        url="",
        digest="5cc9bcb8011a95f5d385b271e23cc579e0b2a22fa07812d0a51f4130fac545ff",
        bytes=926_529,
        top1=57.5,
        top5=80.3,
        photo=Photo(256, 227, (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3, order="BGR"),
        measured="arXiv 1602.07360, Table 2, Deep Compression of 8 bits: ImageNet-2012 validation",
        licence=LICENCE.replace("BSD-3-Clause (torchvision)", "BSD-2-Clause (songhan/SqueezeNet-Deep-Compression)"),
        turned="features.0.weight",
    ),
)


def find(network: str, tag: str) -> Published:
    """The line of a network's weights by their tag. Raises NotFound."""
    here = {line.tag: line for line in TABLE if line.network == network}
    if not here:
        raise CannotLoad(f"No weights of {network} are published here.", ways="Any file can be named: weights=FILE.")
    if tag not in here:
        raise NotFound(f"weights of {network}", tag, here)
    return here[tag]


def tags(network: str) -> list[str]:
    """What there is for a network, best known first: ["imagenet", "imagenet_v2"]."""
    return [line.tag for line in TABLE if line.network == network]


@cache
def classes() -> tuple[str, ...]:
    """The thousand of ImageNet-2012, in the order of every published head. Short English names, each once."""
    return tuple((files(__package__) / "imagenet.txt").read_text(encoding="utf-8").split("\n")[:1000])


def provenance(line: Published) -> Mapping[str, Any]:
    """What a model file keeps of where its weights come from."""
    return {
        name: getattr(line, name) for name in ("tag", "file", "url", "digest", "licence", "top1", "top5", "measured")
    }
