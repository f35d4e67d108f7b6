"""The networks that today's weights fit: the integers that torchvision and timm publish."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from striate import zoo
from striate.blueprint import draft
from striate.zoo import NETWORKS

# Name: parameters, billions of multiply-adds as far as they are printed (torchvision 0.28, metadata of IMAGENET1K_V1).
TORCHVISION = {
    "alexnet": (61_100_840, "0.714"),
    "vgg11": (132_863_336, "7.609"),
    "vgg13": (133_047_848, "11.308"),
    "vgg16": (138_357_544, "15.47"),
    "vgg19": (143_667_240, "19.632"),
    "vgg11_bn": (132_868_840, "7.609"),
    "vgg13_bn": (133_053_736, "11.308"),
    "vgg16_bn": (138_365_992, "15.47"),
    "vgg19_bn": (143_678_248, "19.632"),
    "googlenet": (6_624_904, "1.498"),
    "inception_v3": (27_161_264, "5.713"),
    "resnet18": (11_689_512, "1.814"),
    "resnet34": (21_797_672, "3.664"),
    "resnet50": (25_557_032, "4.089"),
    "resnet101": (44_549_160, "7.801"),
    "resnet152": (60_192_808, "11.514"),
    "resnext50_32x4d": (25_028_904, "4.23"),
    "resnext101_32x8d": (88_791_336, "16.414"),
    "resnext101_64x4d": (83_455_272, "15.46"),
    "wide_resnet50_2": (68_883_240, "11.398"),
    "wide_resnet101_2": (126_886_696, "22.753"),
    "densenet121": (7_978_856, "2.834"),
    "densenet161": (28_681_000, "7.728"),
    "densenet169": (14_149_480, "3.36"),
    "densenet201": (20_013_928, "4.291"),
    "mobilenet_v2": (3_504_872, "0.301"),
    "mobilenet_v3_large": (5_483_032, "0.217"),
    "mobilenet_v3_small": (2_542_856, "0.057"),
    "shufflenet_v2_x0_5": (1_366_792, "0.04"),
    "shufflenet_v2_x1_0": (2_278_604, "0.145"),
    "shufflenet_v2_x1_5": (3_503_624, "0.296"),
    "shufflenet_v2_x2_0": (7_393_996, "0.583"),
    "squeezenet1_0": (1_248_424, "0.819"),
    "squeezenet1_1": (1_235_496, "0.349"),
    "efficientnet_b0": (5_288_548, "0.386"),
    "efficientnet_b1": (7_794_184, "0.687"),
    "efficientnet_b2": (9_109_994, "1.088"),
    "efficientnet_b3": (12_233_232, "1.827"),
    "efficientnet_b4": (19_341_616, "4.394"),
    "efficientnet_b5": (30_389_784, "10.266"),
    "efficientnet_b6": (43_040_704, "19.068"),
    "efficientnet_b7": (66_347_960, "37.746"),
    "mnasnet1_0": (4_383_312, "0.314"),
}
TIMM = {  # their name: ours, parameters (timm 1.0.31)
    "legacy_senet154": ("senet154", 115_088_984),
    "legacy_seresnet50": ("seresnet50_paper", 28_088_024),
    "legacy_seresnet101": ("seresnet101_paper", 49_326_872),
    "legacy_seresnet152": ("seresnet152_paper", 66_821_848),
    "legacy_seresnext50_32x4d": ("seresnext50_32x4d_paper", 27_559_896),
    "seresnet50": ("seresnet50", 28_088_024),
    "inception_v4": ("inception_v4", 42_679_816),
    "inception_resnet_v2": ("inception_resnet_v2", 55_843_464),
    "nasnetalarge": ("nasnet_large", 88_753_150),
    "mobilenetv1_100": ("mobilenet_v1", 4_231_976),
    "wide_resnet50_2": ("wide_resnet50_2", 68_883_240),
    "resnext50_32x4d": ("resnext50_32x4d", 25_028_904),
    "xception": ("xception", 22_855_952),
}
COUNTED_WITH = {"inception_v3": "inception_v3(aux=True)"}  # parameters with the head, multiply-adds without


def parameters_of(call: str) -> int:
    network, drawn = zoo.call(COUNTED_WITH.get(call, call))
    return draft(drawn, network.input).parameters


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_integers(name: str) -> None:
    parameters, billions = TORCHVISION[name]
    assert parameters_of(name) == parameters
    assert round(NETWORKS[name].macs / 1e9, 3) == float(billions)


@pytest.mark.parametrize("theirs", TIMM)
def test_timms_integers(theirs: str) -> None:
    ours, parameters = TIMM[theirs]
    assert parameters_of(ours) == parameters


def test_the_list_of_published_numbers(shared: Path) -> None:
    """Every line of published_models.csv that names a network of ours, under their name or ours."""
    path = shared.parent / "published_models.csv"
    if not path.exists():
        pytest.skip("needs ../shared/published_models.csv")
    lines = list(csv.DictReader(path.open()))
    ours = {line["name"]: TIMM.get(line["name"], (line["name"],))[0] for line in lines}
    assert {name for name, known in ours.items() if known not in NETWORKS} == {"legacy_seresnet18", "legacy_seresnet34"}
    for line in lines:
        if ours[line["name"]] not in NETWORKS:
            continue
        network = NETWORKS[ours[line["name"]]]
        assert parameters_of(network.name) == int(line["parameters"]), line
        assert network.input.height == int(line["input_size"]), line
        if line["gmacs"]:
            assert round(network.macs / 1e9, 3) == float(line["gmacs"]), line
            assert (network.top1, network.top5) == (float(line["acc1"]), float(line["acc5"])), line
