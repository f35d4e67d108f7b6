"""The images that a network takes for alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from striate.blueprint import Refusal
from striate.data import open_data
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize import neighbours
from striate.visualize.embedding import Features, features
from striate.visualize.neighbours import nearest, neighbours_picture


def made(n: int, d: int = 8, layer: str = "mean") -> Features:
    generator = torch.Generator().manual_seed(n)
    values, thumbs = torch.randn(n, d, generator=generator), torch.rand(n, 3, 8, 8, generator=generator)
    return Features(values, layer, f"{layer}: {d} numbers", thumbs, torch.arange(n) % 3, ("ant", "bee", "cat"))


@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [64, 1 << 24])
def test_the_nearest_of_all_whatever_the_block(measure: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    of, among = made(30), made(200)
    found = nearest(of, among, 5, measure)
    a, b = of.values.double(), among.values.double()
    if measure == "cosine":
        a, b = (v / v.norm(dim=1, keepdim=True) for v in (a, b))
        apart = 1 - a @ b.T
    else:
        apart = (a[:, None] - b).square().sum(2).sqrt()
    expected = apart.sort(dim=1)
    assert torch.equal(found.which, expected.indices[:, :5])
    torch.testing.assert_close(found.distances, expected.values[:, :5].float())


def test_near_images_are_told_apart_far_from_the_middle() -> None:
    """Where products of matrices in float32 would have lost all digits."""
    values = torch.arange(50.0).view(-1, 1) * 1e-2 + torch.full((1, 16), 1000.0)
    one = made(50)._replace(values=values)
    found = nearest(one._replace(values=values[10:11] + 1e-3), one, 3)
    assert found.which[0].tolist() == [10, 11, 9]


def test_an_image_is_not_its_own_neighbour() -> None:
    one = made(40)
    found = nearest(one, one, 39)
    assert not (found.which == torch.arange(40)[:, None]).any()
    assert found.distances.isfinite().all()
    assert nearest(one, one._replace(said="a copy"), 1).which[:, 0].tolist() == list(range(40))


def test_what_cannot_be_compared() -> None:
    with pytest.raises(Refusal, match=r'near images are by "manhattan"\.\n    One of: euclidean, cosine'):
        nearest(made(3), made(9), 1, "manhattan")
    with pytest.raises(Refusal, match=r"different features: mean: 8 numbers; fc: 8 numbers"):
        nearest(made(3), made(9, layer="fc"), 1)
    with pytest.raises(Refusal, match="different features"):
        nearest(made(3), made(9, d=7), 1)
    with pytest.raises(Refusal, match="Cannot find 10 neighbours of an image: k goes from 1 to 9"):
        nearest(made(3), made(9), 10)


def test_real_images(resnet: Network, cifar10: Path) -> None:
    data = open_data(cifar10, preprocessing=preprocessing_of(resnet))
    of, among = features(resnet, data.test[:10]), features(resnet, data.train[:400])
    found = nearest(of, among)
    assert of.labels is not None
    assert among.labels is not None
    assert (among.labels[found.which] == of.labels[:, None]).float().mean() > 0.8
    assert neighbours_picture(of, among, found, "ResNet-20 on CIFAR-10", torch.tensor([1, 5, 9]))


def test_the_picture(lenet: Network, golden_picture: Callable[[str, bytes], None]) -> None:
    data = open_data("digits", preprocessing=preprocessing_of(lenet))
    of, among = features(lenet, data.test[:10]), features(lenet, data.train[:400])
    picture = neighbours_picture(of, among, nearest(of, among), "LeNet-5 on digits", torch.tensor([1, 5, 9]))
    golden_picture("neighbours", picture)


def test_the_picture_says_which_are_of_another_class() -> None:
    of, among = made(4), made(20)
    found = nearest(of, among, 3)
    as_they_are = neighbours_picture(of, among, found, "$x_")
    assert as_they_are != neighbours_picture(of, among._replace(labels=None), found, "$x_")
