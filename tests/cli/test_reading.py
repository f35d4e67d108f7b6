"""While images are decoded into memory, the verbs that wait for them say how far it is."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from striate.cli import verbs
from striate.cli.output import reading
from striate.data.opening import unheard
from striate.judging import counting
from striate.nn import build
from striate.training import Step, fit, train


@pytest.fixture
def photos(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty ants and bees; whatever takes any time at all is told."""
    monkeypatch.setattr(counting, "SILENCE", 0)
    monkeypatch.chdir(tmp_path)
    for place in sorted((shared / "hymenoptera").glob("train/*/*.jpg"))[115:135]:
        there = Path("photos", place.parent.name, place.name)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, there)
    return Path("photos")


@pytest.mark.parametrize("verb", [["train", "--epochs", "1", "--out", "run"], ["sanity", "--steps", "10"]])
def test_reading_is_told(photos: Path, verb: list[str]) -> None:
    name, *how = verb
    done = CliRunner().invoke(verbs, [name, "lenet5", "--data", str(photos), "--set", "threads=1", *how])
    assert done.exit_code in (0, 1), done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("Reading photos: ")]
    assert told[0].startswith("Reading photos: 1 of 20 images, ")
    assert told[-1].startswith("Reading photos: 19 of 20 images, ")


def test_reading_is_told_where_a_run_goes_on(photos: Path) -> None:
    network, data = fit("lenet5", photos)[1:3]
    events = train(build(network), data, out="run", checkpoint_every=0, epochs=1, batch_size=4, threads=1)
    assert len(list(islice((event for event in events if isinstance(event, Step)), 3))) == 3
    events.close()  # type: ignore[attr-defined]
    done = CliRunner().invoke(verbs, ["resume", "run"])
    assert done.exit_code == 0, done.stderr
    assert "Reading run: 1 of 20 images, " in done.stderr


def test_of_several_processes_the_first_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reading("photos") is not unheard
    monkeypatch.setenv("RANK", "1")
    assert reading("photos") is unheard
