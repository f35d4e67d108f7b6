"""The networks published since 2016. What the columns mean: striate.zoo.network."""

from __future__ import annotations

from striate.blueprint.volume import Volume
from striate.zoo.network import IMAGE, TINY, TORCHVISION, UNKNOWN, Accuracy, Network, cifar, one_crop, rows, tv

ALPHAGO = "Silver et al.: Mastering the Game of Go with Deep Neural Networks and Tree Search, Nature 529, 2016"
SQUEEZENET = "Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, arXiv 1602.07360"
INCEPTION_V3 = "Szegedy et al.: Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv 1512.00567"
INCEPTION_V4 = "Szegedy et al.: Inception-v4, Inception-ResNet and the Impact of Residual Connections, arXiv 1602.07261"
WIDE = "Zagoruyko, Komodakis: Wide Residual Networks, BMVC 2016, arXiv 1605.07146"
DENSENET = "Huang et al.: Densely Connected Convolutional Networks, CVPR 2017, arXiv 1608.06993"
XCEPTION = "Chollet: Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, arXiv 1610.02357"
RESNEXT = "Xie et al.: Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017, arXiv 1611.05431"
MOBILENET_V1 = "Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision, arXiv 1704.04861"
MOBILENET_V2 = "Sandler et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv 1801.04381"
MOBILENET_V3 = "Howard et al.: Searching for MobileNetV3, ICCV 2019, arXiv 1905.02244"
SHUFFLENET_V1 = "Zhang, Zhou, Lin, Sun: ShuffleNet, CVPR 2018, arXiv 1707.01083"
SHUFFLENET_V2 = "Ma, Zhang, Zheng, Sun: ShuffleNet V2: Practical Guidelines, ECCV 2018, arXiv 1807.11164"
NASNET = "Zoph, Vasudevan, Shlens, Le: Learning Transferable Architectures, CVPR 2018, arXiv 1707.07012"
SENET = "Hu, Shen, Sun: Squeeze-and-Excitation Networks, CVPR 2018, arXiv 1709.01507"
MNASNET = "Tan et al.: MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, arXiv 1807.11626"
EFFICIENTNET = "Tan, Le: EfficientNet: Rethinking Model Scaling for ConvNets, ICML 2019, arXiv 1905.11946"
AIRBENCH = "Jordan: 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, arXiv 2404.00498"

BOARD, LARGE = Volume(48, 19, 19), Volume(3, 299, 299)
TIMM = "timm 1.0.31"
LISTED = "Table 2, blacklisted images left out"


def table_2(error1: float, error5: float | None = None) -> Accuracy:
    return one_crop(round(100 - error1, 2), None if error5 is None else round(100 - error5, 2), "Table 2")


NETWORKS: tuple[Network, ...] = (
    *rows(
        *("alphago", 2016, ALPHAGO),
        ("alphago_128", BOARD, 1_777_641, 641_043_584, "", UNKNOWN, "a score for each of 361 points"),
        ("alphago_192", BOARD, 3_882_793, 1_400_726_208, "", UNKNOWN, "the match version"),
        ("alphago_256", BOARD, 6_798_953, 2_453_182_720, "", UNKNOWN, ""),
        ("alphago_384", BOARD, 15_064_297, 5_436_417_408, "", UNKNOWN, ""),
        classes=None,
    ),
    *rows(
        *("squeezenet", 2016, SQUEEZENET),
        ("squeezenet1_0", IMAGE, 1_248_424, 818_924_576, TORCHVISION, tv(58.092, 80.42), ""),
        ("squeezenet1_1", IMAGE, 1_235_496, 349_151_936, TORCHVISION, tv(58.178, 80.624), ""),
    ),
    *rows(
        *("inception_v3", 2015, INCEPTION_V3),
        (
            *("inception_v3", LARGE, 23_834_568, 5_713_216_096),
            f"{TORCHVISION}, whose 27,161,264 parameters are with the auxiliary head",
            *(tv(77.294, 93.45), ""),
        ),
    ),
    *rows(
        *("inception_v4", 2016, INCEPTION_V4),
        ("inception_v4", LARGE, 42_679_816, 12_253_974_624, TIMM, one_crop(80.0, 95.0, LISTED), ""),
        ("inception_resnet_v2", LARGE, 55_843_464, 13_155_794_016, TIMM, one_crop(80.1, 95.1, LISTED), ""),
    ),
    *rows(
        *("wide_resnet", 2016, WIDE),
        ("wide_resnet50_2", IMAGE, 68_883_240, 11_398_021_120, TORCHVISION, tv(78.468, 94.086), ""),
        ("wide_resnet101_2", IMAGE, 126_886_696, 22_753_050_624, TORCHVISION, tv(78.848, 94.284), ""),
    ),
    *rows(
        *("wide_resnet", 2016, WIDE),
        ("wide_resnet28_10", TINY, 36_479_194, 5_243_328_768, "36.5 million parameters", cifar(4.0, "Table 5"), ""),
        ("wide_resnet40_4", TINY, 8_949_210, 1_298_582_016, "8.9 million parameters", cifar(4.53, "Table 5"), ""),
        classes=10,
    ),
    *rows(
        *("densenet", 2016, DENSENET),
        ("densenet121", IMAGE, 7_978_856, 2_834_161_664, TORCHVISION, tv(74.434, 91.972), ""),
        ("densenet169", IMAGE, 14_149_480, 3_359_843_328, TORCHVISION, tv(75.6, 92.806), ""),
        ("densenet201", IMAGE, 20_013_928, 4_291_365_888, TORCHVISION, tv(76.896, 93.37), ""),
        ("densenet161", IMAGE, 28_681_000, 7_727_907_072, TORCHVISION, tv(77.138, 93.56), ""),
    ),
    *rows(
        *("densenet", 2016, DENSENET),
        (
            *("densenet_bc100_k12", TINY, 769_162, 287_929_692, "Table 2: 0.8 million parameters"),
            *(cifar(4.51, "Table 2"), ""),
        ),
        classes=10,
    ),
    *rows(
        *("xception", 2016, XCEPTION),
        (
            *("xception", LARGE, 22_855_952, 8_357_403_496, "Table 3: 22,855,952 parameters"),
            *(one_crop(79.0, 94.5, "Table 1"), ""),
        ),
    ),
    *rows(
        *("resnext", 2016, RESNEXT),
        ("resnext50_32x4d", IMAGE, 25_028_904, 4_230_479_872, TORCHVISION, tv(77.618, 93.698), ""),
        ("resnext101_32x8d", IMAGE, 88_791_336, 16_414_015_488, TORCHVISION, tv(79.312, 94.526), ""),
        ("resnext101_64x4d", IMAGE, 83_455_272, 15_460_270_080, TORCHVISION, tv(83.246, 96.454), ""),
    ),
    *rows(
        *("mobilenet", 2017, MOBILENET_V1),
        ("mobilenet_v1", IMAGE, 4_231_976, 568_740_352, TIMM, UNKNOWN, ""),
        (
            *("mobilenet_v1_paper", IMAGE, 4_231_976, 568_740_352),
            "Table 4: 4.2 million parameters, 569 million multiply-adds",
            *(one_crop(70.6, None, "Table 4"), "ReLU for ReLU6"),
        ),
    ),
    *rows(
        *("shufflenet", 2017, SHUFFLENET_V1),
        ("shufflenet_v1_g1", IMAGE, 1_531_936, 143_078_976, "", table_2(33.6), ""),
        ("shufflenet_v1_g2", IMAGE, 1_733_848, 140_836_512, "", table_2(32.7), ""),
        ("shufflenet_v1_g3", IMAGE, 1_865_728, 137_460_672, "", table_2(32.6), ""),
        ("shufflenet_v1_g4", IMAGE, 1_968_344, 134_339_776, "", table_2(32.8), ""),
        ("shufflenet_v1_g8", IMAGE, 2_434_768, 138_365_952, "", table_2(32.4), ""),
    ),
    *rows(
        *("nasnet", 2017, NASNET),
        (
            *("nasnet_mobile", IMAGE, 5_289_978, 563_638_816),
            "Table 3: 5.3 million parameters, 564 million multiply-adds",
            *(one_crop(74.0, 91.6, "Table 3"), "NASNet-A (4 @ 1056)"),
        ),
        (
            *("nasnet_large", Volume(3, 331, 331), 88_753_150, 23_783_414_658),
            "Table 2: 88.9 million parameters, 23.8 billion multiply-adds",
            *(one_crop(82.7, 96.2, "Table 2"), "NASNet-A (6 @ 4032)"),
        ),
    ),
    *rows(
        *("senet", 2017, SENET),
        ("seresnet50", IMAGE, 28_088_024, 4_091_699_200, TIMM, UNKNOWN, ""),
        ("seresnet101", IMAGE, 49_326_872, 7_806_148_608, TIMM, UNKNOWN, ""),
        ("seresnet152", IMAGE, 66_821_848, 11_520_204_800, TIMM, UNKNOWN, ""),
        ("seresnext50_32x4d", IMAGE, 27_559_896, 4_232_994_816, TIMM, UNKNOWN, ""),
        ("seresnet50_paper", IMAGE, 28_088_024, 3_860_488_192, TIMM, table_2(23.29, 6.62), "stride in the 1×1"),
        ("seresnet101_paper", IMAGE, 49_326_872, 7_574_937_600, TIMM, table_2(22.38, 6.07), "stride in the 1×1"),
        ("seresnet152_paper", IMAGE, 66_821_848, 11_288_993_792, TIMM, table_2(21.57, 5.73), "stride in the 1×1"),
        ("seresnext50_32x4d_paper", IMAGE, 27_559_896, 4_232_994_816, TIMM, table_2(21.1, 5.49), "another pool"),
        ("senet154", IMAGE, 115_088_984, 20_688_363_520, TIMM, one_crop(81.32, 95.53, "Table 8"), ""),
    ),
    *rows(
        *("mobilenet", 2018, MOBILENET_V2),
        ("mobilenet_v2", IMAGE, 3_504_872, 300_774_272, TORCHVISION, tv(71.878, 90.286), ""),
    ),
    *rows(
        *("shufflenet", 2018, SHUFFLENET_V2),
        ("shufflenet_v2_x0_5", IMAGE, 1_366_792, 40_476_448, TORCHVISION, tv(60.552, 81.746), ""),
        ("shufflenet_v2_x1_0", IMAGE, 2_278_604, 144_907_992, TORCHVISION, tv(69.362, 88.316), ""),
        ("shufflenet_v2_x1_5", IMAGE, 3_503_624, 295_759_392, TORCHVISION, tv(72.996, 91.086), ""),
        ("shufflenet_v2_x2_0", IMAGE, 7_393_996, 583_253_464, TORCHVISION, tv(76.23, 93.006), ""),
    ),
    *rows(
        *("mnasnet", 2018, MNASNET),
        ("mnasnet1_0", IMAGE, 4_383_312, 314_415_872, TORCHVISION, tv(73.456, 91.51), "B1: no gates"),
    ),
    *rows(
        *("mobilenet", 2019, MOBILENET_V3),
        ("mobilenet_v3_small", IMAGE, 2_542_856, 56_510_400, TORCHVISION, tv(67.668, 87.402), ""),
        ("mobilenet_v3_large", IMAGE, 5_483_032, 216_589_760, TORCHVISION, tv(74.042, 91.34), ""),
    ),
    *rows(
        *("efficientnet", 2019, EFFICIENTNET),
        ("efficientnet_b0", IMAGE, 5_288_548, 385_814_752, TORCHVISION, tv(77.692, 93.532), ""),
        ("efficientnet_b1", Volume(3, 240, 240), 7_794_184, 686_802_832, TORCHVISION, tv(78.642, 94.186), ""),
        ("efficientnet_b2", Volume(3, 288, 288), 9_109_994, 1_087_529_456, TORCHVISION, tv(80.608, 95.31), ""),
        ("efficientnet_b3", Volume(3, 300, 300), 12_233_232, 1_827_141_392, TORCHVISION, tv(82.008, 96.054), ""),
        ("efficientnet_b4", Volume(3, 380, 380), 19_341_616, 4_393_771_024, TORCHVISION, tv(83.384, 96.594), ""),
        ("efficientnet_b5", Volume(3, 456, 456), 30_389_784, 10_266_384_752, TORCHVISION, tv(83.444, 96.628), ""),
        ("efficientnet_b6", Volume(3, 528, 528), 43_040_704, 19_067_593_536, TORCHVISION, tv(84.008, 96.916), ""),
        ("efficientnet_b7", Volume(3, 600, 600), 66_347_960, 37_745_884_192, TORCHVISION, tv(84.122, 96.908), ""),
    ),
    *rows(
        *("airbench", 2024, AIRBENCH),
        (
            *("airbench94", TINY, 1_972_792, 118_147_360, ""),
            *(cifar(6.0, "the title"), "in seconds; its first layer's filters come from the images"),
        ),
        classes=10,
    ),
)
