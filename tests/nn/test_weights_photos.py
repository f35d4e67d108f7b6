"""Real ImageNet weights on real photos: the whole way from a file to names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from striate import load, save
from striate.judging import predictor
from striate.nn import Network
from striate.nn.weights import published

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def squeezenet(shared: Path) -> Network:
    return load("squeezenet1_0", weights=shared / "weights/squeezenet1_0_deepcompression/squeezenet1_0.npz")


def hits(model: Network, folder: Path, label: str) -> tuple[int, int]:
    photos = sorted(folder.glob("*.jpg"))[::3]
    return sum(label in [guess.label for guess in top] for top in predictor(model)(photos)), len(photos)


def test_ants_and_bees_are_seen(squeezenet: Network, shared: Path) -> None:
    ants, of_ants = hits(squeezenet, shared / "hymenoptera/val/ants", "ant")
    bees, of_bees = hits(squeezenet, shared / "hymenoptera/val/bees", "bee")
    assert (of_ants, of_bees) == (24, 28)
    assert ants >= 15
    assert bees >= 24


def test_what_the_weights_want_to_read_comes_with_them(squeezenet: Network) -> None:
    """The file is known by its sha256: its classes, its size, its mean in red, green, blue, and where it is from."""
    rule = squeezenet.metadata["preprocessing"]
    assert (rule["size"], rule["short"]) == ((227, 227), 256)
    assert [round(255 * mean) for mean in rule["mean"]] == [123, 117, 104]
    assert squeezenet.metadata["classes"] == list(published.classes())
    assert squeezenet.metadata["weights"]["tag"] == "deepcompression"
    assert list(squeezenet.report.adapted) == ["conv1.conv.weight"]
    assert "blue first -> red first" in squeezenet.report.adapted["conv1.conv.weight"]


def test_without_the_turned_channels_it_sees_less(squeezenet: Network, shared: Path) -> None:
    """The channel order is a fact about the weights, not a habit: turned back, ants go."""
    right, _ = hits(squeezenet, shared / "hymenoptera/val/ants", "ant")
    weight = squeezenet.get_parameter("conv1.conv.weight")
    with torch.no_grad():
        weight.copy_(weight.flip(1))
    try:
        wrong, _ = hits(squeezenet, shared / "hymenoptera/val/ants", "ant")
    finally:
        with torch.no_grad():
            weight.copy_(weight.flip(1))
    assert wrong < right


def test_it_becomes_a_model_file_that_needs_nothing_else(squeezenet: Network, shared: Path, tmp_path: Path) -> None:
    photo = sorted((shared / "hymenoptera/val/bees").glob("*.jpg"))[0]
    file = save(squeezenet, tmp_path / "squeezenet.safetensors")
    assert predictor(file)([photo]) == predictor(squeezenet)([photo])


def test_a_head_of_two_classes_keeps_their_rows(squeezenet: Network, shared: Path) -> None:
    """Asked for ant and bee alone, the thousand rows shrink to those two: no training, and most photos right."""
    file = shared / "weights/squeezenet1_0_deepcompression/squeezenet1_0.npz"
    two = load("squeezenet1_0", weights=file, classes=["bee", "ant"])
    names = published.classes()
    assert torch.equal(
        two.get_parameter("conv10.conv.weight"),
        squeezenet.get_parameter("conv10.conv.weight")[[names.index("bee"), names.index("ant")]],
    )
    assert "2 of 2 classes by their names (bee, ant)" in str(two.report)
    right = 0
    for kind, label in (("ants", "ant"), ("bees", "bee")):
        photos = sorted((shared / "hymenoptera/val" / kind).glob("*.jpg"))[::3]
        right += sum(top[0].label == label for top in predictor(two)(photos))
    assert right >= 45  # of 52
