"""Augmentations and mixtures as they are written, and the crop of a jittered scale."""

from __future__ import annotations

import pytest
import torch

from striate.blueprint import CannotRead, CannotTrain, NotFound, Refusal
from striate.data import (
    Chance,
    ColourJitter,
    CutMix,
    Erasing,
    Flip,
    Mixup,
    PaddedCrop,
    PCAColour,
    ResizedCrop,
    augmentations,
)
from striate.data.augment import ScaleJitter, agreed
from striate.data.names import mixing


def test_a_chain_is_read() -> None:
    assert augmentations("flip, padded-crop(4)") == (Flip(), PaddedCrop(4))
    assert augmentations("scale-jitter(256, 480)") == (ScaleJitter(256, 480, 224),)
    assert augmentations("") == ()


@pytest.mark.parametrize(
    ("text", "mix"),
    [("", None), ("mixup", Mixup(0.2)), (" mixup(0.4) ", Mixup(0.4)), ("cutmix(alpha=0.5)", CutMix(0.5))],
)
def test_a_mixture_is_read(text: str, mix: object) -> None:
    assert mixing(text) == mix


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mixup, cutmix", CannotRead),
        ("mixup,", CannotRead),
        ("mixup(__import__('os'))", CannotRead),
        ("mixup" + "(" * 5000, CannotRead),
        ("flip", NotFound),
        ("mixup(beta=1)", NotFound),
        ("mixup(0)", CannotTrain),
        ("cutmix(1.5)", CannotTrain),
        ("mixup(0.2, 0.3)", CannotTrain),
    ],
)
def test_another_mixture_is_refused(text: str, kind: type[Refusal]) -> None:
    with pytest.raises(kind):
        mixing(text)


def test_a_jittered_scale_is_vgg_s() -> None:
    """A crop of 224 from a picture whose short side is S, 256 to 512: 224/S of the short side, anywhere in it."""
    chance = Chance(0, 0, torch.arange(20_000))
    top, left, rows, columns = ScaleJitter(256, 512).drawn(chance, 600, 1000)
    assert torch.equal(rows, columns)
    assert {rows.min().item(), rows.max().item()} == {round(600 * 224 / 512), round(600 * 224 / 256)}
    sides = (600 * 224 / rows).double()
    assert sides.mean().item() == pytest.approx((256 + 512) / 2, rel=0.01)  # S is even over its range
    assert top.min() == left.min() == 0
    assert int((top + rows).max()) == 600
    assert int((left + columns).max()) == 1000
    fixed = ScaleJitter(256, 256).drawn(chance, 256, 300)
    assert fixed[2].unique().tolist() == [224]
    assert fixed[0].unique().tolist() == list(range(33))


def test_a_jittered_scale_gives_what_the_network_reads() -> None:
    pixels = torch.randint(0, 256, (4, 3, 40, 40), dtype=torch.uint8)
    out = ScaleJitter()(pixels, Chance(0, 0, torch.arange(4)))
    assert (out.shape, out.dtype) == (pixels.shape, torch.uint8)
    flat = torch.full_like(pixels, 77)
    assert torch.equal(ScaleJitter()(flat, Chance(0, 0, torch.arange(4))), flat)


@pytest.mark.parametrize("text", ["scale-jitter(200)", "scale-jitter(512, 256)", "scale-jitter(256, 512, 0)"])
def test_a_scale_that_has_no_room_for_the_crop(text: str) -> None:
    with pytest.raises(CannotTrain, match="Cannot make scale-jitter"):
        augmentations(text)


RANGES = {
    "flip(5)": "share is from 0 to 1",
    "flip(1e999)": "share is from 0 to 1",
    "alternating-flip(1.1)": "share is from 0 to 1",
    "padded-crop(4096)": "pad is from 0 to 4,095",
    "mirrored-crop(100000)": "pad is from 0 to 4,095",
    "resized-crop(size=(0, 0))": "sides of size are from 1 to 4,096",
    "resized-crop(size=(8, 5000))": "sides of size are from 1 to 4,096",
    "resized-crop(area=(0, 0))": "area rises, from 0 to 1",
    "resized-crop(area=(3, 4))": "area rises, from 0 to 1",
    "resized-crop(aspect=(0, 1))": "aspect rises, from 0.01 to 100",
    "resized-crop(aspect=(1, 1e300))": "aspect rises, from 0.01 to 100",
    "erasing(2)": "share is from 0 to 1",
    "erasing(area=(0.5, 0.1))": "area rises, from 0 to 1",
    "erasing(aspect=(0, 0))": "aspect rises, from 0.01 to 100",
    "erasing(value=999)": "value is from 0 to 255",
    "colour-jitter(1e999)": "brightness, contrast and saturation are from 0 to 10",
    "colour-jitter(hue=0.6)": "hue is from 0 to 0.5",
    "pca-colour(11)": "deviation and values are from 0 to 10",
    "pca-colour(0.1, (1e999, 0, 0))": "deviation and values are from 0 to 10",
    "scale-jitter(256, 100000000000000000000)": "crop, least and most rise, from 1 to 16,384",
    "trivial-augment(0)": "it takes nothing",
}


@pytest.mark.parametrize("text", RANGES)
def test_what_is_out_of_range_is_told_the_range(text: str) -> None:
    with pytest.raises(CannotTrain) as refused:
        augmentations(text)
    assert str(refused.value) == f"Cannot make {text}: {RANGES[text]}."


@pytest.mark.parametrize("text", ["resized-crop(size='abc')", "resized-crop(size=3)", "resized-crop(size=(1.5, 2))"])
def test_a_size_is_two_whole_numbers(text: str) -> None:
    with pytest.raises(CannotTrain, match="it is 2 whole numbers, 0 or more"):
        augmentations(text)
    assert augmentations("resized-crop(size=None)") == (ResizedCrop(),)


def test_ranges_hold_for_whoever_writes_python_too() -> None:
    for made in (
        lambda: Flip(-0.1),
        lambda: Flip(float("nan")),
        lambda: Erasing(value=-1),
        lambda: ColourJitter(-1),
        lambda: PCAColour(values=(1, 1, -1)),
        lambda: Mixup(0),
        lambda: CutMix(2),
    ):
        with pytest.raises(CannotTrain, match=r"^Cannot make \w+\("):
            made()


def test_the_ends_of_a_range_are_in_it() -> None:
    chance, pixels = Chance(0, 0, torch.arange(8)), torch.randint(0, 256, (8, 3, 12, 12), dtype=torch.uint8)
    for text in ("flip(0)", "flip(1)", "padded-crop(0)", "resized-crop(area=(0, 1), aspect=(0.01, 100))", "erasing(1)"):
        for one in augmentations(text + ", colour-jitter(10, 10, 10, 0.5), pca-colour(10, (10, 10, 10))"):
            assert one(pixels, chance).shape == pixels.shape


@pytest.mark.parametrize("kind", ["padded-crop", "mirrored-crop"])
def test_a_crop_moves_an_image_by_less_than_its_side(kind: str) -> None:
    agreed(augmentations(f"flip, {kind}(31)"), (32, 40))
    with pytest.raises(CannotTrain) as refused:
        agreed(augmentations(f"flip, {kind}(32)"), (32, 40))
    assert str(refused.value) == (
        "Cannot move images of 32×40 by 32 cells: nothing of some would be left.\n    At most 31."
    )


def test_crops_are_as_large_as_the_network_reads() -> None:
    agreed(augmentations("resized-crop(size=(32, 32)), resized-crop, scale-jitter"), (32, 32))
    with pytest.raises(CannotTrain, match="Cannot make crops of 16×16: the network reads 32×32"):
        agreed(augmentations("resized-crop(size=(16, 16))"), (32, 32))
