"""Augmentation of whole batches, against loops over single images and against torchvision with the same draws."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import Tensor

from reference import torchvision
from striate.blueprint import CannotTrain
from striate.data import (
    AUGMENTATIONS,
    Batches,
    Chance,
    ColourJitter,
    CutMix,
    Erasing,
    Flip,
    Images,
    Mixup,
    PaddedCrop,
    PCAColour,
    Preprocessing,
    ResizedCrop,
    TrivialAugment,
    augmented,
    colour,
    trivial,
)
from striate.data.augment import AlternatingFlip, MirroredCrop, resized
from striate.data.batches import dealt
from striate.data.chance import _shifted, order
from striate.data.resident import Crops

CHANCE = Chance(7, 3, torch.arange(100, 140))


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """40 images of 3×20×24 that are smooth, as photos are, with some noise."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(40, 3, 5, 6, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (20, 24), mode="bicubic")
    return (fine * 220 + 20 * torch.rand(40, 3, 20, 24, generator=random)).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("make", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_an_image_gets_the_same_in_any_batch_and_in_either_type(make, pixels: Tensor) -> None:
    augmentation = make()
    whole = augmentation(pixels, CHANCE)
    assert (whole.dtype, whole.shape) == (torch.uint8, pixels.shape)
    some = torch.tensor([31, 4, 17])
    assert torch.equal(augmentation(pixels[some], CHANCE.some(some)), whole[some])
    assert torch.equal(augmentation(pixels, CHANCE), whole)
    assert not torch.equal(augmentation(pixels, Chance(7, 4, CHANCE.index)), whole)
    assert not torch.equal(augmentation(pixels, Chance(8, 3, CHANCE.index)), whole)
    floats = augmentation(pixels.float(), CHANCE)
    assert floats.dtype == torch.float32
    assert (floats.round() - whole).abs().max() <= 1
    assert len(augmentation(pixels[:0], CHANCE.some(torch.arange(0)))) == 0


def test_chance_is_even_and_its_streams_have_nothing_in_common() -> None:
    chance = Chance(0, 0, torch.arange(20_000))
    u = chance.uniform(3)
    assert u.min() >= 0
    assert u.max() < 1
    assert torch.allclose(u.mean(1), torch.full((3,), 0.5), atol=0.01)
    rows = torch.cat((u, chance.of(0).uniform(1), chance.of(1).uniform(1), Chance(1, 0, chance.index).uniform(1)))
    rows = torch.cat((rows, Chance(0, 1, chance.index).uniform(1), rows[:1].roll(1, 1)))
    assert (rows.corrcoef() - torch.eye(len(rows))).abs().max() < 0.03
    counts = chance.integers(1, 9)[0].bincount(minlength=9)
    assert (counts.float() / 20_000 - 1 / 9).abs().max() < 0.01
    normal = chance.normal(2)
    assert normal.mean().abs() < 0.02
    assert normal.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_beta_has_the_moments_of_its_distribution(alpha: float) -> None:
    drawn = Chance(0, 0, torch.arange(20_000)).beta(alpha)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)


def test_flip_and_padded_crop_as_a_loop_does_them(pixels: Tensor) -> None:
    crop, flip = PaddedCrop(3), Flip()
    (tops, lefts), turned = crop.drawn(CHANCE), flip.drawn(CHANCE)
    assert set(tops.tolist()) | set(lefts.tolist()) == set(range(7))
    assert 10 < turned.sum() < 30
    for i, image in enumerate(pixels):
        padded = torch.zeros(3, 26, 30, dtype=torch.uint8)
        padded[:, 3:-3, 3:-3] = image
        top, left = tops[i], lefts[i]
        assert torch.equal(crop(pixels, CHANCE)[i], padded[:, top : top + 20, left : left + 24])
        assert torch.equal(flip(pixels, CHANCE)[i], image.flip(2) if turned[i] else image)


def test_a_gpu_s_arithmetic_draws_the_same_bits() -> None:
    chance = Chance(7, 3, torch.tensor([0, 1, 5, 49_999, (1 << 40) + 3]), 11)
    assert (chance._signed_bits(4).numpy().view(np.uint64) == chance._bits(4)).all()
    assert torch.equal(chance._highest(24, 2).float() * 2.0**-24, chance.uniform(2))
    assert torch.equal((chance._highest(32, 2) * 9) >> 32, chance.integers(2, 9))
    ones = torch.tensor([-1, 1 << 62])
    assert _shifted(ones, 31).tolist() == [(1 << 33) - 1, 1 << 31]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("make", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_a_gpu_augments_as_the_processor_does(make, pixels: Tensor) -> None:
    here, there = augmented(pixels, (make(),), CHANCE), augmented(pixels.cuda(), (make(),), CHANCE)
    assert there.is_cuda
    assert (here.float() - there.cpu().float()).abs().max() <= 1  # of 255, by rounding


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("chain", [(), (AlternatingFlip(), MirroredCrop(2)), (PaddedCrop(4), Flip(), Erasing())])
def test_a_gpu_is_dealt_the_same_batches(chain, pixels: Tensor) -> None:
    images = Images(pixels, torch.arange(40) % 4, tuple("abcd"), "here")
    rule = Preprocessing.fitting(3, (20, 24), None).measured(pixels)
    how = {"size": 12, "seed": 3, "augment": chain}
    assert torch.equal(order(40, 3, 2), order(40, 3, 2, "cuda").cpu())
    pair = (Batches(images, rule, **how), Batches(images.to("cuda"), rule, device="cuda", **how))
    for (x, y), (u, v) in zip(pair[0].epoch(2, 1), pair[1].epoch(2, 1), strict=True):
        assert (u.is_cuda, v.is_cuda) == (True, True)
        assert u.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, v.cpu())
        torch.testing.assert_close(x, u.cpu(), rtol=0, atol=1e-6)


def test_flips_alternate_from_epoch_to_epoch() -> None:
    index = torch.arange(1000)
    turned = [AlternatingFlip().drawn(Chance(5, epoch, index)) for epoch in range(1, 5)]
    assert torch.equal(turned[0], ~turned[1])
    assert torch.equal(turned[0], turned[2])
    assert torch.equal(turned[1], turned[3])
    assert 400 < int(turned[0].sum()) < 600
    assert not torch.equal(turned[0], AlternatingFlip().drawn(Chance(6, 1, index)))


def test_a_mirrored_border_is_numpy_s(pixels: Tensor) -> None:
    wanted = np.pad(pixels.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    assert (MirroredCrop(3).bordered(pixels).numpy() == wanted).all()
    top, left = MirroredCrop(3).drawn(CHANCE)
    for i, image in enumerate(MirroredCrop(3)(pixels, CHANCE).numpy()):
        assert (image == wanted[i, :, top[i] : top[i] + 20, left[i] : left[i] + 24]).all()
    with pytest.raises(CannotTrain, match="At most 19"):
        MirroredCrop(20)(pixels, CHANCE)


@pytest.mark.parametrize("side", [24, 160])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_flip_is_the_same_however_images_lie_and_leaves_them_as_they_were(side: int, channels: int, layout) -> None:
    pixels = torch.randint(256, (9, channels, side, side + 8), dtype=torch.uint8).contiguous(memory_format=layout)
    before, chance = pixels.clone(), Chance(0, 1, torch.arange(9))
    flipped = Flip()(pixels, chance)
    assert pixels.equal(before)
    assert flipped.stride() == pixels.stride()
    turned = Flip().drawn(chance).tolist()
    assert 0 < sum(turned) < 9
    for image, was, is_turned in zip(flipped, before, turned, strict=True):
        assert image.equal(was[..., torch.arange(was.shape[2] - 1, -1, -1)] if is_turned else was)
    assert Flip()(pixels[:0], Chance(0, 1, torch.arange(0))).shape == (0, channels, side, side + 8)


@pytest.mark.parametrize(
    "chain",
    [
        (PaddedCrop(4),),
        (PaddedCrop(2), Flip()),
        (Flip(), PaddedCrop(4)),
        (Flip(0.9), PaddedCrop(1), Erasing()),
        (AlternatingFlip(), MirroredCrop(2)),
    ],
)
def test_crops_prepared_ahead_are_the_same_crops(chain, pixels: Tensor) -> None:
    prepared = Crops.prepared(pixels, chain)
    assert prepared is not None
    chance = Chance(1, 2, torch.tensor([39, 0, 5, 39, 12]))
    assert torch.equal(prepared(prepared.starts(chance), chance), augmented(pixels[chance.index], chain, chance))
    assert Crops.prepared(pixels, chain[::-1][:1]) is None or isinstance(chain[-1], PaddedCrop)


def test_resized_crops_are_torchvision_s(pixels: Tensor) -> None:
    functional = torchvision().transforms.functional
    boxes = ResizedCrop().drawn(CHANCE, 20, 24)
    made = resized(pixels.float(), boxes, (16, 18))
    for i, image in enumerate(pixels.float()):
        wanted = functional.resized_crop(image, *boxes[:, i].tolist(), [16, 18], antialias=True).clamp(0, 255)
        assert (made[i] - wanted).abs().max() < 0.02
    top, left, rows, columns = boxes
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + rows <= 20).all()
    assert (left + columns <= 24).all()
    share = rows * columns / 480
    assert share.min() < 0.3
    assert share.max() > 0.8


def test_a_box_that_no_try_finds_is_the_largest_in_the_middle() -> None:
    boxes = ResizedCrop(area=(1.0, 1.0), aspect=(1.0, 1.0)).drawn(CHANCE, 10, 40)
    assert (boxes == torch.tensor([0, 15, 10, 10])[:, None]).all()


def test_colours_are_torchvision_s(pixels: Tensor) -> None:
    functional = torchvision().transforms.functional
    theirs = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    ours = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
    jitter = ColourJitter(0.4, 0.5, 0.6, 0.2)
    _, factors = jitter.drawn(CHANCE)
    x = pixels.float()
    for operation, reference, factor in zip(ours, theirs, factors, strict=True):
        made = operation(x, factor)
        for i in range(len(x)):
            wanted = reference(x[i] / 255, factor[i].item()) * 255
            assert (made[i] - wanted).abs().max() < 0.1, operation
    assert factors[0].min() >= 0.6
    assert factors[0].max() <= 1.4
    assert factors[3].abs().max() <= 0.2


def test_jitter_applies_its_operations_in_each_image_s_own_order(pixels: Tensor) -> None:
    jitter = ColourJitter(0.4, 0.5, 0.6, 0.2)
    order, factors = jitter.drawn(CHANCE)
    assert len({tuple(column) for column in order.mT.tolist()}) > 10
    operations = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
    made = jitter(pixels.float(), CHANCE)
    for i in range(len(pixels)):
        image = pixels[i : i + 1].float()
        for which in order[:, i].tolist():
            image = operations[which](image, factors[which, i : i + 1])
        assert torch.allclose(made[i], image[0], atol=1e-2)


def test_pca_colour_moves_an_image_along_its_data_s_axes(pixels: Tensor) -> None:
    measured = PCAColour(0.1).measured(pixels)
    rows = pixels.permute(0, 2, 3, 1).reshape(-1, 3).numpy() / 255
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    assert measured.values == pytest.approx(tuple(values), rel=1e-6)
    moved = measured(pixels.float() / 4 + 90, CHANCE) - (pixels.float() / 4 + 90)
    assert (moved - moved[:, :, :1, :1]).abs().max() < 1e-3  # one colour an image
    along = moved[:, :, 0, 0] / 255 @ torch.tensor(measured.vectors).mT / torch.tensor(measured.values)
    assert torch.allclose(along, 0.1 * CHANCE.normal(3).mT, atol=1e-3)


def test_erasing_fills_a_box_of_some_images(pixels: Tensor) -> None:
    erasing = Erasing(value=9)
    boxes = erasing.drawn(CHANCE, 20, 24)
    made = erasing(pixels, CHANCE)
    assert 8 < (boxes[2] > 0).sum() < 32
    for i, (top, left, rows, columns) in enumerate(boxes.mT.tolist()):
        wanted = pixels[i].clone()
        wanted[:, top : top + rows, left : left + columns] = 9
        assert torch.equal(made[i], wanted)
        assert not rows or 0.015 < rows * columns / 480 < 0.36


def theirs(name: str, image: Tensor, strength: float) -> Tensor:
    """torchvision's own table from names to operations."""
    tv = torchvision()
    apply = importlib.import_module("torchvision.transforms.autoaugment")._apply_op
    names = {
        "identity": "Identity", "shear x": "ShearX", "shear y": "ShearY", "translate x": "TranslateX",
        "translate y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "colour": "Color",
        "contrast": "Contrast", "sharpness": "Sharpness", "posterise": "Posterize", "solarise": "Solarize",
        "autocontrast": "AutoContrast", "equalise": "Equalize",
    }  # fmt: skip
    nearest = tv.transforms.InterpolationMode.NEAREST
    return apply(image, names[name], strength, nearest, None)


@pytest.mark.parametrize("name", trivial.OPERATIONS)
@pytest.mark.parametrize("step", [1, 11, 30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_every_operation_of_trivial_augment_is_torchvision_s(
    name: str, step: int, sign: float, pixels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = trivial.OPERATIONS[name]
    place = list(trivial.OPERATIONS).index(name)
    n = len(pixels)
    drawn = torch.full((n,), place), torch.full((n,), step), torch.full((n,), sign)
    monkeypatch.setattr(TrivialAugment, "drawn", lambda *_: drawn)
    made = TrivialAugment()(pixels, CHANCE)
    strength = operation.none + (operation.strongest - operation.none) * step / 30
    if operation.whole:
        strength = round(strength)
    if operation.signed:
        strength *= sign
    wanted = torch.stack([theirs(name, image, strength) for image in pixels])
    apart = (made.int() - wanted.int()).abs().flatten(1)
    if name.startswith(("shear", "rotate")):  # a cell that lies between two may fall to either
        assert (apart > 2).float().mean() < 0.03, name
    else:  # theirs cuts off where ours rounds, once for the grey and once for the blend
        assert apart.max() <= 2, name


def test_trivial_augment_draws_all_of_its_operations_alike() -> None:
    which, step, sign = TrivialAugment().drawn(Chance(0, 0, torch.arange(14_000)))
    assert (which.bincount(minlength=14) - 1000).abs().max() < 150
    assert step.unique().tolist() == list(range(31))
    assert sign.mean().abs() < 0.05


def test_mixup_and_cutmix_as_a_loop_does_them() -> None:
    n = 7
    x, y = torch.rand(n, 3, 16, 12), torch.eye(5)[torch.arange(n) % 5]
    chance = Chance(0, 0, torch.arange(n))
    share = chance.beta(0.4)[torch.arange(n) // 2 * 2]
    mixed, targets = Mixup(0.4)(x, y, chance)
    for i, other in enumerate([1, 0, 3, 2, 5, 4, 6]):
        assert torch.allclose(mixed[i], share[i] * x[i] + (1 - share[i]) * x[other], atol=1e-6)
        assert torch.allclose(targets[i], share[i] * y[i] + (1 - share[i]) * y[other], atol=1e-6)
    boxes = CutMix().drawn(chance, 16, 12)
    cut, targets = CutMix()(x, y, chance)
    for i, other in enumerate([1, 0, 3, 2, 5, 4, 6]):
        top, left, rows, columns = boxes[:, i].tolist()
        wanted = x[i].clone()
        wanted[:, top : top + rows, left : left + columns] = x[other][:, top : top + rows, left : left + columns]
        own = 1 - rows * columns / 192
        assert torch.equal(cut[i], wanted)
        assert torch.allclose(targets[i], own * y[i] + (1 - own) * y[other], atol=1e-6)
    assert torch.equal(cut[6], x[6])
    with pytest.raises(CannotTrain, match="alpha is greater than 0 and 1 or less"):
        Mixup(2)


RULE = Preprocessing(3, (20, 24), (20, 24), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def batches(pixels: Tensor, **how: object) -> Batches:
    images = Images(pixels, torch.arange(len(pixels)) % 4, tuple("abcd"), "here")
    chain = (Flip(), PaddedCrop(2), ColourJitter())
    return Batches(images, RULE, 16, seed=5, augment=chain, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("mix", [None, Mixup(), CutMix()])
@pytest.mark.parametrize("ranks", [2, 3])
def test_several_processes_deal_the_batches_of_one(ranks: int, mix, pixels: Tensor) -> None:
    alone = list(batches(pixels, mix=mix).epoch(3))
    shares = [list(batches(pixels, mix=mix, rank=rank, ranks=ranks).epoch(3)) for rank in range(ranks)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert torch.equal(torch.cat([x for x, _ in parts]), whole[0])
        assert torch.equal(torch.cat([y for _, y in parts]), whole[1])


def test_an_epoch_deals_every_image_once_in_an_order_of_its_own() -> None:
    decks = [torch.cat(list(dealt(1000, 64, 0, epoch, True))) for epoch in (1, 2)]
    assert all(deck.sort().values.equal(torch.arange(1000)) for deck in decks)
    assert (decks[0] == decks[1]).sum() < 10
    assert {len(batch) for batch in dealt(1000, 64, 0, 1, True)} == {62, 63}


def test_normalising_is_what_the_rule_says(pixels: Tensor) -> None:
    wanted = (pixels.double() / 255 - torch.tensor(RULE.mean).view(3, 1, 1)) / torch.tensor(RULE.std).view(3, 1, 1)
    made = RULE.normalise(pixels)
    assert torch.allclose(made, wanted.float(), atol=1e-5)
    assert made.is_contiguous(memory_format=torch.channels_last)
