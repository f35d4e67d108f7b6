"""`striate data`: what is there, as people type it; and augmentations by name."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from striate import cli
from striate.blueprint import Refusal
from striate.data import (
    AUGMENTATIONS,
    ColourJitter,
    Erasing,
    Flip,
    Images,
    PaddedCrop,
    ResizedCrop,
    Streamed,
    augmentations,
    open_data,
)
from striate.data.survey import survey


def data(*arguments: object) -> Result:
    return CliRunner().invoke(cli.verbs, ["data", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Thirty of one colour in train/a, ten in train/b, four in val; val/a/0 is train/a/3 in another file format."""
    for part, kind, count in (("train", "a", 30), ("train", "b", 10), ("val", "a", 2), ("val", "b", 2)):
        folder = tmp_path / "photos" / part / kind
        folder.mkdir(parents=True)
        for i in range(count):
            colour = (5 * i, 100 if kind == "a" else 200, 7 if part == "train" else 90)
            Image.new("RGB", (20 + i, 10), colour).save(folder / f"{i}.png")
    Image.open(tmp_path / "photos/train/a/3.png").save(tmp_path / "photos/val/a/0.bmp")
    (tmp_path / "photos/val/a/0.png").unlink()
    shutil.copy(tmp_path / "photos/train/a/4.png", tmp_path / "photos/train/a/4 again.png")
    return tmp_path / "photos"


def test_what_is_there_is_counted_and_what_is_wrong_is_named(photos: Path) -> None:
    for name in ("5.png", "6.png", "7.png", "8.png"):  # a tenth: too many to train on, and all the more to be told
        (photos / "train" / "a" / name).write_bytes(b"")
    done = data(photos, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["counts"] == {"train": {"a": 27, "b": 10}, "test": {"a": 2, "b": 2}}
    assert found["imbalance"] == 2.7
    assert found["sizes"] == {"smallest": [10, 20], "median": [10, 29], "largest": [10, 49]}
    assert [{Path(p).name for p in double.values()} for double in found["in_train_and_test"]] == [{"0.bmp", "3.png"}]
    assert found["twice_in_train"] == 1
    assert {Path(each["path"]).name for each in found["unreadable"]} == {"5.png", "6.png", "7.png", "8.png"}
    text = data(photos).stdout
    assert "in train and in test: 1\n" in text
    assert "unreadable: 4\n" in text
    assert "the file is empty" in text
    assert "the largest class has 2.7 times the images of the smallest" in text


def test_files_that_are_no_pictures_by_their_names_are_counted(photos: Path) -> None:
    assert json.loads(data(photos, "--json").stdout)["other_files"] == {}
    assert "suffix" not in data(photos).stdout
    for name in ("a/1.heic", "a/2.HEIC", "b/notes.txt", "b/README", "b/.hidden.heic"):
        (photos / "train" / name).write_bytes(b"?")
    assert json.loads(data(photos, "--json").stdout)["other_files"] == {".heic": 2, ".txt": 1, "": 1}
    assert "no pictures by their suffix: 4 (.heic 2, " in data(photos).stdout


def test_help_names_every_augmentation() -> None:
    text = re.sub(r"-\s+", "-", data("--help").stdout)  # a line may end in a name
    assert [name for name in AUGMENTATIONS if not re.search(rf"[ \n]{name}[,.]", text)] == []


def test_the_same_pixels_under_two_classes_are_named(photos: Path) -> None:
    shutil.copy(photos / "train" / "a" / "9.png", photos / "train" / "b" / "9 of a.png")
    text = data(photos).stdout
    assert "twice in train: 2\n" in text
    assert f"in two classes: 1\n  {photos}/train/b/9 of a.png (b) is {photos}/train/a/9.png (a)\n" in text
    found = json.loads(data(photos, "--json").stdout)
    assert [(each["one_class"], each["other_class"]) for each in found["in_two_classes"]] == [("a", "b")]


def test_resident_and_streamed_images_are_surveyed_alike(shared: Path, tmp_path: Path) -> None:
    mnist = open_data(shared / "mnist").test[:300]
    for i, (image, label) in enumerate(zip(mnist.pixels, mnist.labels, strict=True)):
        (tmp_path / str(int(label))).mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(tmp_path / str(int(label)) / f"{i:03}.png")
    there = replace(open_data(tmp_path, looking=True), skipped=())
    here = replace(open_data(tmp_path), skipped=())
    assert isinstance(there.train, Streamed)
    assert isinstance(here.train, Images)
    told: list[int] = []
    assert survey(there, "x", told.append).to_json() == survey(here, "x").to_json()
    assert told == list(range(1, 301))


def test_means_and_deviations_are_those_of_all_pixels(photos: Path) -> None:
    pixels = [np.asarray(Image.open(path)).reshape(-1, 3) for path in sorted((photos / "train").glob("*/*.png"))]
    every = np.concatenate(pixels) / 255
    found = json.loads(data(photos, "--json").stdout)
    assert found["mean"] == pytest.approx(every.mean(0).tolist())
    assert found["std"] == pytest.approx(every.std(0).tolist())


def test_digits_have_no_doubles_in_their_test() -> None:
    found = json.loads(data("digits", "--json").stdout)
    assert sum(found["counts"]["train"].values()) == 1437
    assert found["sizes"]["largest"] == [8, 8]
    assert found["in_train_and_test"] == []


def test_a_batch_is_drawn_as_the_network_will_see_it(photos: Path, tmp_path: Path) -> None:
    picture = tmp_path / "batch.png"
    done = data(photos, "--size", 16, "--augment", "resized-crop, flip", "--batch", picture)
    assert done.exit_code == 0, done.stderr
    assert f"{picture}: 21 images as the network will see them, 3×16×16" in done.stdout
    drawn = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("RGB"))
    assert (np.abs(drawn.astype(int) - [22, 200, 7]).max(2) < 28).sum() > 1000  # a picture of train/b
    again = picture.read_bytes()
    data(photos, "--size", 16, "--augment", "resized-crop, flip", "--batch", picture)
    assert picture.read_bytes() == again


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "Cannot read data from nosuch: it is not there."),
        (["digits", "--augment", "flop", "--batch", "b.png"], 'No augmentation "flop". Near: flip'),
        (
            ["digits", "--augment", "flip(", "--batch", "b.png"],
            "Cannot read the augmentation 'flip(' from character 1 on.",
        ),
        (["digits", "--batch", "/proc/no/b.png"], "Cannot write /proc/no: no such file"),
        ([""], "Cannot read data: its path is empty."),
        (["digits", "--seed", "99999999999999999999999999"], "seeds go from 0 to 2,147,483,647."),
        (["digits", "--size", "16"], "Cannot use --size: there is no batch that it is for.\n    Draw one: --batch"),
        (["digits", "--size", "16", "--augment", "flip"], "Cannot use --size and --augment: there is no batch"),
        (["digits", "--augment", "padded-crop(8)", "--batch", "b.png"], "Cannot move images of 8×8 by 8 cells"),
        (["digits", "--batch", "b.jpg"], "Cannot draw into b.jpg: a batch is drawn as .png.\n    --batch b.png"),
    ],
)
def test_what_cannot_be_said(arguments: list[str], says: str) -> None:
    done = data(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_augmentations_by_name() -> None:
    assert augmentations("") == ()
    assert augmentations(" flip,padded-crop(2) , erasing(share=0.25, area=(0.1, 0.2))") == (
        Flip(),
        PaddedCrop(2),
        Erasing(0.25, (0.1, 0.2)),
    )
    assert augmentations("resized-crop(size=(64, 64)), colour-jitter(0.1, hue=0.5)") == (
        ResizedCrop((64, 64)),
        ColourJitter(0.1, hue=0.5),
    )
    assert augmentations(", ".join(AUGMENTATIONS)) == tuple(make() for make in AUGMENTATIONS.values())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flip(sahre=1)", 'No field of flip "sahre". Near: share'),
        ("flip(1, 2)", "Cannot make flip(1, 2): it takes share."),
        ("padded-crop(1.5)", "Cannot make padded-crop with pad=1.5: it is a whole number, 0 or more."),
        ("padded-crop(-1)", "Cannot make padded-crop with pad=-1: it is a whole number, 0 or more."),
        ("erasing(area=0.5)", "Cannot make erasing with area=0.5: it is 2 numbers, 0 or more."),
        ("flip('a')", "Cannot make flip with share='a': it is a number, 0 or more."),
        ("flip(__import__('os').getcwd())", "Cannot read the augmentation"),
        ("flip;crop", "Cannot read the augmentation 'flip;crop' from character 1 on."),
        ("flip," * 1000, "Cannot read the augmentation"),
    ],
)
def test_augmentations_that_do_not_read(text: str, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        augmentations(text)
    assert str(refused.value).startswith(says)
