"""`striate eval` as it is typed: a network with ImageNet's weights on real ants and bees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from striate import load, save
from striate.cli import verbs
from striate.judging import Views, evaluate, images_for


def striate(*words: object) -> Result:
    return CliRunner().invoke(verbs, [str(word) for word in words])


def said(*words: object) -> dict[str, Any]:
    done = striate("eval", *words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def place(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, and two models that tell ants and bees apart, in opposite order."""
    folder = tmp_path_factory.mktemp("eval")
    for split in ("train", "val"):
        for kind in ("ants", "bees"):
            there = folder / "photos" / split / kind[:-1]
            there.mkdir(parents=True)
            for photo in sorted((shared / "hymenoptera" / split / kind).glob("*.jpg"))[:8]:
                shutil.copy(photo, there)
    weights = shared / "weights/squeezenet1_0_deepcompression/squeezenet1_0.npz"
    for name, classes in (("a", ["ant", "bee"]), ("b", ["bee", "ant"]), ("c", ["bee", "fly"])):
        save(load("squeezenet1_0", weights=weights, classes=classes), folder / f"{name}.safetensors")
    return folder


def test_one_model_in_words_and_as_json(place: Path) -> None:
    model, data = place / "a.safetensors", place / "photos"
    done = striate("eval", model, "--data", data, "--calibration")
    assert done.exit_code == 0, done.output
    lines, found = done.stdout.splitlines(), said(model, "--data", data)
    assert lines[0] == f"{model} on 16 test images of {data}: short side scaled, centre 227×227"
    assert lines[1].startswith(
        f"top-1 {found['top1']:.2%} ± {found['top1_standard_error']:.2%}   loss (NLL) "  # of two, five are always right
    )
    assert lines[1].endswith(f"calibration error {found['calibration']['error']:.2%}")
    assert [line.split()[0] for line in lines[3:5]] == ["ant", "bee"]
    assert sum(int(line.split()[3]) for line in lines[7:]) == found["examples"] == 16
    assert found["top1"] > 0.8  # it has seen ants and bees
    assert found["model"] == str(model)


def test_views_and_scales_are_said_and_seen(place: Path) -> None:
    model = (place / "a.safetensors", "--data", place / "photos")
    plain, ten, dense = (
        said(*model),
        said(*model, "--views", "ten-crop"),
        said(*model, "--dense", "--scales", "227,256"),
    )
    assert ten["views"] == (
        "ten-crop at short side 256, mirrored, too (corners and centre: Krizhevsky et al. 2012, section 4.1)"
    )
    assert dense["views"].startswith("dense at short sides 227 and 256, mirrored, too (whole image: ")
    assert len({plain["loss"], ten["loss"], dense["loss"]}) == 3
    both = said(*model, "--views", "ten-crop", "--dense", "--no-mirror")
    assert "; and dense at short side 256 (whole image" in both["views"]


def test_models_each_alone_and_together(place: Path) -> None:
    models = [place / "a.safetensors", place / "b.safetensors"]
    done = striate("eval", *models, "--data", place / "photos")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 models on 16 test images of ")
    assert [line.split()[0] for line in lines[1:4]] == [*map(str, models), "together"]
    found = said(*models, "--data", place / "photos")
    assert [one["model"] for one in found["models"]] == [*map(str, models)]
    assert found["classes"] == ["ant", "bee"]
    assert found["models"][1]["classes"] == ["bee", "ant"]
    assert found["loss"] == pytest.approx(found["models"][0]["loss"], rel=1e-4)  # the same network twice


def test_pictures(place: Path, tmp_path: Path) -> None:
    done = striate(
        "eval", place / "a.safetensors", "--data", place / "photos", "--pictures", tmp_path / "new" / "folder"
    )
    assert done.exit_code == 0, done.output
    names = ["confusion.png", "calibration.png", "mistakes.png"]
    assert done.stdout.splitlines()[-3:] == [str(tmp_path / "new" / "folder" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(names)
    (tmp_path / "file").write_text("")
    done = striate("eval", place / "a.safetensors", "--data", place / "photos", "--pictures", tmp_path / "file")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Cannot write {tmp_path}/file: ")


def test_pictures_that_cannot_be_written_are_refused_before_anything_is_judged(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "photos", tmp_path / "photos")
    for photo in (tmp_path / "photos" / "val").rglob("*.jpg"):
        photo.write_text("which would be refused when it is judged")
    done = striate("eval", place / "a.safetensors", "--data", tmp_path / "photos", "--pictures", "/proc/judged")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Cannot write /proc/judged: no such file or directory.\n    Choose another place.\n"


def test_images_to_choose_by_are_those_that_training_held_out(learnt: Path, place: Path) -> None:
    found = said(learnt, "--split", "val")
    assert (found["split"], found["examples"]) == ("val", 144)
    assert found["top1"] == pytest.approx(load(learnt / "model.safetensors").metadata["provenance"]["top1_held_out"])
    refused = striate("eval", place / "a.safetensors", "--data", place / "photos", "--split", "val")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"Cannot judge {place}/a.safetensors by images to choose by: ")


def test_views_are_mirrored_as_it_learnt_and_shifted_is_one_of_them(learnt: Path) -> None:
    model = load(learnt / "model.safetensors")
    images = images_for(model, "digits").test
    for views in ("shifted", "ten-crop"):
        by_itself, mirrored, plain = (
            said(learnt, "--views", views, *more) for more in ((), ("--mirror",), ("--no-mirror",))
        )
        assert by_itself["loss"] == plain["loss"] < mirrored["loss"], "digits were learnt without flips"
        assert "mirrored, too" in mirrored["views"]
        assert "mirrored" not in by_itself["views"]
        wanted = evaluate(model, images, views=Views(views, mirror=False))
        assert by_itself["loss"] == pytest.approx(wanted.loss, rel=1e-4)


def test_a_photo_that_cannot_be_read_is_left_out_and_said(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "photos", tmp_path / "photos")
    for i in range(8):
        shutil.copy(next((place / "photos/val/ant").glob("*.jpg")), tmp_path / "photos/val/ant" / f"again{i}.jpg")
    (tmp_path / "photos/val/ant/again0.jpg").write_text("no")
    done = striate("eval", place / "a.safetensors", "--data", tmp_path / "photos")
    assert (done.exit_code, " on 23 test images of " in done.stdout) == (0, True), done.output
    assert "Left out: Cannot read " in done.stderr
    assert "again0.jpg: it is not an image." in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["c.safetensors"], "Cannot judge the model on photos: it does not know the class ant."),
        (["a.safetensors", "--scales", "64"], "Cannot cut 227×227 out of an image whose short side is 64."),
        (["a.safetensors", "--scales", "a,b"], "Cannot read --scales: 'a,b' is not short sides as in 256,384,512"),
        (["a.safetensors", "--views", "tencrop"], "Cannot read --views: 'tencrop' is not one of "),
        (["a.safetensors", "--dense", "--scales", "16"], "Cannot slide this network over images of 16×16."),
        ([], "striate eval needs MODEL..."),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_refused(words: list[str], says: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    done = striate("eval", *words, "--data", "photos")
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_help(golden: Callable[[str, str], None]) -> None:
    golden("help-eval.txt", striate("eval", "--help").output)
