"""DeepDream puts more of a layer into a photo, and leaves it a photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from striate.blueprint import CannotMake, NotFound
from striate.data import read_image
from striate.data.preprocessing import scaled
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.dream import _octaves, dream
from striate.visualize.imagine import measured
from striate.visualize.imagine.drawn import row


@pytest.fixture(scope="module")
def bee(shared: Path) -> Tensor:
    photo = read_image(sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))[10], 3)
    return scaled(photo[None], (96, 96))[0]


def test_a_layer_has_more_of_the_photo(squeezenet: Network, bee: Tensor) -> None:
    told: list[int] = []
    dreamt = dream(squeezenet, bee, "body.5.expand", octaves=2, steps=5, tick=told.append)
    assert dreamt.shape == bee.shape
    assert dreamt.dtype == torch.uint8
    assert told == [*range(1, 11)]
    before, after = (
        measured(squeezenet, preprocessing_of(squeezenet).normalise(photo[None]), "body.5.expand").item()
        for photo in (bee, dreamt)
    )
    assert after > 2 * before
    apart = (dreamt.float() - bee.float()).abs().mean()
    assert 2 < apart < 40  # still the photo
    assert torch.equal(dreamt, dream(squeezenet, bee, "body.5.expand", octaves=2, steps=5))
    assert not torch.equal(dreamt, dream(squeezenet, bee, "body.5.expand", octaves=2, steps=5, seed=1))


def test_a_layer_is_chosen_and_a_step_is_as_long_as_said(squeezenet: Network, bee: Tensor) -> None:
    once = dream(squeezenet, bee, octaves=1, steps=1, strength=2)
    assert torch.equal(once, dream(squeezenet, bee, "body.10.expand", octaves=1, steps=1, strength=2))
    inner = (bee > 60) & (bee < 195)  # what is not clipped
    assert (once.float() - bee.float())[inner].abs().mean() == pytest.approx(3, abs=0.8)


def test_octaves() -> None:
    photo = torch.zeros(3, 200, 300, dtype=torch.uint8)
    assert _octaves(photo, 3, 1.4, 1, 1) == [(102, 153), (143, 214), (200, 300)]
    assert _octaves(photo, 9, 1.4, 1, 1) == [(73, 109), (102, 153), (143, 214), (200, 300)]
    assert _octaves(photo[:, :40, :40], 3, 1.4, 1, 1) == [(40, 40)]


def test_what_is_no_photo_to_dream_on(squeezenet: Network, bee: Tensor) -> None:
    with pytest.raises(CannotMake, match=r"Cannot dream on torch.float32 3×\d+×\d+: a photo, uint8 C×H×W, is wanted"):
        dream(squeezenet, bee / 255)
    with pytest.raises(CannotMake, match="Cannot dream on a photo of 4×96"):
        dream(squeezenet, bee[:, :4, :96])
    with pytest.raises(CannotMake, match=r"Cannot dream in 0 octaves 1\.4 apart"):
        dream(squeezenet, bee, octaves=0)
    with pytest.raises(NotFound, match=r'No layer "body\.55"'):
        dream(squeezenet, bee, "body.55")


def test_the_picture(resnet: Network, scene: Tensor, golden_picture: Callable[[str, bytes], None]) -> None:
    dreamt = dream(resnet, scene[0], "stage1.2.sum", octaves=1, steps=3)
    golden_picture("dream", row({"the photo": scene[0] / 255, "with more of stage1.2.sum in it": dreamt / 255}))
