"""What a recipe makes of images: augmented, mixed, with the colours of the images themselves; and what cannot go."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from small import network
from striate.blueprint import CannotTrain, Linear
from striate.data import Batches, CutMix, Flip, Images, PaddedCrop, PCAColour, Preprocessing, Splits, open_data
from striate.training import revised
from striate.training.lesson import lesson

CPU = torch.device("cpu")


def colourful(digits: Splits) -> Splits:
    """The digits in shades of orange."""
    assert isinstance(digits.train, Images)
    tint = torch.tensor([1.0, 0.6, 0.1]).view(1, 3, 1, 1)
    images = dataclasses.replace(digits.train, pixels=(digits.train.pixels * tint).to(torch.uint8))
    rule = Preprocessing.fitting(3, (8, 8), (8, 8)).measured(images.pixels)
    return dataclasses.replace(digits, train=images, preprocessing=rule)


def test_batches_are_augmented_and_mixed_as_it_says(digits: Splits) -> None:
    made = lesson(network(), digits, revised(augment="padded-crop(1), flip(0.25)", mix="cutmix", seed=5), CPU, False)
    batches = made.batches
    assert isinstance(batches, Batches)
    assert (batches.augment, batches.mix) == ((PaddedCrop(1), Flip(0.25)), CutMix())
    assert (batches.size, batches.seed) == (64, 5)
    x, y = next(batches.epoch(1))
    assert (y.shape, y.dtype) == ((len(x), 10), torch.float32)
    assert torch.allclose(y.sum(1), torch.ones(len(x)))
    assert lesson(network(), digits, revised(), CPU, False).batches.augment == ()


def test_colours_move_along_the_axes_of_the_images_themselves(digits: Splits) -> None:
    data = colourful(digits)
    model = network(volume="3x8x8")
    made = lesson(model, data, revised(augment="pca-colour(0.2)"), CPU, False)
    assert isinstance(made.learnt, Images)
    (found,) = made.batches.augment
    assert isinstance(found, PCAColour)
    assert found == PCAColour(0.2).measured(made.learnt.pixels)
    axis = torch.nn.functional.normalize(torch.tensor([1.0, 0.6, 0.1]), dim=0)
    assert abs(float(torch.tensor(found.vectors[0]) @ axis)) > 0.999
    own = "pca-colour(0.2, (0.5, 0.1, 0.1))"
    assert lesson(model, data, revised(augment=own), CPU, False).batches.augment[0].values == (0.5, 0.1, 0.1)  # type: ignore[attr-defined]


def test_colours_have_the_same_axes_in_memory_and_streamed(shared: Path) -> None:
    there, here = (
        lesson(network(Linear(2), "3x8x8"), photos, revised(augment="pca-colour"), CPU, False).augment
        for photos in (open_data(shared / "hymenoptera", 8, streamed=way) for way in (True, False))
    )
    assert there == here
    assert isinstance(there[0], PCAColour)
    assert there != (PCAColour(),)


def test_of_many_images_some_are_enough_for_the_axes(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.training.lesson.CELLS", 64 * 100)
    monkeypatch.setattr("striate.training.lesson.SAMPLE", 10)
    made = lesson(network(volume="3x8x8"), colourful(digits), revised(augment="pca-colour"), CPU, False)
    assert isinstance(made.learnt, Images)
    assert made.augment == (PCAColour().measured(made.learnt.pixels[:: -(-len(made.learnt) // 100)]),)


@pytest.mark.parametrize("augment", ["mirrored-crop(8)", "padded-crop(20)", "resized-crop(size=(4, 4))"])
def test_what_cannot_be_of_these_images_is_refused_before_anything_runs(digits: Splits, augment: str) -> None:
    with pytest.raises(CannotTrain, match="Cannot m"):
        lesson(network(), digits, revised(augment=augment), CPU, False)


def test_a_plateau_is_seen_on_images_held_out(digits: Splits) -> None:
    assert lesson(network(), digits, revised(schedule="plateau"), CPU, False).held is not None
    with pytest.raises(CannotTrain) as refused:
        lesson(network(), digits, revised(schedule="plateau", validation=0), CPU, False)
    assert str(refused.value) == (
        "Cannot train on the schedule plateau: no images are held out to see one by.\n"
        "    A larger validation, 0 now; or schedule=cosine."
    )


def test_an_average_of_the_weights_takes_memory_too(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.cost.training import training

    model = network()
    needed = training(model.graph, 64, 4, "adamw").peak_bytes
    monkeypatch.setattr("striate.training.lesson.free", lambda: needed)
    lesson(model, digits, revised(), CPU, False)
    with pytest.raises(CannotTrain, match="are wanted"):
        lesson(model, digits, revised(ema=0.99), CPU, False)
