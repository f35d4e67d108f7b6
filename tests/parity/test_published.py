"""The table of published weights says what torchvision's own metadata says, line by line."""

from __future__ import annotations

import re

import pytest
import torch

import reference
from striate.nn.weights import published
from striate.nn.weights.published import TABLE, Published
from striate.zoo import NETWORKS

VISION = [line for line in TABLE if line.url]


@pytest.mark.parametrize("line", VISION, ids=lambda line: f"{line.network}-{line.tag}")
def test_a_line_is_what_torchvision_says(line: Published) -> None:
    models = reference.torchvision().models
    tag = {"imagenet": "IMAGENET1K_V1", "imagenet_v2": "IMAGENET1K_V2"}[line.tag]
    weights = models.get_model_weights(line.network)[tag]
    rule, meta = weights.transforms(), weights.meta
    assert line.url == weights.url
    assert re.search(rf"-{line.digest}\.pth$", weights.url)
    assert len(line.digest) >= 8
    assert line.is_size(round(meta["_file_size"] * 2**20))
    assert [line.top1, line.top5] == [meta["_metrics"]["ImageNet-1K"][key] for key in ("acc@1", "acc@5")]
    assert ([line.photo.short], [line.photo.crop]) == (rule.resize_size, rule.crop_size)
    assert line.photo.interpolation == rule.interpolation.value
    assert "license" not in meta, "weights with a licence of their own need it said"
    assert tuple(meta["categories"]) == published.classes()


@pytest.mark.parametrize("line", VISION, ids=lambda line: f"{line.network}-{line.tag}")
def test_images_become_the_same_numbers(line: Published) -> None:
    """Their mean and deviation, and the shift of the input that GoogLeNet and Inception do themselves."""
    rule = reference.torchvision().models.get_model_weights(line.network).DEFAULT.transforms()
    value = torch.rand(3)
    theirs = (value - torch.tensor(rule.mean)) / torch.tensor(rule.std)
    if line.network in ("googlenet", "inception_v3"):
        theirs = (
            theirs * (torch.tensor([0.229, 0.224, 0.225]) / 0.5) + (torch.tensor([0.485, 0.456, 0.406]) - 0.5) / 0.5
        )
    ours = (value - torch.tensor(line.photo.mean)) / torch.tensor(line.photo.std)
    assert torch.allclose(theirs, ours, atol=1e-6)


@pytest.mark.parametrize("network", ["googlenet", "inception_v3"])
def test_those_two_do_shift_their_input(network: str) -> None:
    """torchvision's own forward, with and without: what it does equals our mean and deviation."""
    torchvision = reference.torchvision()
    with torch.device("meta"):
        theirs = getattr(torchvision.models, network)(weights=None, init_weights=False, transform_input=True)
    value = torch.rand(1, 3, 2, 2)
    normal = torchvision.transforms.functional.normalize(value, published.IMAGENET_MEAN, published.IMAGENET_STD)
    assert torch.allclose(theirs._transform_input(normal), (value - 0.5) / 0.5, atol=1e-6)


def test_every_network_that_has_published_weights_is_in_the_table() -> None:
    models = reference.torchvision().models
    for name in {*models.list_models()} & {*NETWORKS}:
        known = {weights.url for weights in models.get_model_weights(name) if "IMAGENET1K_V" in weights.name}
        assert known == {line.url for line in TABLE if line.network == name and line.url}, name


def test_the_zoo_and_the_table_agree() -> None:
    """The plain name's accuracy is that of the weights called imagenet."""
    for line in TABLE:
        if line.tag == "imagenet":
            assert (NETWORKS[line.network].top1, NETWORKS[line.network].top5) == (line.top1, line.top5), line.network


def test_classes_are_a_thousand_names_each_once() -> None:
    names = published.classes()
    assert len(names) == len({*names}) == 1000
    assert (names[0], names[309], names[310], names[999]) == ("tench", "bee", "ant", "toilet tissue")
