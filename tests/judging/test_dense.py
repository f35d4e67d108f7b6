"""Networks that slide over whole images: the same as themselves at their own size, and as crops at every place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from small import network
from striate import nn, zoo
from striate.blueprint import (
    AvgPool,
    CannotTrain,
    Conv,
    Foreign,
    GlobalPool,
    Linear,
    MaxPool,
    Refusal,
    Relu,
    Seq,
    Volume,
    replay,
)
from striate.data import Images, Preprocessing, idx
from striate.judging.asked import ask
from striate.judging.dense import checked, dense, slid
from striate.judging.views import Views

HEAD = {"fc6": Linear(12), "act6": Relu, "fc7": Linear(9, bias=False), "act7": Relu, "fc8": Linear(5)}
LIKE_VGG = Seq(conv1=Conv(6, 3, padding=1), act1=Relu, pool1=MaxPool(2), mean=GlobalPool(output_size=4), **HEAD)
LIKE_RESNET = Seq(conv1=Conv(6, 3, padding=1), act1=Relu, mean=GlobalPool(), **HEAD)
LIKE_INCEPTION = Seq(conv1=Conv(6, 3, 2, 1), act1=Relu, mean=AvgPool(4, 1), fc=Linear(5))


@pytest.fixture(scope="module")
def digits(shared: Path) -> Tensor:
    """MNIST's first test images, uint8 N×1×28×28."""
    return idx.read(shared / "mnist")[1].pixels[:6]


@pytest.mark.parametrize("blueprint", [LIKE_VGG, LIKE_RESNET, LIKE_INCEPTION], ids=["vgg", "resnet", "inception"])
def test_at_its_own_size_it_is_the_plain_network(blueprint: Seq) -> None:
    plain = network(blueprint, "3x8x8").double().eval()
    x = torch.randn(4, 3, 8, 8, dtype=torch.double)
    torch.testing.assert_close(dense(plain)(x), plain(x), rtol=1e-12, atol=1e-13)


def test_a_pool_that_holds_the_head_to_one_size_goes() -> None:
    """12×16 is 6×8 before the head, whose window of 4×4 has 3×5 places there."""
    assert dense(network(LIKE_VGG, "3x8x8"))(torch.randn(2, 3, 12, 16)).shape == (2, 5, 3, 5)


def test_what_pools_globally_is_dense_already() -> None:
    plain = network(LIKE_RESNET, "3x8x8").eval()
    x = torch.randn(2, 3, 13, 21)
    assert torch.equal(dense(plain)(x), plain(x))


def test_the_scores_of_a_grid_are_those_of_the_crops_at_its_places(digits: Tensor) -> None:
    """LeNet-5 reads 32×32 and its cells are 4 apart; on 40×44 that is 3×4 places."""
    lenet = nn.build("lenet5").double().eval()
    x = torch.nn.functional.pad(digits, (8, 8, 6, 6)).double() / 255
    scores = dense(lenet)(x)
    assert scores.shape == (6, 10, 3, 4)
    for row in range(3):
        for column in range(4):
            crop = x[:, :, 4 * row : 4 * row + 32, 4 * column : 4 * column + 32]
            torch.testing.assert_close(scores[:, :, row, column], lenet(crop), rtol=1e-12, atol=1e-13)


def test_an_image_is_judged_by_its_mean_score_and_its_mirror_image(digits: Tensor) -> None:
    """By hand: crops at every place, their scores averaged, soft-max, then the mean with the mirror image's."""
    torch.manual_seed(1)
    lenet = nn.build("lenet5").eval()
    rule = Preprocessing(1, (32, 32), (32, 32), (0.2,), (0.4,))
    images = Images(digits, torch.zeros(6, dtype=torch.int64), tuple("0123456789"), "digits")
    asked = ask(lenet, images, Views("dense", (40,)), rule)
    large = torch.nn.functional.interpolate(digits, [40, 40], mode="bilinear", antialias=True)
    shares = []
    for face in (large, large.flip(3)):
        x = (face / 255 - 0.2) / 0.4
        places = [lenet(x[:, :, i : i + 32, j : j + 32]) for i in (0, 4, 8) for j in (0, 4, 8)]
        shares.append(torch.stack(places).mean(0).softmax(1))
    torch.testing.assert_close(asked.shares.exp(), torch.stack(shares).mean(0))


def test_images_of_every_shape_keep_their_places(digits: Tensor) -> None:
    """Pictures of one shape are computed together; each answer is still its own picture's."""
    from striate.data.images import Streamed
    from striate.data.pictures import Item

    shapes = [(0, 0, 0, 0), (0, 9, 0, 0), (0, 0, 0, 0), (0, 0, 5, 0), (0, 9, 0, 0), (0, 0, 0, 0)]
    pictures = [torch.nn.functional.pad(x, pad) for x, pad in zip(digits, shapes, strict=True)]
    rule = Preprocessing(1, (28, 28), (32, 32), (0.2,), (0.4,))
    data = Streamed(tuple(Item(pictures, i) for i in range(6)), torch.arange(6), tuple("0123456789"), "digits", rule)
    lenet = nn.build("lenet5").eval()
    together = ask(lenet, data, Views("dense"), rule)
    alone = [ask(lenet, data[i : i + 1], Views("dense"), rule).shares for i in range(6)]
    torch.testing.assert_close(together.shares, torch.cat(alone))
    assert together.labels.tolist() == together.which.tolist() == [0, 1, 2, 3, 4, 5]


def test_weights_are_shared_and_other_ways_out_are_left() -> None:
    plain = network(LIKE_VGG, "3x8x8")
    made = dense(plain)
    assert made.get_parameter("fc6.weight").shape == (12, 6, 4, 4)
    assert made.get_parameter("fc6.weight").data_ptr() == plain.get_parameter("fc6.weight").data_ptr()
    assert set(slid(nn.build("googlenet(aux=True)", device="meta").graph).taps) == {"out"}


@pytest.mark.parametrize("name", [name for name, entry in zoo.NETWORKS.items() if entry.classes])
def test_every_network_of_the_zoo_slides_or_says_why(name: str) -> None:
    from striate.nn.build import as_graph

    graph = as_graph(name)
    if name in ("lenet5_paper", "deepface"):
        with pytest.raises(CannotTrain, match=r"Cannot slide this network over whole images: .* alone"):
            slid(graph)
        return
    sliding = slid(graph)
    assert sliding.output == graph.output
    channels, height, width = graph.volume
    larger = replay(sliding, volume=Volume(channels, height + 33, width + 50))
    assert [node.placed.weights for node in larger] == [node.placed.weights for node in sliding]
    assert larger.output.channels == graph.output.channels


def test_what_cannot_slide_is_named_with_the_way_out() -> None:
    with pytest.raises(CannotTrain) as refused:
        slid(nn.build("deepface", device="meta").graph)
    assert str(refused.value) == (
        "Cannot slide this network over whole images: l4.local is LocallyConnected, made for 16×63×63 alone.\n"
        "    Views that are cut to what it reads do: --views ten-crop, multi-crop or grid."
    )
    with pytest.raises(CannotTrain, match="its answer is 6×8×8, a grid already"):
        dense(network(Seq(conv=Conv(6, 3, padding=1)), "1x8x8"))
    foreign = network(Seq(odd=Foreign(lambda volume: torch.nn.Flatten(), (64, 1, 1), macs=0), fc=Linear(2)), "1x8x8")
    with pytest.raises(CannotTrain, match="odd is Foreign, made for 1×8×8 alone"):
        dense(foreign)


def test_an_image_that_is_too_small_is_refused_with_one_that_does() -> None:
    made = dense(nn.build("lenet5"))
    with pytest.raises(CannotTrain) as refused:
        checked(made, 20, 26)
    assert str(refused.value) == (
        "Cannot slide this network over images of 20×26.\n"
        "    2 - 5 = -3: the window is 5 high, the volume only 2.\n"
        "    A short side of 32 does."
    )
    checked(made, 32, 38)
    with pytest.raises(Refusal):
        checked(made, 31, 37)
