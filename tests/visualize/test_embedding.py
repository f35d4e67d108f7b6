"""A layer's features of a data set, in a plane, as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate.blueprint import CannotTrain, NotFound, Refusal
from striate.data import Images, Streamed, open_data
from striate.data.pictures import File
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.embedding import (
    Features,
    embedding_picture,
    features,
    last_layer,
    pca,
    snapped,
    tsne,
)
from striate.visualize.images import seen
from striate.visualize.watching import values


@pytest.fixture(scope="module")
def mnist(lenet: Network, shared: Path) -> Images:
    test = open_data(shared / "mnist", preprocessing=preprocessing_of(lenet)).test
    assert isinstance(test, Images)
    return test[:300]


@pytest.fixture(scope="module")
def found(lenet: Network, mnist: Images) -> Features:
    return features(lenet, mnist)


def test_features_are_the_layers_values_whatever_the_batch(lenet: Network, mnist: Images) -> None:
    told: list[int] = []
    found = features(lenet, mnist, "conv2", size=64, tick=told.append)
    x = preprocessing_of(lenet).normalise(mnist.pixels)
    expected = values(lenet, x, ["conv2"])["conv2"]
    assert expected.shape == (300, 16, 5, 5)
    torch.testing.assert_close(found.values, expected.mean((2, 3)))
    torch.testing.assert_close(features(lenet, x, "conv2", "flat").values, expected.flatten(1))
    assert told == [64, 128, 192, 256, 300]
    assert found.said == "conv2: 16 numbers, each the mean of a map of 5×5"
    assert features(lenet, x[:9], "conv2", "flat").said == "conv2: 400 numbers, 16×5×5"
    assert found.labels is not None
    assert torch.equal(found.labels, mnist.labels)
    assert torch.equal(found.thumbs, mnist.pixels / 255)


def test_the_last_layer_before_the_scores_is_found(lenet: Network, resnet: Network) -> None:
    assert last_layer(lenet, torch.zeros(1, 1, 32, 32)) == "fc4"
    assert last_layer(resnet, torch.zeros(1, 3, 32, 32)) == "mean"
    assert last_layer(torchvision().models.alexnet(), torch.zeros(1, 3, 224, 224)) == "classifier.5"


def test_a_module_of_any_dtype_with_layers_in_place() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 5)).bfloat16()
    model.train()
    x = torch.randn(7, 3, 8, 8)
    found = features(model, x, "0")
    assert found.values.shape == (7, 4)
    assert found.values.dtype is torch.float32
    torch.testing.assert_close(found.values, model[0](x.bfloat16()).float().mean((2, 3)), atol=1e-2, rtol=1e-2)
    assert model.training


def test_photos_are_read_as_they_are_wanted(squeezenet: Network, shared: Path, tmp_path: Path) -> None:
    """Files that do not fit in memory; one that cannot be read is left out, and its label with it."""
    paths = sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:22]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(paths[0].read_bytes()[:300])
    files, labels = tuple(map(File, [paths[0], broken, *paths[1:]])), torch.arange(23)
    data = Streamed(files, labels, tuple(map(str, labels.tolist())), "bees", preprocessing_of(squeezenet))
    found = features(squeezenet, data, "conv1", size=8)
    assert found.labels is not None
    assert found.labels.tolist() == [0, *range(2, 23)]
    x = seen(squeezenet, paths[:3]).x
    torch.testing.assert_close(found.values[:3], values(squeezenet, x, ["conv1"])["conv1"].mean((2, 3)))
    assert found.thumbs.shape == (22, 3, 64, 64)


def test_large_images_become_thumbnails() -> None:
    found = features(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), torch.randn(2, 3, 96, 128), "0")
    assert found.thumbs.shape == (2, 3, 48, 64)


def test_what_has_no_features(lenet: Network, mnist: Images) -> None:
    with pytest.raises(NotFound, match='No layer "conv3"'):
        features(lenet, mnist, "conv3")
    with pytest.raises(Refusal, match=r'pool maps by "max"\.\n    One of: mean, flat'):
        features(lenet, mnist, pooling="max")
    with pytest.raises(CannotTrain, match="without images"):
        features(lenet, mnist[:0])
    with pytest.raises(Refusal, match=r"tensor of uint8 2×1×32×32: float N×C×H×W"):
        features(lenet, mnist.pixels[:2])
    with pytest.raises(Refusal, match="fc4's features: those of 1 of 3 images are not numbers"):
        features(
            lenet,
            torch.stack([torch.zeros(1, 32, 32), torch.full((1, 32, 32), torch.nan), torch.ones(1, 32, 32)]),
            "fc4",
        )


def test_pca_finds_the_plane_that_points_lie_in() -> None:
    plane, _ = torch.linalg.qr(torch.randn(20, 2, dtype=torch.double))
    at = torch.randn(50, 2, dtype=torch.double) * torch.tensor([5.0, 1.0])
    embedded = pca(at @ plane.T + 3)
    assert embedded.said == "PCA: the plane holds 100% of the variance"
    torch.testing.assert_close(torch.pdist(embedded.points), torch.pdist(at.float()), rtol=1e-3, atol=1e-3)
    assert embedded.points[:, 0].var() > embedded.points[:, 1].var()


def test_tsne_keeps_classes_together(found: Features) -> None:
    embedded = tsne(found.values)
    assert embedded.said == "t-SNE, perplexity 30"
    assert found.labels is not None
    assert _alike(embedded.points, found.labels) > 0.9
    assert tsne(found.values[:20]).said.startswith("t-SNE, perplexity 6.33")


def _alike(points: Tensor, labels: Tensor) -> float:
    """The share of points whose nearest other is of their class."""
    nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).argmin(1)
    return float((labels == labels[nearest]).float().mean())


def test_what_cannot_be_embedded() -> None:
    for how in (pca, tsne):
        with pytest.raises(Refusal, match="Cannot embed 2 images"):
            how(torch.randn(2, 5))
        with pytest.raises(Refusal, match="features are all the same"):
            how(torch.ones(9, 5))
        with pytest.raises(Refusal, match="not numbers"):
            how(torch.full((9, 5), torch.nan))
    with pytest.raises(Refusal, match="perplexity of 0"):
        tsne(torch.randn(9, 5), perplexity=0)


def test_every_image_gets_a_cell_of_its_own_near_its_place() -> None:
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    cells = snapped(points, 20)
    assert len({tuple(cell) for cell in cells.tolist()}) == 200
    assert 0 <= int(cells.min()) <= int(cells.max()) < 20
    order = torch.stack([-points[:, 1], points[:, 0]], 1)  # row 0 is on top
    for axis in range(2):
        assert torch.corrcoef(torch.stack([order[:, axis], cells[:, axis].float()]))[0, 1] > 0.85
    spread = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))
    assert torch.equal(snapped(spread, 3), torch.stack([2 - spread[:, 1], spread[:, 0]], 1).long())
    with pytest.raises(Refusal, match="9 images to a grid of 2×2: it has 4 cells"):
        snapped(spread, 2)


@pytest.mark.parametrize("grid", [True, False])
def test_the_picture(lenet: Network, golden_picture: Callable[[str, bytes], None], grid: bool) -> None:
    some = features(lenet, open_data("digits", preprocessing=preprocessing_of(lenet)).test[:150])
    picture = embedding_picture(some, pca(some.values), "LeNet-5, digits", grid)
    if not grid:
        golden_picture("embedding", picture)
    else:
        assert picture != embedding_picture(some, pca(some.values), "LeNet-5, digits", grid=False)


def test_a_picture_without_labels_and_of_a_name_with_dollars(found: Features) -> None:
    bare = found._replace(labels=None, classes=())
    assert embedding_picture(bare, pca(bare.values), "$x_", grid=False, most=50).startswith(b"\x89PNG")
    odd = found._replace(classes=("$a_{$",) * 10)
    assert embedding_picture(odd, pca(odd.values), "$x_", most=50).startswith(b"\x89PNG")
