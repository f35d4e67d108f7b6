"""The networks published until 2015, from the neocognitron to ResNet. What the columns mean: striate.zoo.network."""

from __future__ import annotations

from striate.blueprint.volume import Volume
from striate.zoo.network import IMAGE, TINY, TORCHVISION, UNKNOWN, Accuracy, Network, cifar, rows, ten_crop, tv


def table_2(error: float) -> Accuracy:
    return Accuracy(round(100 - error, 2), None, "Table 2: ImageNet-2012 validation, ten crops")


LENET = "LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998"
CONVNETJS = "Karpathy: ConvNetJS, demo/cifar10, 2014"
ALEXNET = "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
ZFNET = "Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, arXiv 1311.2901"
VGG = "Simonyan, Zisserman: Very Deep ConvNets for Large-Scale Image Recognition, ICLR 2015, arXiv 1409.1556"
GOOGLENET = "Szegedy et al.: Going Deeper with Convolutions, CVPR 2015, arXiv 1409.4842"
RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385"
NEOCOGNITRON = "Fukushima: Neocognitron, Biological Cybernetics 36, 1980"
NIN = "Lin, Chen, Yan: Network in Network, ICLR 2014, arXiv 1312.4400"
OVERFEAT = "Sermanet et al.: OverFeat, ICLR 2014, arXiv 1312.6229"
DEEPFACE = "Taigman, Yang, Ranzato, Wolf: DeepFace, CVPR 2014"
FRAMES, WIDER = Volume(4, 84, 84), Volume(3, 227, 227)


NETWORKS: tuple[Network, ...] = (
    *rows(
        *("neocognitron", 1980, NEOCOGNITRON),
        ("neocognitron", Volume(1, 16, 16), 29_472, 1_132_800, "", UNKNOWN, "its layout, with today's cells"),
        classes=24,
    ),
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
        ("convnetjs_cifar10", TINY, 22_466, 3_920_000, "", UNKNOWN, "its page claims ~80 %"),
        classes=10,
    ),
    *rows(
        *("alexnet", 2012, ALEXNET),
        ("alexnet", IMAGE, 61_100_840, 714_188_480, TORCHVISION, tv(56.522, 79.066), "one GPU: arXiv 1404.5997"),
        (
            *("alexnet_paper", WIDER, 60_965_224, 724_406_816),
            "abstract: 60 million parameters, 650,000 neurons",
            Accuracy(59.3, 81.8, "Table 2: ImageNet-2012 validation, one network, ten crops"),
            "two GPUs: conv2, conv4 and conv5 in two groups",
        ),
        ("alexnet_lecture", WIDER, 62_378_344, 1_135_256_096, "", UNKNOWN, "no groups, norm after pool"),
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
        *("nin", 2013, NIN),
        ("nin_cifar10", TINY, 966_986, 222_486_528, "", cifar(8.81, "Table 1"), "as released with Caffe"),
        classes=10,
    ),
    *rows(
        *("nin", 2013, NIN),
        ("nin_imagenet", IMAGE, 7_595_176, 1_100_188_800, "", UNKNOWN, "as released with Caffe"),
    ),
    *rows(
        *("dqn", 2013, "Mnih et al.: Playing Atari with Deep Reinforcement Learning, arXiv 1312.5602"),
        ("dqn_2013", FRAMES, 680_770, 2_970_112, "", UNKNOWN, "classes are actions"),
        classes=18,
    ),
    *rows(
        *("dqn", 2015, "Mnih et al.: Human-Level Control through Deep Reinforcement Learning, Nature 518, 2015"),
        ("dqn_2015", FRAMES, 1_693_362, 9_352_192, "", UNKNOWN, "classes are actions"),
        classes=18,
    ),
    *rows(
        *("overfeat", 2013, OVERFEAT),
        (
            *("overfeat_fast", Volume(3, 231, 231), 145_920_872, 2_801_403_904),
            *("Table 4: 145 million parameters, 2,810 million connections", UNKNOWN, ""),
        ),
        (
            *("overfeat_accurate", Volume(3, 221, 221), 144_656_488, 5_355_446_784),
            "Table 4: 144 million parameters, 5,369 million connections",
            Accuracy(64.26, 85.82, "Table 2: ImageNet-2012 validation, one network, four scales, fine stride"),
            "",
        ),
    ),
    *rows(
        *("deepface", 2014, DEEPFACE),
        (
            *("deepface", Volume(3, 152, 152), 118_923_774, 517_624_448),
            *("section 3.1: more than 120 million parameters", UNKNOWN, "locally connected; classes are people"),
        ),
        classes=4030,
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
            Accuracy(None, 89.93, "Table 3: ImageNet-2012 validation, one network, one crop"),
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
            *("resnet18_paper", IMAGE, 11_515_688, 1_794_805_760, "Table 1: 1.8×10^9 multiply-adds"),
            *(table_2(27.88), "option A"),
        ),
        (
            *("resnet34_paper", IMAGE, 21_623_848, 3_644_493_824, "Table 1: 3.6×10^9 multiply-adds"),
            *(ten_crop(25.03, 7.76), "option A"),
        ),
        (
            *("plain18", IMAGE, 11_515_688, 1_794_805_760, "Table 1: 1.8×10^9 multiply-adds"),
            *(table_2(27.94), "no shortcuts"),
        ),
        (
            *("plain34", IMAGE, 21_623_848, 3_644_493_824, "Table 1: 3.6×10^9 multiply-adds"),
            *(ten_crop(28.54, 10.02), "no shortcuts"),
        ),
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
    *rows(
        *("resnet_cifar", 2015, RESNET),
        ("resnet20", TINY, 269_722, 40_551_040, "Table 6: 0.27 million parameters", cifar(8.75, "Table 6"), ""),
        ("resnet32", TINY, 464_154, 68_862_592, "Table 6: 0.46 million parameters", cifar(7.51, "Table 6"), ""),
        ("resnet44", TINY, 658_586, 97_174_144, "Table 6: 0.66 million parameters", cifar(7.17, "Table 6"), ""),
        ("resnet56", TINY, 853_018, 125_485_696, "Table 6: 0.85 million parameters", cifar(6.97, "Table 6"), ""),
        ("resnet110", TINY, 1_727_962, 252_887_680, "Table 6: 1.7 million parameters", cifar(6.43, "Table 6"), ""),
        ("resnet1202", TINY, 19_421_274, 2_829_238_912, "Table 6: 19.4 million parameters", cifar(7.93, "Table 6"), ""),
        ("plain20", TINY, 269_722, 40_551_040, "", UNKNOWN, "no shortcuts"),
        ("plain32", TINY, 464_154, 68_862_592, "", UNKNOWN, "no shortcuts"),
        ("plain44", TINY, 658_586, 97_174_144, "", UNKNOWN, "no shortcuts"),
        ("plain56", TINY, 853_018, 125_485_696, "", UNKNOWN, "no shortcuts"),
        ("plain110", TINY, 1_727_962, 252_887_680, "", UNKNOWN, "no shortcuts"),
        classes=10,
    ),
)
