"""A layer's filters are its weights, and what is said of them is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.blueprint import Conv, Linear, LocallyConnected, NotFound, Refusal, Seq
from striate.data.preprocessing import Preprocessing
from striate.judging.trained import preprocessing_of
from striate.nn import build
from striate.nn.build import Network
from striate.visualize import filters_drawn
from striate.visualize.filters import Alike, filters, in_colours
from striate.visualize.filters_drawn import draw_filters


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def conv(weight: torch.Tensor, groups: int = 1) -> nn.Module:
    made = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2], groups=groups, bias=False)
    made.weight.data = weight
    return nn.Sequential(made)


def test_the_first_filters_read_the_image(lenet: Network, resnet: Network) -> None:
    for model, layer in ((lenet, "conv1.conv"), (resnet, "stem.conv")):
        found = filters(model)
        assert found.layer == layer
        assert found.image
        assert torch.equal(found.weights, model.get_submodule(layer).weight)
    assert not filters(lenet, "conv2.conv").image


def test_dead_and_alike() -> None:
    weight = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    weight[1] = 0
    weight[4] = 2 * weight[2]  # the same direction
    weight[5] = -weight[2]  # the opposite one is another
    weight[3] *= 0.004 * weight[2].norm() / weight[3].norm()  # 0.2 % of the largest
    found = filters(conv(weight))
    assert found.dead == (1, 3)
    assert [(pair.first, pair.second) for pair in found.alike] == [(2, 4)]
    assert found.alike[0].cosine == pytest.approx(1.0)
    assert torch.allclose(found.norms, weight.pow(2).sum((1, 2, 3)).sqrt())
    said = "6 filters of 5×5 on the image, 2 dead, 1 pair alike (cosine > 0.95): 2 and 4 (1.000)"
    assert found.told() == said


def test_the_threshold_counts(lenet: Network) -> None:
    weight = lenet.get_submodule("fc3.fc").weight.detach()
    cosines = F.cosine_similarity(weight[:, None], weight[None], dim=2).triu(1)
    found = filters(lenet, "fc3.fc", threshold=0.5)
    assert len(found.alike) == int((cosines > 0.5).sum()) > 0
    first = found.alike[0]
    assert first == Alike(first.first, first.second, pytest.approx(float(cosines.max()), abs=1e-5))
    assert [pair.cosine for pair in found.alike] == sorted((pair.cosine for pair in found.alike), reverse=True)


def test_many_filters_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch, lenet: Network) -> None:
    whole = filters(lenet, "fc3.fc", threshold=0.3).alike
    monkeypatch.setattr("striate.visualize.filters.AT_ONCE", 500)
    parts = filters(lenet, "fc3.fc", threshold=0.3).alike
    assert {pair[:2] for pair in parts} == {pair[:2] for pair in whole}


def test_filters_of_different_groups_are_not_held_against_each_other() -> None:
    weight = torch.randn(1, 2, 3, 3).expand(8, 2, 3, 3).clone()
    found = filters(conv(weight, groups=4))
    assert found.groups == 4
    assert {pair[:2] for pair in found.alike} == {(0, 1), (2, 3), (4, 5), (6, 7)}
    depthwise = filters(conv(weight[:, :1], groups=8))
    assert depthwise.weights.shape == (8, 1, 3, 3)
    assert not depthwise.alike


def test_a_transposed_convolution_s_filters_are_those_of_its_outputs() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False)
    found = filters(nn.Sequential(layer))
    assert found.weights.shape == (6, 2, 3, 3)
    x = torch.zeros(1, 4, 1, 1)
    x[0, 3] = 1  # the second channel of the second group
    y = layer(x)[0]
    assert torch.allclose(y[3:], found.weights[3:, 1])
    assert not y[:3].any()


def test_a_linear_layer_that_reads_an_image_has_filters_of_its_grid() -> None:
    model = build(Seq(fc=Linear(10)), "1x28x28")
    found = filters(model)
    assert found.image
    x = torch.randn(2, 1, 28, 28)
    assert torch.allclose(F.conv2d(x, found.weights, model.get_submodule("fc").bias)[:, :, 0, 0], model(x), atol=1e-5)
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert filters(theirs).weights.shape == (10, 784, 1, 1)
    assert filters(theirs, volume="1x28x28").weights.shape == (10, 1, 28, 28)
    with pytest.raises(Refusal, match=r"Cannot see the filters of 1 on 1×27×28: it reads 784 numbers\.\n    1 \* 27"):
        filters(theirs, "1", volume="1x27x28")


def test_back_in_the_images_colours(resnet: Network) -> None:
    found, rule = filters(resnet), Preprocessing(3, (8, 8), (8, 8), (0.5, 0.5, 0.5), (0.1, 0.2, 0.4))
    seen = in_colours(found, rule)
    assert seen.amin() >= 0
    assert torch.allclose((seen - 0.5).flatten(1).abs().amax(1), torch.full((16,), 0.5))
    unscaled = (seen - 0.5) / torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1)
    assert torch.allclose(F.cosine_similarity(unscaled.flatten(1), found.weights.flatten(1)), torch.ones(16))
    # Of all patches of one norm in what the network reads, it drives its filter most.
    x = (seen - 0.5) / torch.tensor(rule.std).view(1, 3, 1, 1)
    x = x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose((x * found.weights).flatten(1).sum(1), found.norms, atol=1e-5)
    assert torch.allclose(in_colours(found, None), in_colours(found, replace(rule, std=(0.3, 0.3, 0.3))))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("stem.convv", 'No layer "stem.convv". Near: stem.conv'),
        ("stage1", "Cannot see the filters of stage1: 6 layers in it have some.\n    Name one of stage1.0"),
        ("stem.norm", "Cannot see the filters of stem.norm: a BatchNorm2d has none.\n    Name one of stem.conv, "),
    ],
)
def test_what_has_no_filters(resnet: Network, layer: str, says: str) -> None:
    with pytest.raises((NotFound, Refusal)) as refused:
        filters(resnet, layer)
    assert str(refused.value).startswith(says)


def test_a_part_with_one_layer_that_has_some(resnet: Network) -> None:
    assert filters(resnet, "stem").layer == "stem.conv"


def test_weights_of_which_there_are_others_at_each_place() -> None:
    model = build(Seq(first=Conv(4, 3), local=LocallyConnected(4, 3)), "3x8x8")
    with pytest.raises(Refusal, match=r"Its weight is 4×4×4×4×3×3: a window's weights are others at each place"):
        filters(model, "local")
    with pytest.raises(Refusal, match="the network has neither a convolution nor a linear layer"):
        filters(nn.Sequential(nn.ReLU()))


def test_numbers_that_are_not_finite() -> None:
    weight = torch.randn(4, 3, 3, 3)
    weight[2, 0, 0, 0] = float("nan")
    with pytest.raises(Refusal, match="Cannot see the filters of 0: 1 of 4 hold numbers that are not finite"):
        filters(conv(weight))


def test_weights_that_are_not_there_yet() -> None:
    for model in (nn.Sequential(nn.LazyConv2d(4, 3)), conv(torch.zeros(4, 3, 3, 3)).to("meta")):
        with pytest.raises(Refusal, match="Cannot see the filters of 0: its weights are not there yet"):
            filters(model)


def test_half_precision_is_read_as_it_is() -> None:
    model = conv(torch.randn(4, 3, 3, 3)).bfloat16()
    assert torch.equal(filters(model).weights, model[0].weight.float())  # type: ignore[index]


def test_filters_as_a_picture(resnet: Network, lenet: Network, golden_picture: Callable[[str, bytes], None]) -> None:
    golden_picture("filters-resnet20", draw_filters(filters(resnet), preprocessing_of(resnet)))
    for layer in ("conv2.conv", "fc3.fc", "fc5"):
        assert draw_filters(filters(lenet, layer)).startswith(b"\x89PNG")


def test_a_filter_is_found_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weak one's norm stands at its number; so does its row."""
    monkeypatch.setattr(filters_drawn, "png", lambda figure: figure)
    weight = torch.randn(40, 4, 3, 3)
    weight[7] = 0
    figure: Any = draw_filters(found := filters(conv(weight)))
    grid, norms = figure.axes[0], next(axes for axes in figure.axes if axes.lines)
    shown = found.norms.topk(16).indices.sort().values.tolist()
    assert [label.get_text() for label in grid.get_yticklabels()] == [str(number) for number in shown]
    assert [line[1, 1] for line in norms.collections[0].get_segments()] == pytest.approx(found.norms.tolist())
    assert norms.lines[0].get_xdata() == [7]
