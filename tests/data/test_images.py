"""Digits, splits and batches: real digits, exact counts, the same seed the same batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from striate.blueprint import CannotRead, CannotTrain
from striate.data import Batches, Flip, Images, PaddedCrop, Preprocessing, open_data, stratified
from striate.data.resident import Crops


def test_the_digits_are_scikit_learns_in_a_split_that_no_seed_moves() -> None:
    splits = open_data("digits")
    assert (len(splits.train), len(splits.test), splits.train.volume) == (1437, 360, (1, 8, 8))
    assert splits.classes == tuple("0123456789")
    every = torch.cat([splits.train.pixels, splits.test.pixels]).flatten(1).float() * 16 / 255
    theirs = torch.from_numpy(load_digits().data).float()
    assert torch.equal(every.round().sort(0).values, theirs.sort(0).values)
    assert torch.equal(open_data("digits", seed=7).test.pixels, splits.test.pixels)


def test_labels_go_with_their_images() -> None:
    bunch = load_digits()
    known = {image.tobytes(): label for image, label in zip(bunch.data.astype(np.uint8), bunch.target, strict=True)}
    test = open_data("digits").test
    levels = (test.pixels.flatten(1).float() * 16 / 255).round().to(torch.uint8)
    found = [known[levels[i].numpy().tobytes()] for i in range(len(test))]
    assert found == test.labels.tolist()


def test_a_stratified_split_is_exact_and_in_proportion() -> None:
    labels = torch.tensor([0] * 70 + [1] * 21 + [2] * 9)
    for seed in range(20):
        kept, held = stratified(labels, 0.3, seed)
        assert labels[held].bincount().tolist() == pytest.approx([21, 6.3, 2.7], abs=1)
    kept, held = stratified(labels, 0.3, seed=1)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(100))
    assert len(held) == 30
    assert not torch.equal(held, stratified(labels, 0.3, seed=2)[1])
    assert torch.equal(held, stratified(labels, 0.3, seed=1)[1])


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(CannotTrain, match="Cannot hold out 3 of 3 images"):
        stratified(torch.tensor([0, 1, 1]), 3, seed=0)


@pytest.fixture(scope="module")
def digits() -> Images:
    return open_data("digits", size=16).train


def batches(images: Images, **more: object) -> Batches:
    rule = Preprocessing(1, (16, 16), (16, 16)).measured(images.pixels)
    return Batches(images, rule, **{"size": 64, **more})  # type: ignore[arg-type]


def test_every_image_once_an_epoch_and_no_stray_single(digits: Images) -> None:
    dealt = batches(digits, size=359)  # 1,437 = 4·359 + 1
    sizes = [len(y) for _, y in dealt.epoch(1)]
    assert len(sizes) == len(dealt) == 5
    assert sum(sizes) == 1437
    assert max(sizes) - min(sizes) <= 1
    labels = torch.cat([y for _, y in dealt.epoch(1)])
    assert torch.equal(labels.bincount(), digits.labels.bincount())


def test_batches_are_normalised_float_channels_last(digits: Images) -> None:
    x = torch.cat([x for x, _ in batches(digits).epoch()])
    assert x.dtype == torch.float32
    assert x.mean().item() == pytest.approx(0, abs=1e-4)
    assert x.std().item() == pytest.approx(1, abs=1e-3)
    colour = Images(digits.pixels.expand(-1, 3, -1, -1), digits.labels, digits.classes, "")
    rule = Preprocessing(3, (16, 16), (16, 16)).measured(colour.pixels)
    x, _ = next(Batches(colour, rule, 8).epoch())
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_the_same_seed_and_epoch_deal_the_same_batches(digits: Images) -> None:
    def dealt(seed: int, epoch: int) -> torch.Tensor:
        return torch.cat([x for x, _ in batches(digits, seed=seed, augment=(PaddedCrop(2), Flip())).epoch(epoch)])

    assert torch.equal(dealt(3, 5), dealt(3, 5))
    assert not torch.equal(dealt(3, 5), dealt(3, 6))
    assert not torch.equal(dealt(3, 5), dealt(4, 5))


def test_a_shift_moves_each_image_by_whole_cells_and_brings_zeros_in() -> None:
    pixels = torch.zeros(64, 1, 9, 9, dtype=torch.uint8)
    pixels[:, :, 4, 4] = 200
    images = Images(pixels, torch.zeros(64, dtype=torch.int64), ("a",), "")
    rule = Preprocessing(1, (9, 9), (9, 9), (0.0,), (1 / 255,))
    x, _ = next(Batches(images, rule, 64, augment=(PaddedCrop(2),)).epoch())
    places = {tuple(image.nonzero()[0].tolist()) for image in x[:, 0]}
    assert x.sum().item() == pytest.approx(64 * 200)
    assert places <= {(r, c) for r in range(2, 7) for c in range(2, 7)}
    assert len(places) > 15  # of 25


def test_a_flip_is_left_to_right_and_for_about_half() -> None:
    pixels = torch.zeros(400, 1, 4, 4, dtype=torch.uint8)
    pixels[:, :, 1, 0] = 255
    images = Images(pixels, torch.zeros(400, dtype=torch.int64), ("a",), "")
    x, _ = next(Batches(images, Preprocessing(1, (4, 4), (4, 4), (0.0,), (1.0,)), 400, augment=(Flip(),)).epoch())
    left, right = x[:, 0, 1, 0].sum().item(), x[:, 0, 1, 3].sum().item()
    assert left + right == pytest.approx(400)
    assert 150 < right < 250


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"source": "nosuch"}, "Cannot read data from nosuch: it is not there."),
        ({"source": __file__}, f"Cannot read data from {__file__}: it is a file, not a folder."),
        ({"source": ""}, "Cannot read data: its path is empty."),
        ({"source": " "}, "Cannot read data: its path is empty."),
    ],
)
def test_what_is_no_data(arguments: dict[str, str], says: str) -> None:
    with pytest.raises(CannotRead) as refused:
        open_data(**arguments)  # type: ignore[arg-type]
    assert str(refused.value).splitlines()[0] == says
    assert "digits (they come with scikit-learn)" in str(refused.value)


@pytest.mark.parametrize("seed", [-1, 1 << 31, 99999999999999999999999999])
def test_a_seed_is_one_that_a_recipe_has(seed: int) -> None:
    with pytest.raises(CannotTrain, match=f"Cannot split by the seed {seed}: seeds go from 0 to 2,147,483,647."):
        open_data("digits", seed=seed)
    assert open_data("digits", seed=(1 << 31) - 1).seed == (1 << 31) - 1


def test_sizes_and_channels_that_no_image_has() -> None:
    with pytest.raises(CannotTrain, match="Cannot make images of 5000×5000: sides go from 1 to 4,096"):
        open_data("digits", size=5000)
    with pytest.raises(CannotTrain, match="Cannot make images of 2 channels: grey is 1, colour 3"):
        open_data("digits", channels=2)


def test_more_than_memory_holds_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.data.memory.free", lambda: 10**9)
    with pytest.raises(
        CannotTrain, match=r"Cannot hold 1,797 images of 1×4096×4096 in memory: 28.1 GiB wanted, 954 MiB"
    ):
        open_data("digits", size=4096)


def test_crops_are_prepared_once_for_all_epochs_and_stay_bytes(digits: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Crops | None] = []
    prepare = Crops.prepared

    def counted(*of: object) -> Crops | None:
        made.append(prepare(*of))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(Crops, "prepared", counted)
    dealt = batches(digits, augment=(PaddedCrop(2), Flip()))
    assert made == []  # nobody has asked for any yet
    epochs = [torch.cat([x for x, _ in dealt.epoch(number)]) for number in (1, 2, 1)]
    assert len(made) == 1
    assert made[0] is not None
    assert made[0].padded.dtype == digits.pixels.dtype == torch.uint8
    assert made[0].padded.numel() < 2 * 1.6 * digits.pixels.numel()
    assert epochs[0].equal(epochs[2])


def test_where_memory_is_short_nothing_is_prepared_and_the_batches_are_the_same(
    digits: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dealt() -> torch.Tensor:
        return torch.cat([x for x, _ in batches(digits, augment=(PaddedCrop(2), Flip())).epoch(1)])

    there = dealt()
    copies = 2 * len(digits) * 20 * 20
    for free, are in ((4 * copies, True), (4 * copies - 4, False)):
        monkeypatch.setattr("striate.data.resident.free", lambda free=free: free)
        assert (Crops.prepared(digits.pixels, (PaddedCrop(2), Flip())) is not None) == are
        assert dealt().equal(there)


@pytest.mark.parametrize("source", ["digits", "mnist", "hymenoptera"])
def test_what_is_in_memory_is_bytes(source: str, shared: Path) -> None:
    splits = open_data(source if source == "digits" else shared / source, size=64)
    for images in (splits.train, splits.test):
        assert isinstance(images, Images)
        assert images.pixels.dtype == torch.uint8
        assert images.pixels.untyped_storage().nbytes() == images.pixels.numel()  # nothing is kept alive behind it
