"""A run goes on with the images it learnt from: in memory or streamed as it began, and it says what has changed."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from small import network
from striate.blueprint import CannotTrain, Conv, Dropout, Linear, Relu, Seq
from striate.data import Images, Streamed, open_data
from striate.training import Done, Step, resume, revised, train
from striate.training.lesson import lesson

NET = Seq(Conv(8, 3, 2, 1), Relu, Conv(16, 3, 2, 1), Relu, Dropout(0.2), Linear(2))
FIELDS: dict[str, Any] = {"epochs": 2, "batch_size": 8, "threads": 1, "augment": "resized-crop, flip", "seed": 3}
MUCH, LITTLE = 1 << 40, 1000


@pytest.fixture
def photos(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty ants and bees, without splits."""
    monkeypatch.setattr("striate.training.lesson.free", lambda: MUCH)
    for place in sorted((shared / "hymenoptera").glob("train/*/*.jpg"))[105:145]:
        there = tmp_path / "photos" / place.parent.name / place.name
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, there)
    return tmp_path / "photos"


def memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr("striate.data.memory.free", lambda: free)


def cut_off(photos: Path, run: Path) -> Path:
    """A run as if the power had gone after its third step."""
    events = train(network(NET, "3x32x32"), open_data(photos, 32), out=run, checkpoint_every=0, **FIELDS)
    assert len(list(islice((event for event in events if isinstance(event, Step)), 3))) == 3
    events.close()  # type: ignore[attr-defined]
    return run


def learnt(photos: Path) -> list[Path]:
    """The files that a run learns from, in order: those not held out for the test or to choose by."""
    made = lesson(
        network(NET, "3x32x32"), open_data(photos, 32, looking=True), revised(**FIELDS), torch.device("cpu"), True
    )
    assert isinstance(made.learnt, Streamed)
    return [Path(picture.name) for picture in made.learnt.pictures]


def refusal(run: Path, **how: Any) -> list[str]:
    with pytest.raises(CannotTrain) as refused:
        resume(run, **how)
    return str(refused.value).split("\n    ")


def test_streamed_it_goes_on_streamed_whatever_memory_is_free(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(monkeypatch, LITTLE)
    run = cut_off(photos, tmp_path / "run")
    for _ in train(network(NET, "3x32x32"), open_data(photos, 32), out=tmp_path / "whole", **FIELDS):
        pass
    memory(monkeypatch, MUCH)
    assert isinstance(list(resume(run))[-1], Done)
    there, here = (load_file(folder / "model.safetensors") for folder in (tmp_path / "whole", run))
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_in_memory_it_waits_for_memory(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, MUCH)
    run = cut_off(photos, tmp_path / "run")
    memory(monkeypatch, LITTLE)
    fact, way = refusal(run)
    assert fact.startswith("Cannot hold 40 images of 3×32×32 in memory: ")
    assert way == "They were in memory before, and streamed they would be dealt otherwise: end what else takes memory."
    memory(monkeypatch, MUCH)
    assert isinstance(list(resume(run))[-1], Done)


def test_images_are_known_again_in_memory_and_streamed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        lesson(network(NET, "3x32x32"), open_data(photos, 32, streamed=way), revised(), torch.device("cpu"), True)
        for way in (True, False)
    ]
    assert [type(each.learnt) for each in made] == [Streamed, Images]
    there, here = (each.known for each in made)
    assert there["images"] == here["images"]
    assert (there["streamed"], here["streamed"]) == (True, False)
    assert there["lost"] == here["lost"] == []


def test_given_the_other_way_it_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, MUCH)
    run = cut_off(photos, tmp_path / "run")
    rule = open_data(photos, 32).preprocessing
    fact, way = refusal(run, data=open_data(photos, preprocessing=rule, streamed=True))
    places = "are streamed from the disk, those it learnt from were in memory"
    assert fact == f"Cannot go on with {run}: the images of {photos} {places}."
    assert way == "Open them as they were: open_data(path, streamed=False)."


@pytest.mark.parametrize("free", [MUCH, LITTLE])
def test_what_can_no_longer_be_read_is_named(
    free: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(monkeypatch, free)
    run = cut_off(photos, tmp_path / "run")
    victim = learnt(photos)[4]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:3000])
    fact, why, way = refusal(run)
    assert fact == f"Cannot go on with {run}: {victim}, which it learnt from, cannot be read now."
    assert why.startswith(f"Cannot read {victim}: ")
    assert way.startswith("Bring it back, or begin a new run")
    victim.write_bytes(whole)
    assert isinstance(list(resume(run))[-1], Done)


def test_what_can_be_read_again_is_named(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, MUCH)
    victim = learnt(photos)[4]
    whole = victim.read_bytes()
    victim.write_bytes(b"")
    run = cut_off(photos, tmp_path / "run")
    moved = photos.rename(tmp_path / "moved")
    assert isinstance(list(resume(shutil.copytree(run, tmp_path / "copy"), data=moved))[-1], Done)
    photos = moved.rename(photos)
    victim.write_bytes(whole)
    assert refusal(run)[0] == (
        f"Cannot go on with {run}: {victim.parent.name}/{victim.name} of {photos} could not be read when it began, "
        "and can be now."
    )


@pytest.mark.parametrize("free", [MUCH, LITTLE])
def test_a_file_that_has_changed_is_found(
    free: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(monkeypatch, free)
    run = cut_off(photos, tmp_path / "run")
    victim = learnt(photos)[0]
    Image.new("RGB", (300, 200), "orange").save(victim)
    assert refusal(run)[0] == f"Cannot go on with {run}: the images in {photos} are not those it learnt from."
