"""The networks that today's weights fit: the published integers, and the weights of torchvision's, in their order."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import reference
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
    "resnet18": (11_689_512, "1.814"),
    "resnet34": (21_797_672, "3.664"),
    "resnet50": (25_557_032, "4.089"),
    "resnet101": (44_549_160, "7.801"),
    "resnet152": (60_192_808, "11.514"),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_published_integers(name: str) -> None:
    parameters, billions = TORCHVISION[name]
    graph = draft(zoo.call(name)[1], NETWORKS[name].input)
    assert graph.parameters == parameters
    assert float(billions) == round(graph.macs / 1e9, 3)


def test_the_list_of_published_numbers(shared: Path) -> None:
    """Every line of published_models.csv that names a network of ours."""
    path = shared.parent / "published_models.csv"
    if not path.exists():
        pytest.skip("needs ../shared/published_models.csv")
    lines = [line for line in csv.DictReader(path.open()) if line["name"] in NETWORKS]
    assert len(lines) >= len(TORCHVISION)
    for line in lines:
        network = NETWORKS[line["name"]]
        counted, drawn = zoo.call(COUNTED_WITH.get(network.name, network.name))
        assert draft(drawn, counted.input).parameters == int(line["parameters"]), line
        assert network.input.height == int(line["input_size"]), line
        if line["gmacs"]:
            assert round(network.macs / 1e9, 3) == float(line["gmacs"]), line
            assert (network.top1, network.top5) == (float(line["acc1"]), float(line["acc5"])), line


@pytest.mark.parametrize("name", TORCHVISION)
def test_weights_in_torchvisions_order(name: str) -> None:
    import torch

    torchvision = reference.torchvision()
    options = {"googlenet": {"aux_logits": False, "init_weights": False}}.get(name, {})
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None, **options)
    graph = draft(zoo.call(name)[1], NETWORKS[name].input)
    ours = [shape for node in graph for shape in node.placed.weights.values()]
    assert ours == [tuple(weight.shape) for weight in theirs.parameters()]
