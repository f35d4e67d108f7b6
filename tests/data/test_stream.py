"""Folders that do not fit in memory: the order and the chance of resident images, and nothing that is damaged."""

from __future__ import annotations

import io
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from striate.blueprint import CannotRead, Conv, GlobalPool, Linear, Relu, Seq
from striate.data import (
    Chance,
    ColourJitter,
    Flip,
    Images,
    Mixup,
    PaddedCrop,
    Preprocessing,
    ResizedCrop,
    Splits,
    Stream,
    Streamed,
    deal,
    open_data,
    pictures,
    read_image,
)
from striate.judging import evaluate
from striate.judging.asked import ask
from striate.judging.views import Views
from striate.nn import build
from striate.training import Done, Step, Warning, train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of forty pictures, each of a colour and a size of its own."""
    for kind in range(2):
        (tmp_path / "photos" / "ab"[kind]).mkdir(parents=True)
        for i in range(40):
            random = np.random.default_rng(40 * kind + i)
            pixels = np.full((40 + i, 50), 0, np.uint8)[..., None] + random.integers(0, 256, 3).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / "ab"[kind] / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    return tmp_path / "photos"


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> Splits:
    monkeypatch.setattr("striate.data.memory.free", lambda: free)
    return open_data(folder, size=32)


@pytest.fixture
def streamed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Splits:
    splits = opened(folder, monkeypatch, 1000)
    assert isinstance(splits.train, Streamed)
    return splits


def stream(splits: Splits, size: int = 16, **how: object) -> Stream:
    made = deal(splits.train, splits.preprocessing, size, **how)
    assert isinstance(made, Stream)
    return made


def test_what_fits_is_resident_and_the_rest_is_streamed_by_the_same_rule(
    folder: Path, streamed: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = opened(folder, monkeypatch, 80 * 3 * 32 * 32 * 10 // 8)  # 0.8 of this is just enough
    assert isinstance(resident.train, Images)
    assert isinstance(opened(folder, monkeypatch, 80 * 3 * 32 * 32 * 10 // 8 - 9).train, Streamed)
    assert streamed.told == "80 images, short side scaled, centre 32×32, streamed from the disk"
    assert streamed.preprocessing == resident.preprocessing
    assert streamed.train.labels.equal(resident.train.labels)
    assert streamed.train.volume == (3, 32, 32)
    assert len(streamed.train[torch.tensor([3, 1])]) == 2


def test_where_the_rule_is_known_no_image_is_decoded_beforehand(
    folder: Path, streamed: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in folder.rglob("*.*"):
        path.write_bytes(path.read_bytes()[:300])  # its header can be read, and nothing else
    with pytest.raises(CannotRead, match="images cannot be read"):
        opened(folder, monkeypatch, 1000)
    again = open_data(folder, preprocessing=streamed.preprocessing)
    assert isinstance(again.train, Streamed)
    assert again.preprocessing == streamed.preprocessing


@pytest.mark.parametrize("chain", [(), (Flip(), PaddedCrop(2), ColourJitter())])
@pytest.mark.parametrize("mix", [None, Mixup()])
def test_a_stream_deals_what_memory_would(
    chain, mix, folder: Path, streamed: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = opened(folder, monkeypatch, 1 << 40)
    there = list(deal(resident.train, resident.preprocessing, 16, seed=3, augment=chain, mix=mix).epoch(2))
    for threads in (1, 3):
        here = list(stream(streamed, seed=3, augment=chain, mix=mix, threads=threads).epoch(2))
        for (x, y), (wanted, labels) in zip(here, there, strict=True):
            assert torch.equal(x, wanted)
            assert torch.equal(y, labels)


@pytest.mark.parametrize("mix", [None, Mixup()])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("chain", [(), (Flip(), PaddedCrop(2), ColourJitter()), (ResizedCrop(), Flip())])
def test_an_epoch_goes_on_from_its_middle_to_the_bit(
    chain, ranks: int, mix, folder: Path, streamed: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = opened(folder, monkeypatch, 1 << 40)
    for splits in (streamed, resident):
        for rank in range(ranks):
            batches = deal(splits.train, splits.preprocessing, 10, 3, augment=chain, mix=mix, rank=rank, ranks=ranks)
            whole = list(batches.epoch(2))
            assert len(whole) == 7
            for start in (0, 1, 4, 6, 7):
                rest = list(batches.epoch(2, start))
                assert len(rest) == 7 - start
                for (x, y), (wanted, labels) in zip(rest, whole[start:], strict=True):
                    assert x.equal(wanted)
                    assert y.equal(labels)


def test_what_was_dealt_before_is_not_read_again(streamed: Splits) -> None:
    batches = stream(streamed, 16, shuffle=False)
    whole = list(batches.epoch(0))
    for picture in streamed.train.pictures[:32]:
        picture.path.unlink()
    assert all(x.equal(wanted) for (x, _), (wanted, _) in zip(batches.epoch(0, 2), whole[2:], strict=True))
    assert batches.skipped == {}


def test_random_crops_follow_seed_epoch_and_image_whatever_the_threads(streamed: Splits) -> None:
    def epoch(number: int, **how: object) -> torch.Tensor:
        return torch.cat([x for x, _ in stream(streamed, augment=(ResizedCrop(), Flip()), **how).epoch(number)])

    assert torch.equal(epoch(1, threads=1), epoch(1, threads=4))
    assert not torch.equal(epoch(1), epoch(2))
    shares = [epoch(1, rank=rank, ranks=2) for rank in range(2)]
    assert sum(map(len, shares)) == 64
    assert {tuple(i) for i in epoch(1)[:, :, 5, 5].tolist()} == {
        tuple(i) for i in torch.cat(shares)[:, :, 5, 5].tolist()
    }


@pytest.mark.parametrize("turn", [None, 1, 6])
def test_a_crop_of_a_large_picture_is_decoded_small_and_is_the_same_crop(
    turn: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slope = np.stack((*np.mgrid[0:600, 0:900], np.full((600, 900), 300)), 2) / (600, 900, 600) * 255
    exif = Image.Exif()
    exif[0x0112] = turn or 1  # orientation
    said = {"exif": exif} if turn else {}  # where a camera says nothing the fast way is taken
    Image.fromarray(slope.astype(np.uint8)).save(tmp_path / "slope.jpg", quality=95, **said)
    whole = read_image(tmp_path / "slope.jpg").unsqueeze(0)
    assert whole.shape[2:] == ((900, 600) if turn == 6 else (600, 900))

    decoded, times = pictures.decoded, []

    def noted(*how: object) -> torch.Tensor:
        image = decoded(*how)
        times.append(whole.shape[2] / image.shape[1])
        return image

    monkeypatch.setattr(pictures, "decoded", noted)
    rule = Preprocessing(3, (32, 32), (32, 32), (0.0,) * 3, (1 / 255,) * 3)
    images = Streamed(
        (pictures.File(tmp_path / "slope.jpg"),) * 24, torch.zeros(24, dtype=torch.long), ("a",), "", rule
    )
    made, both = (
        torch.cat([x for x, _ in Stream(images, rule, 24, augment=chain, shuffle=False).epoch(3)])
        for chain in ((ResizedCrop(),), (ResizedCrop(), Flip()))
    )
    boxes = ResizedCrop().drawn(Chance(0, 3, torch.arange(24)).of(0), *whole.shape[2:]).T.tolist()
    for crop, (top, left, rows, columns) in zip(made, boxes, strict=True):
        wanted = F.interpolate(whole[..., top : top + rows, left : left + columns].float(), (32, 32), mode="area")
        assert (crop - wanted[0]).abs().max() < 4
    assert {round(one) for one in times} == {4, 8}
    turned = Flip().drawn(Chance(0, 3, torch.arange(24)).of(1))
    assert 0 < turned.sum() < 24
    assert both.equal(torch.where(turned.view(-1, 1, 1, 1), made.flip(3), made))
    monkeypatch.setattr("striate.data.stream.HELD", 1)  # one file at a time
    [(again, _)] = Stream(images, rule, 24, augment=(ResizedCrop(),), shuffle=False).epoch(3)
    assert again.equal(made)


def bomb() -> bytes:
    content = io.BytesIO()
    Image.new("1", (64, 64)).save(content, format="PNG")
    claim = bytearray(content.getvalue())
    claim[16:24] = (60_000).to_bytes(4, "big") * 2
    claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    return bytes(claim)


def jpeg_bomb() -> bytes:
    content = io.BytesIO()
    Image.new("L", (64, 64)).save(content, format="JPEG")
    claim = bytearray(content.getvalue())
    frame = claim.index(b"\xff\xc0")
    claim[frame + 5 : frame + 9] = (65_000).to_bytes(2, "big") * 2
    return bytes(claim)


DAMAGED = {
    "cut.jpg": lambda whole: whole[: len(whole) // 3],
    "empty.jpg": lambda _: b"",
    "text.jpg": lambda _: b"a letter",
    "bomb.png": lambda _: bomb(),
    "bomb.jpg": lambda _: jpeg_bomb(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_in_mid_epoch_is_left_out_named_once_and_never_replaced(
    name: str, streamed: Splits, folder: Path
) -> None:
    pictures = streamed.train.pictures
    victims = [pictures[5].path, pictures[50].path]
    for path in victims:
        path.write_bytes(DAMAGED[name]((folder / "a" / "00.jpg").read_bytes()))
    batches = stream(streamed)
    for number in (1, 2):
        seen = torch.cat([y for _, y in batches.epoch(number)])
        assert len(seen) == 62
        assert seen.bincount().tolist() == [31, 31]
    assert sorted(batches.skipped) == sorted(map(str, victims))
    assert all(skipped.reason.startswith(f"Cannot read {skipped.path}: ") for skipped in batches.skipped.values())


def test_what_cannot_be_read_is_counted_over_the_whole_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of 80 are a twentieth, wherever they lie: in memory and streamed it is learnt from, and judged by."""
    test = opened(folder, monkeypatch, 1000).test
    assert isinstance(test, Streamed)
    victims = [picture.path for picture in test.pictures]
    for path in victims[:4]:  # a quarter of the test's 16
        path.write_bytes(b"")
    assert len(opened(folder, monkeypatch, 1 << 40).test) == 12
    for looking in (False, True):
        splits = open_data(folder, 32, streamed=True, looking=looking)
        assert sum(len(y) for _, y in deal(splits.test, splits.preprocessing, 4).epoch()) == 12
        network = build(Seq(Conv(4, 3), Relu, GlobalPool(), Linear(2)), splits.preprocessing.volume)
        assert evaluate(network, splits).examples == 12
    victims[4].write_bytes(b"")
    with pytest.raises(CannotRead, match="5 of its 80 images cannot be read"):
        opened(folder, monkeypatch, 1 << 40)
    with pytest.raises(CannotRead, match="5 of its 80 images cannot be read"):
        list(stream(replace(splits, train=splits.test)).epoch())


def test_splits_add_up_what_cannot_be_read(streamed: Splits) -> None:
    held, learnt = streamed.train[:30], streamed.train[30:]
    for images, number in ((held, 2), (learnt, 2), (streamed.test, 1)):
        for picture in images.pictures[:number]:
            picture.path.unlink()
    for images in (held, learnt):
        assert sum(len(y) for _, y in deal(images, streamed.preprocessing, 8).epoch()) == len(images) - 2
    with pytest.raises(CannotRead, match="5 of its 80 images cannot be read"):
        list(deal(streamed.test, streamed.preprocessing, 8).epoch())


@pytest.mark.parametrize("views", ["", "centre"])
def test_of_images_none_of_which_can_be_read_nothing_is_made(views: str, streamed: Splits) -> None:
    """However few they are of their source."""
    few = streamed.test[:3]
    for picture in few.pictures:
        picture.path.unlink()
    network = build(Seq(Conv(4, 3), Relu, GlobalPool(), Linear(2)), streamed.preprocessing.volume)
    with pytest.raises(CannotRead, match="3 of its 3 images cannot be read"):
        ask(network, few, Views(views), streamed.preprocessing) if views else evaluate(
            network, few, streamed.preprocessing
        )


def test_a_folder_that_vanishes_ends_the_epoch_with_the_reason(streamed: Splits) -> None:
    for picture in streamed.train.pictures[:20]:
        picture.path.unlink()
    with pytest.raises(CannotRead) as refused:
        list(stream(streamed).epoch(1))
    text = str(refused.value)
    assert "of its 80 images cannot be read." in text
    assert "there is no such file" in text
    assert "Up to 5% would be left out" in text


def test_a_batch_of_which_nothing_is_left_is_not_dealt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = opened(folder, monkeypatch, 1000)
    victims = splits.train.pictures[:2]
    for picture in victims:
        picture.path.write_bytes(b"")
    batches = stream(splits, 2, shuffle=False)
    assert [len(y) for _, y in batches.epoch(4)] == [2] * 31
    assert batches.undealt == [(4, 0)]  # whoever goes on in the middle counts it


def test_kinds_of_pictures_in_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = Image.new("RGB", (60, 48), (220, 20, 20))
    turned = red.getexif()
    turned[0x0112] = 6
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.full((50, 50), 0x8080, np.uint16)).save(tmp_path / kind / "deep.png")
        red.convert("CMYK").save(tmp_path / kind / "cmyk.jpg", quality=95)
        red.save(tmp_path / kind / "moving.gif", save_all=True, append_images=[Image.new("RGB", (60, 48), "blue")])
        red.save(tmp_path / kind / "turned.jpg", exif=turned, quality=95)
        red.convert("L").save(tmp_path / kind / "grey.jpg")
    splits = opened(tmp_path, monkeypatch, 1000)
    batches = stream(splits, 10)
    seen = sum(len(y) for _, y in batches.epoch(1))
    assert seen == len(splits.train) == 8
    assert batches.skipped == {}


def test_whoever_leaves_early_leaves_no_thread_behind(streamed: Splits) -> None:
    before = threading.active_count()
    epoch = stream(streamed, 4).epoch(1)
    next(epoch)
    epoch.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_network_learns_from_a_stream(streamed: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model = build(Seq(Conv(4, 3), Relu, GlobalPool(), Linear(2)), "3x32x32")
    events = list(train(model, streamed, epochs=2, batch_size=16, augment="flip"))
    assert isinstance(events[-1], Done)
    assert sum(event.examples for event in events if isinstance(event, Step)) == 2 * 58
    assert evaluate(model, streamed).examples == 16


def test_an_image_lost_while_learning_is_named_once_and_the_epochs_end(
    folder: Path, streamed: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    paths = sorted(folder.rglob("*.png"))
    for path in paths:  # cut short after they were listed: whichever are learnt from, some are lost
        if path.name in {"01.png", "03.png"}:
            path.write_bytes(path.read_bytes()[:30])
    model = build(Seq(Conv(4, 3), Relu, GlobalPool(), Linear(2)), "3x32x32")
    events = list(train(model, streamed, epochs=2, batch_size=16, validation=0.0))
    told = [event.text for event in events if isinstance(event, Warning)]
    assert told
    assert len(told) == len(set(told))
    assert all(text.startswith("Left out: ") and "0" in text for text in told)
    assert isinstance(events[-1], Done)
    assert events[-1].finished
