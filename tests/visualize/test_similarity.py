"""How alike layers see images: against the definitions, and what must not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import striate
from striate.blueprint import NotFound, Refusal
from striate.data import open_data
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize import similarity as room
from striate.visualize.embedding import features
from striate.visualize.similarity import Similarity, linear_cka, rdm, similarity, similarity_picture, telling_layers
from striate.visualize.watching import values

SMALL = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(128, 5))


def made(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def hsic(a: Tensor, b: Tensor) -> Tensor:
    """As Gretton et al. 2005 write it: tr(KHLH)/(n-1)²."""
    n = len(a)
    h = torch.eye(n, dtype=torch.double) - 1 / n
    k, other = a.double() @ a.T.double(), b.double() @ b.T.double()
    return (k @ h @ other @ h).trace() / (n - 1) ** 2


def hsic_1(a: Tensor, b: Tensor) -> Tensor:
    """As Song et al. 2012 write it, equation 5."""
    n = len(a)
    k, other = ((v.double() @ v.T.double()).fill_diagonal_(0) for v in (a, b))
    ones = torch.ones(n, dtype=torch.double)
    whole = (ones @ k @ ones) * (ones @ other @ ones) / ((n - 1) * (n - 2))
    return ((k @ other).trace() + whole - 2 / (n - 2) * (ones @ k @ other @ ones)) / (n * (n - 3))


@pytest.mark.parametrize(("unbiased", "direct"), [(False, hsic), (True, hsic_1)])
def test_cka_is_hsic_over_hsics(unbiased: bool, direct: Callable[[Tensor, Tensor], Tensor]) -> None:
    a = made(40, 12) + 3
    b = a[:, :5] ** 2 + made(40, 5, 1)
    expected = direct(a, b) / (direct(a, a) * direct(b, b)).sqrt()
    assert linear_cka(a, b, unbiased) == pytest.approx(float(expected), rel=1e-4)
    assert 0.1 < expected < 0.9


@pytest.mark.parametrize("unbiased", [False, True])
def test_what_does_not_matter_to_cka(unbiased: bool) -> None:
    a, b = made(40, 12), made(40, 9, 1) + made(40, 12)[:, :9]
    q, _ = torch.linalg.qr(made(12, 12, 2))
    assert linear_cka(a, a, unbiased) == pytest.approx(1)
    assert linear_cka(a, 7 * a @ q + 5, unbiased) == pytest.approx(1, abs=1e-5)
    assert linear_cka(a @ q, 0.1 * b, unbiased) == pytest.approx(linear_cka(a, b, unbiased), abs=1e-5)
    assert linear_cka(a @ made(12, 12, 3), a, unbiased) < 0.98  # what is not a rotation does


def test_many_dimensions_alone_make_nothing_alike() -> None:
    a, b = made(32, 4000), made(32, 4000, 1)
    assert linear_cka(a, b) > 0.9
    assert abs(linear_cka(a, b, unbiased=True)) < 0.1


def test_dissimilarities_are_one_less_the_correlations() -> None:
    a = made(20, 7)
    assert torch.allclose(rdm(a), 1 - torch.corrcoef(a.double()), atol=1e-12)
    a[3] = 2.0  # nothing to correlate with
    assert torch.equal(rdm(a)[3], 1 - torch.eye(20, dtype=torch.double)[3])


def test_layers_by_batches_are_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, names = made(150, 3 * 64).view(150, 3, 8, 8), ["0", "2", "4"]
    found = similarity(SMALL, x[:100], names)
    seen = values(SMALL, x[:100], names)
    for i, a in enumerate(seen.values()):
        for j, b in enumerate(seen.values()):
            assert float(found.values[i, j]) == pytest.approx(linear_cka(a, b, unbiased=True), abs=1e-5)
    monkeypatch.setattr(room, "BATCH", 50)
    parts = [values(SMALL, part, names) for part in x.split(50)]
    expected = sum(hsic_1(p["0"].flatten(1), p["4"]) for p in parts)
    mine, its = (sum(hsic_1(p[n].flatten(1), p[n].flatten(1)) for p in parts) for n in ("0", "4"))
    found = similarity(SMALL, x, ["0"], others=["4"])
    assert found.values.item() == pytest.approx(float(expected / (mine * its).sqrt()), abs=1e-5)
    assert (found.rows, found.columns, found.images) == (("0",), ("4",), 150)


def test_rsa_by_groups_of_layers_is_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, told = made(60, 3 * 64).view(60, 3, 8, 8), list[int]()
    above = torch.ones(60, 60).triu(1).bool()
    one, other = (rdm(features(SMALL, x, name, "flat").values)[above] for name in ("0", "4"))
    found = similarity(SMALL, x, ["0", "2"], SMALL, ["4"], measure="rsa")
    assert float(found.values[0, 0]) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-4)
    monkeypatch.setattr(room, "HELD", 1000)
    again = similarity(SMALL, x, ["0", "2"], SMALL, ["4"], measure="rsa", tick=told.append)
    assert torch.equal(found.values, again.values)
    assert told == [60, 120, 180]


def test_two_networks_each_by_its_own_rule(lenet: Network, shared: Path) -> None:
    data = open_data(shared / "mnist", preprocessing=preprocessing_of(lenet)).test[:32]
    other = striate.load("lenet5-mnist")
    mine = preprocessing_of(lenet)
    other.metadata["preprocessing"] = replace(mine, mean=(0.0,), std=(1.0,)).to_json()
    alike = similarity(lenet, data, ["conv1", "fc4"], other=lenet)
    assert alike.columns == telling_layers(lenet, mine.normalise(data.pixels[:1]))
    found = similarity(lenet, data, ["conv1", "fc4"], other, ["fc4"])
    one = values(lenet, mine.normalise(data.pixels), ["conv1"])["conv1"]
    its = values(lenet, data.pixels / 255, ["fc4"])["fc4"]
    assert float(found.values[0, 0]) == pytest.approx(linear_cka(one, its, unbiased=True), abs=1e-4)
    assert 0 < found.values[1, 0] < 0.999


def test_what_cannot_be_compared() -> None:
    x = made(9, 3 * 64).view(9, 3, 8, 8)
    with pytest.raises(Refusal, match=r'layers by "svcca"\.\n    One of: cka, rsa'):
        similarity(SMALL, x, measure="svcca")
    with pytest.raises(Refusal, match="on 3 images: 4 or more"):
        similarity(SMALL, x[:3])
    with pytest.raises(NotFound, match='No layer "9"'):
        similarity(SMALL, x, ["9"])
    with pytest.raises(Refusal, match="choose layers to compare"):
        similarity(nn.Sequential(nn.ReLU(), nn.Flatten()), x)
    for measure in ("cka", "rsa"):
        with pytest.raises(Refusal, match="Cannot compare 0 with other layers: its values are not all numbers"):
            similarity(SMALL, x * torch.inf, ["0"], measure=measure)
        with pytest.raises(Refusal, match="Cannot compare 0 with other layers: its values are the same for all"):
            similarity(SMALL, torch.ones(9, 3, 8, 8), ["0"], measure=measure)


def test_layers_that_tell_are_found(resnet: Network) -> None:
    found = telling_layers(resnet, torch.zeros(1, 3, 32, 32))
    blocks = tuple(f"stage{stage}.{block}.sum" for stage in (1, 2, 3) for block in range(3))
    assert found == ("stem.conv", *blocks, "fc")  # what lies inside the blocks is left out
    assert telling_layers(SMALL, torch.zeros(1, 3, 8, 8)) == ("0", "2", "4")


def test_real_layers(resnet: Network, cifar10: Path, golden_picture: Callable[[str, bytes], None]) -> None:
    """Neighbouring layers are more alike than distant ones (Kornblith et al. 2019, figure 2)."""
    data = open_data(cifar10, preprocessing=preprocessing_of(resnet)).test[:128]
    names = ["stem", "stage1.0.sum", "stage1.2.sum", "stage2.1.sum", "stage3.0.sum", "stage3.2.sum", "fc"]
    found = similarity(resnet, data, names)
    assert torch.allclose(found.values.diagonal(), torch.ones(7, dtype=torch.double))
    assert torch.allclose(found.values, found.values.T)
    assert found.values.diagonal(1).mean() > 0.5 > found.values.diagonal(4).mean()
    golden_picture("similarity", similarity_picture(found, "ResNet-20 on CIFAR-10"))


def test_two_networks_as_a_picture(golden_picture: Callable[[str, bytes], None]) -> None:
    """With names that are too long for the axes."""
    rows, columns = (
        tuple(f"{part}.{i}.sum.body.1.depthwise.conv" for i in range(n)) for part, n in (("a", 5), ("b", 9))
    )
    values = 1 - (torch.linspace(0, 1, 5)[:, None] - torch.linspace(0, 1, 9)).abs().double()
    mine, its = "resnet20-cifar10-trained-on-very-many-photos", "lenet5-mnist"
    found = Similarity(values, rows, columns, "cka", 128)
    golden_picture("similarity-two", similarity_picture(found, f"{mine} and {its}: layers compared", mine, its))
