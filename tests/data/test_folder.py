"""Folders of pictures: real ants and bees, every kind of file, and folders that are not what they should be."""

from __future__ import annotations

import io
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.blueprint import CannotRead, Refusal
from striate.data import open_data, read_image


def picture(path: Path, colour: tuple[int, int, int] = (200, 30, 60), size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of ten pictures each, red and blue, of several sizes."""
    for i in range(10):
        picture(tmp_path / "photos" / "red" / f"{i}.png", (250, 10, 10), (20 + i, 16))
        picture(tmp_path / "photos" / "blue" / f"{i}.jpg", (10, 10, 250), (16, 20 + i))
    return tmp_path / "photos"


def refusal(folder: Path) -> str:
    with pytest.raises(Refusal) as refused:
        open_data(folder, size=8)
    return str(refused.value)


def test_ants_and_bees(shared: Path) -> None:
    splits = open_data(shared / "hymenoptera", size=64)
    assert splits.classes == ("ants", "bees")
    assert splits.train.labels.bincount().tolist() == [123, 121]
    assert splits.test.labels.bincount().tolist() == [70, 83]
    assert splits.train.pixels.shape == (244, 3, 64, 64)
    assert splits.skipped == ()
    assert splits.told == "397 images, short side scaled, centre 64×64"


def test_a_folder_without_splits_is_split_by_the_seed_in_proportion(photos: Path) -> None:
    splits = open_data(photos, size=8)
    assert splits.train.labels.bincount().tolist() == [8, 8]
    assert splits.test.labels.bincount().tolist() == [2, 2]
    red = splits.classes.index("red")
    means = splits.test.pixels.float().mean((2, 3))
    assert ((means[:, 0] > means[:, 2]) == (splits.test.labels == red)).all()


def test_train_validation_and_test_folders(photos: Path, tmp_path: Path) -> None:
    for part, n in (("train", 6), ("valid", 2), ("test", 2)):
        for kind in ("red", "blue"):
            (tmp_path / "split" / part / kind).mkdir(parents=True)
            for path in sorted((photos / kind).iterdir())[:n]:
                shutil.copy(path, tmp_path / "split" / part / kind)
    splits = open_data(tmp_path / "split", size=8)
    assert splits.validation is not None
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [12, 4, 4]


def test_small_pictures_of_one_size_are_taken_as_they_are(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for i in range(4):
            path = tmp_path / kind / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((28, 28), 9 * i, np.uint8)).save(path)
    splits = open_data(tmp_path)
    assert splits.train.volume == (1, 28, 28)
    assert open_data(tmp_path, size=32).told == "8 images, 28×28 as they are, zeros around them to 32×32"


def test_an_unreadable_image_is_left_out_and_named_once(photos: Path) -> None:
    for i in range(10, 30):
        picture(photos / "red" / f"{i}.png", (250, 10, 10))
    (photos / "blue" / "7.jpg").write_bytes(b"not a picture")
    splits = open_data(photos, size=8)
    assert len(splits.train) + len(splits.test) == 39
    assert [(path.name, reason) for path, reason in splits.skipped] == [
        ("7.jpg", f"Cannot read {photos / 'blue' / '7.jpg'}: it is not an image.")
    ]
    for images in (splits.train, splits.test):
        means = images.pixels.float().mean((2, 3))
        assert ((means[:, 0] > means[:, 2]) == (images.labels == 1)).all()  # blue, red


def test_who_asks_hears_how_many_are_decoded(photos: Path) -> None:
    told: list[int] = []

    @contextmanager
    def counting(total: int) -> Iterator[Callable[[int], None]]:
        told.append(total)
        yield told.append
        told.append(-1)

    open_data(photos, size=8, counting=counting)
    assert told == [20, *range(1, 21), -1]
    told.clear()
    open_data(photos, size=8, streamed=True, counting=counting)
    assert told == []


def test_too_many_unreadable_images_are_a_wrong_folder(photos: Path) -> None:
    for i in range(2):
        (photos / "red" / f"{i}.png").write_bytes(b"")
    assert refusal(photos).startswith(f"Cannot use {photos}: 2 of its 20 images cannot be read.\n    Cannot read ")
    assert "the file is empty" in refusal(photos)


def test_folders_to_learn_nothing_from(tmp_path: Path, photos: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty).splitlines()[0] == f"Cannot learn from {empty}: there are no images in it."
    assert f"{empty}/ants and {empty}/bees" in refusal(empty)
    loose = picture(tmp_path / "loose" / "a.png").parent
    assert refusal(loose).splitlines()[0] == f"Cannot learn from {loose}: its 1 images are in no class folder."
    shutil.rmtree(photos / "red")
    assert refusal(photos).splitlines()[0] == f"Cannot learn from {photos}: one class, blue. To tell apart takes two."
    picture(photos / "green" / "1.png")
    assert refusal(photos).splitlines()[0].startswith(f"Cannot learn from {photos}: green has one image.")
    (photos / "green" / "1.png").unlink()
    assert refusal(photos).splitlines()[0] == f"Cannot learn from {photos}: green has no images."


def test_splits_that_do_not_belong_together(photos: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(photos, both / "train")
    assert refusal(both).splitlines()[0] == f"Cannot learn from {both}: train is there, but neither val nor test."
    shutil.copytree(photos, both / "val")
    (both / "val" / "red").rename(both / "val" / "green")
    assert refusal(both).splitlines()[0] == f"Cannot learn from {both}: val has the class green, train has not."


def test_a_camera_held_upright(tmp_path: Path) -> None:
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:, :20] = 255  # left half white
    for suffix in ("jpg", "png"):
        image = Image.fromarray(pixels)
        exif = image.getexif()
        exif[0x0112] = 6  # to be turned a quarter clockwise: what is left comes to the top
        image.save(tmp_path / f"a.{suffix}", exif=exif)
        seen = read_image(tmp_path / f"a.{suffix}").float()
        assert seen.shape == (3, 40, 24)
        assert seen[:, :18].mean() > 250
        assert seen[:, 22:].mean() < 5


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    image.save(path, **how)
    return path


def test_every_kind_of_file_gives_its_colours(tmp_path: Path) -> None:
    red = Image.new("RGB", (10, 8), (220, 20, 20))
    kinds = [
        saved(tmp_path / "rgb.png", red),
        saved(tmp_path / "palette.png", red.convert("P", palette=Image.Palette.ADAPTIVE)),
        saved(tmp_path / "cmyk.jpg", red.convert("CMYK"), quality=95),
        saved(tmp_path / "rgb.jpg", red, quality=95),
        saved(tmp_path / "a.webp", red, lossless=True),
        saved(tmp_path / "a.bmp", red),
        saved(tmp_path / "a.tif", red),
        saved(tmp_path / "moving.gif", red, save_all=True, append_images=[Image.new("RGB", (10, 8), "blue")]),
        saved(tmp_path / "opaque.png", red.convert("RGBA")),
    ]
    for path in kinds:
        seen = read_image(path)
        assert (seen.dtype, seen.shape) == (torch.uint8, (3, 8, 10)), path
        assert (seen.float().mean((1, 2)) - torch.tensor([220.0, 20, 20])).abs().max() < 12, path
        assert read_image(path, 1).float().mean().item() == pytest.approx(0.299 * 220 + 0.701 * 20, abs=12), path


def test_sixteen_bits_become_eight_and_the_transparent_lies_on_white(tmp_path: Path) -> None:
    deep = saved(tmp_path / "deep.png", Image.fromarray(np.full((4, 4), 0x8080, np.uint16)))
    assert read_image(deep, 1).unique().tolist() == [128]
    clear = saved(tmp_path / "clear.png", Image.new("RGBA", (4, 4), (0, 0, 0, 0)))
    assert read_image(clear).unique().tolist() == [255]


def test_a_large_jpeg_is_decoded_small_but_never_below_what_is_asked(tmp_path: Path) -> None:
    big = saved(tmp_path / "big.jpg", Image.new("RGB", (1600, 1200), "green"))
    assert read_image(big).shape == (3, 1200, 1600)
    assert read_image(big, least=(224, 224)).shape == (3, 300, 400)
    assert read_image(big, least=(301, 224)).shape == (3, 600, 800)
    assert read_image(big, least=(601, 224)).shape == (3, 1200, 1600)  # five eighths would take longer than all of it
    odd = saved(tmp_path / "odd.jpg", Image.new("L", (1013, 997)))
    assert read_image(odd, 1, least=(125, 127)).shape == (1, 125, 127)
    assert read_image(odd, 1, least=(125, 128)).shape == (1, 250, 254)


def test_files_that_are_no_whole_pictures(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    (tmp_path / "folder.png").mkdir()
    for name in ("cut.jpg", "cut.png"):
        content = io.BytesIO()
        noise.save(content, format="JPEG" if name.endswith("jpg") else "PNG")
        (tmp_path / name).write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    says = {
        "nosuch.png": "there is no such file",
        "folder.png": "it is a folder",
        "text.png": "it is not an image",
        "empty.jpg": "the file is empty",
        "cut.jpg": "",
        "cut.png": "",
    }
    for name, reason in says.items():
        with pytest.raises(CannotRead, match=f"Cannot read {tmp_path / name}: {reason}"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    content = io.BytesIO()
    Image.new("1", (64, 64)).save(content, format="PNG")
    claim = bytearray(content.getvalue())
    claim[16:24] = side.to_bytes(4, "big") * 2
    claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(claim)
    with pytest.raises(CannotRead, match="it states "):
        read_image(tmp_path / "bomb.png")


def test_a_jpeg_with_a_blemish_is_read_all_the_same(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.jpg", Image.new("RGB", (32, 32), "green")).read_bytes()
    at = whole.index(b"\xff\xda")
    (tmp_path / "b.jpg").write_bytes(whole[:at] + b"\0\0" + whole[at:])  # extraneous bytes before a marker
    assert torch.equal(read_image(tmp_path / "b.jpg"), read_image(tmp_path / "a.jpg"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(photos: Path) -> None:
    closed = sorted(path for path in photos.rglob("*") if path.is_dir())[-1]
    closed.chmod(0)
    try:
        with pytest.raises(CannotRead, match=f"Cannot read {closed}: permission denied."):
            open_data(photos, size=8)
    finally:
        closed.chmod(0o700)
