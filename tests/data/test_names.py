"""Augmentations and mixtures as they are written, and the crop of a jittered scale."""

from __future__ import annotations

import pytest
import torch

from striate.blueprint import CannotRead, CannotTrain, NotFound, Refusal
from striate.data import Chance, CutMix, Flip, Mixup, PaddedCrop, augmentations
from striate.data.augment import ScaleJitter
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
