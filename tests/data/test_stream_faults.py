"""What can go wrong while images are streamed: damaged and strange files, a folder or a shard that changes underneath,
a thread that fails. The epoch ends, or says why it cannot; nothing is dealt in another's place; no thread is left.
"""

from __future__ import annotations

import gc
import io
import os
import shutil
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from striate.blueprint import CannotRead
from striate.data import Flip, Preprocessing, ResizedCrop, Stream, Streamed, TrivialAugment, open_data, read_image
from striate.data.decode import Header
from striate.data.pictures import File

RULE = Preprocessing(3, (32, 32), (32, 32), (0.5,) * 3, (0.25,) * 3)
RED, BLUE = (220, 20, 20), (20, 20, 220)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while decoding() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert decoding() == []


def decoding() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    content = io.BytesIO()
    image.save(content, format=kind, **how)
    return content.getvalue()


def photo(number: int) -> bytes:
    """One of its own for each number: its red is twice that."""
    noise = np.random.default_rng(number).integers(0, 40, (48, 60, 3), dtype=np.uint8)
    noise[..., 0] = 2 * number
    return encoded(Image.fromarray(noise), "PNG")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i:03}.png" for i in range(120)]
    for i, path in enumerate(paths):
        path.write_bytes(photo(i))
    return paths


def streamed(paths: list[Path]) -> Streamed:
    labels = torch.arange(len(paths))
    return Streamed(tuple(map(File, paths)), labels, tuple(map(str, range(len(paths)))), "the folder", RULE)


def numbers(epoch: Iterator[tuple[Tensor, Tensor]]) -> list[int]:
    """Of the images that are dealt, in order, each held against its label: that none stands in another's place."""
    found = []
    for x, y in epoch:
        red = (x[:, 0].mean((1, 2)) * 0.25 + 0.5) * 255
        assert ((red / 2).round() == y).all()
        found += y.tolist()
    return found


def turned(kind: str) -> bytes:
    image = Image.new("RGB", (60, 48), RED)
    image.paste(BLUE, (0, 0, 60, 24))
    exif = image.getexif()
    exif[0x0112] = 6
    return encoded(image, kind, exif=exif, quality=95) if kind == "JPEG" else encoded(image, kind, exif=exif)


def moving(kind: str) -> bytes:
    first, *more = (Image.new("RGB", (60, 48), colour) for colour in (RED, BLUE, BLUE))
    return encoded(first, kind, save_all=True, append_images=more)


STRANGE = {
    "cmyk.jpg": lambda: encoded(Image.new("RGB", (60, 48), RED).convert("CMYK"), "JPEG", quality=95),
    "deep.png": lambda: encoded(Image.fromarray(np.full((50, 50), 0x8080, np.uint16)), "PNG"),
    "deep.tif": lambda: encoded(Image.fromarray(np.full((50, 50), 0x8080, np.uint16)), "TIFF"),
    "moving.gif": lambda: moving("GIF"),
    "moving.webp": lambda: moving("WEBP"),
    "moving.png": lambda: moving("PNG"),
    "turned.jpg": lambda: turned("JPEG"),
    "turned.png": lambda: turned("PNG"),
    "palette.png": lambda: encoded(Image.new("RGB", (60, 48), RED).quantize(4), "PNG"),
    "two.png": lambda: encoded(Image.new("1", (60, 48), 1), "PNG"),
    "progressive.jpg": lambda: encoded(Image.new("RGB", (60, 48), RED), "JPEG", progressive=True),
    "jpeg.png": lambda: encoded(Image.new("RGB", (60, 48), RED), "JPEG"),
}


@pytest.mark.parametrize("chain", [(), (ResizedCrop(), Flip()), (TrivialAugment(),)])
def test_strange_pictures_are_dealt_as_they_are_seen(chain, photos: list[Path], tmp_path: Path) -> None:
    strange = [tmp_path / name for name in STRANGE]
    for path in strange:
        path.write_bytes(STRANGE[path.name]())
    paths = photos[:30] + strange + photos[30:50]
    stream = Stream(streamed(paths), RULE, 16, augment=chain, shuffle=False, threads=2)
    x = torch.cat([x for x, _ in stream.epoch(1)])
    assert len(x) == len(paths)
    assert stream.skipped == {}
    if not chain:
        for path, image in zip(strange, x[30:], strict=False):
            wanted = RULE.normalise(RULE.prepare(read_image(path).unsqueeze(0)))[0]
            assert (image - wanted).abs().max() < 0.05, path.name
        upright = x[30 + list(STRANGE).index("turned.jpg")]  # what was above is to the right
        assert upright[2, :, 20:].mean() > upright[0, :, 20:].mean() + 2
        assert upright[0, :, :12].mean() > upright[2, :, :12].mean() + 2


def bomb(kind: str) -> bytes:
    """A few bytes that state billions of pixels."""
    claim = bytearray(encoded(Image.new("L", (64, 64)), kind))
    if kind == "PNG":
        claim[16:24] = (60_000).to_bytes(4, "big") * 2
        claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    elif kind == "JPEG":
        frame = claim.index(b"\xff\xc0")
        claim[frame + 5 : frame + 9] = (65_000).to_bytes(2, "big") * 2
    else:
        claim[6:10] = (65_000).to_bytes(2, "little") * 2
    return bytes(claim)


DAMAGED = {
    "cut.jpg": lambda: encoded(Image.fromarray(np.arange(4800, dtype=np.uint8).reshape(60, 80)), "JPEG")[:-300],
    "cut.png": lambda: photo(3)[:2000],
    "empty.jpg": lambda: b"",
    "text.jpg": lambda: b"Dear neighbour,\n" * 40,
    "bomb.png": lambda: bomb("PNG"),
    "bomb.jpg": lambda: bomb("JPEG"),
    "bomb.gif": lambda: bomb("GIF"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("chain", [(), (ResizedCrop(), Flip())])
def test_damage_in_mid_epoch_takes_nothing_else_with_it(chain, name: str, photos: list[Path], tmp_path: Path) -> None:
    victim = tmp_path / name
    victim.write_bytes(DAMAGED[name]())
    stream = Stream(streamed([*photos[:40], victim, *photos[41:]]), RULE, 16, augment=chain, threads=2)
    whole = {
        int(n): image
        for x, y in Stream(streamed(photos), RULE, 16, augment=chain, threads=1).epoch(1)
        for image, n in zip(x, y, strict=True)
    }
    for _ in range(2):
        seen = {int(n): image for x, y in stream.epoch(1) for image, n in zip(x, y, strict=True)}
        assert sorted(seen) == [n for n in range(120) if n != 40]
        assert all(image.equal(whole[n]) for n, image in seen.items())  # to the bit, beside a hole too
    assert list(stream.skipped) == [str(victim)]
    assert stream.skipped[str(victim)].reason.startswith(f"Cannot read {victim}: ")


def test_a_bomb_is_refused_before_any_memory_is_taken(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import simplejpeg

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    photos[0].write_bytes(bomb("JPEG"))
    monkeypatch.setattr(simplejpeg, "decode_jpeg", never)
    monkeypatch.setattr(Image.Image, "load", never)
    with pytest.raises(CannotRead, match="it states 65,000×65,000 pixels, at most 120,000,000 are read"):
        read_image(photos[0])


CHANGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "a folder now": lambda path: (path.unlink(), path.mkdir()),
    "a pipe now": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_files_that_change_in_mid_epoch_are_left_out(change: str, photos: list[Path]) -> None:
    stream = Stream(streamed(photos), RULE, 8, shuffle=False, threads=2)
    epoch = stream.epoch(0)
    first = numbers(iter([next(epoch)]))
    for n in (100, 101, 119):
        CHANGES[change](photos[n])
    assert first + numbers(epoch) == [n for n in range(120) if n not in (100, 101, 119)]
    assert sorted(stream.skipped) == [str(photos[n]) for n in (100, 101, 119)]


def test_a_folder_that_vanishes_in_mid_epoch_ends_it_with_the_reason(photos: list[Path]) -> None:
    stream = Stream(streamed(photos), RULE, 4, shuffle=False, threads=2)
    epoch = stream.epoch(0)
    next(epoch)
    shutil.rmtree(photos[0].parent)
    with pytest.raises(CannotRead, match=r"of its 120 images cannot be read\.\n.*there is no such file"):
        numbers(epoch)
    assert decoding() == []  # by then, not some time later


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_that_may_not_be_read_is_left_out_with_the_reason(photos: list[Path]) -> None:
    photos[7].chmod(0)
    stream = Stream(streamed(photos), RULE, 16, threads=2)
    assert sorted(numbers(stream.epoch(1))) == [n for n in range(120) if n != 7]
    assert "permission denied" in stream.skipped[str(photos[7])].reason


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as archive:
        for n in range(120):
            for name, content in ((f"{n:03}.png", photo(n)), (f"{n:03}.cls", b"%d" % (n % 2))):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("left", [0.95, 0.5, 0.0])
def test_a_shard_cut_short_under_us(left: float, shard: Path) -> None:
    images = open_data(shard, preprocessing=RULE, looking=True).train
    assert isinstance(images, Streamed)
    stream = Stream(images, RULE, 4, shuffle=False, threads=2)
    epoch = stream.epoch(0)
    dealt = len(next(epoch)[1])
    os.truncate(shard, int(shard.stat().st_size * left))
    if left > 0.9:
        dealt += sum(len(y) for _, y in epoch)
        assert 0 < len(stream.skipped) == len(images) - dealt
    else:
        with pytest.raises(CannotRead, match=r"shard\.tar has become shorter since it was listed"):
            list(epoch)
    assert all("has become shorter" in lost.reason for lost in stream.skipped.values())


def test_a_shard_that_becomes_a_pipe_is_not_waited_for(shard: Path) -> None:
    images = open_data(shard, preprocessing=RULE, looking=True).train
    assert isinstance(images, Streamed)
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(CannotRead, match="of its 120 images cannot be read"):
        list(Stream(images, RULE, 8, threads=2).epoch(0))


class Failing:
    """A picture whose reading has a fault that no file could cause."""

    name = "a picture"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def held(self) -> Failing:
        return self

    def header(self) -> Header:
        raise self.error

    def read(self, channels: int, least: tuple[int, int] = (1, 1), room: np.ndarray | None = None) -> Tensor:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("a slip of ours"), MemoryError(), KeyboardInterrupt()])
def test_a_thread_that_fails_ends_the_epoch_with_its_error(error: BaseException, photos: list[Path]) -> None:
    images = streamed(photos)
    images = replace(images, pictures=(*images.pictures[:50], Failing(error), *images.pictures[51:]))
    stream = Stream(images, RULE, 8, shuffle=False, threads=2)
    with pytest.raises(type(error)) as raised:
        list(stream.epoch(0))
    assert raised.value is error
    assert decoding() == []
    assert stream.skipped == {}


class Slow(Failing):
    """A picture that is read when all the others of its batch have been."""

    def __init__(self, path: Path, others: threading.Semaphore, count: int) -> None:
        self.path, self.others, self.count = path, others, count

    def read(self, channels: int, least: tuple[int, int] = (1, 1), room: np.ndarray | None = None) -> Tensor:
        assert all(self.others.acquire(timeout=20) for _ in range(self.count))
        return File(self.path).read(channels, least, room)


class Told(File):
    """A picture that says when it has been read."""

    read_ones = threading.Semaphore(0)

    def read(self, channels: int, least: tuple[int, int] = (1, 1), room: np.ndarray | None = None) -> Tensor:
        try:
            return super().read(channels, least, room)
        finally:
            self.read_ones.release()


def test_nothing_waits_for_a_slow_picture_but_its_batch(photos: list[Path]) -> None:
    slow = Slow(photos[0], Told.read_ones, 31)  # of its own batch and of three that are made ahead
    images = replace(streamed(photos), pictures=(slow, *map(Told, photos[1:])))
    stream = Stream(images, RULE, 8, shuffle=False, threads=2)
    assert [len(y) for _, y in stream.epoch(0)] == [len(y) for _, y in Stream(streamed(photos), RULE, 8).epoch(0)]
    assert stream.skipped == {}


@pytest.mark.parametrize("leave", ["close", "forget", "raise"])
def test_whoever_leaves_leaves_no_thread(leave: str, photos: list[Path]) -> None:
    epoch = Stream(streamed(photos), RULE, 4, threads=3).epoch(0)
    next(epoch)
    assert decoding()
    if leave == "close":
        epoch.close()  # type: ignore[attr-defined]
    elif leave == "raise":
        with pytest.raises(ZeroDivisionError):
            sum(1 // 0 for _ in epoch)
    del epoch
    gc.collect()


def test_what_is_dealt_stays_as_it_is_while_memory_is_used_again(photos: list[Path]) -> None:
    stream = Stream(streamed(photos), RULE, 8, threads=2)
    kept, views = [], []
    for x, y in stream.epoch(1):
        kept.append((x, x.clone(), y))
        views.append((x[:2, 0], x[:2, 0].clone()))
        del x
    for x, as_it_was, _ in kept:
        assert x.equal(as_it_was)
    del kept, x, as_it_was
    for _ in stream.epoch(2):  # a view is enough to keep it
        pass
    assert all(view.equal(as_it_was) for view, as_it_was in views)
    assert len({view.data_ptr() for view, _ in views}) == len(views)


def test_memory_is_used_again(photos: list[Path]) -> None:
    stream = Stream(streamed(photos), RULE, 8, threads=2)
    places = [x.data_ptr() for number in (1, 2) for x, _ in stream.epoch(number)]
    assert len(places) == 30
    assert len(set(places)) < 10  # four, or one more where a thread has not yet let go
