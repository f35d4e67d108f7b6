"""A run that is cut off goes on to the bits it would have had: stopped, killed, its files damaged, its disk full."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from small import network
from striate.blueprint import BatchNorm, CannotRead, CannotTrain, Conv, Dropout, Linear, MaxPool, Relu, Seq
from striate.data import Splits, open_data
from striate.training import Checkpoint, Control, Done, Event, Kept, Started, Step, Warning, resume, train
from striate.training.checkpoint import KEPT, listed, read

NET = Seq(Conv(8, 3), BatchNorm(), Relu, MaxPool(2), Conv(16, 3, padding=1), Relu, Dropout(0.3), Linear(10))
MANY: dict[str, Any] = {"epochs": 3, "batch_size": 128, "threads": 1, "seed": 3, "augment": "padded-crop(1)"}
WAYS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "sgd": {"optimizer": "sgd", "lr": 0.05, "clip": 1.0},
    "rmsprop with EMA": {"optimizer": "rmsprop", "lr": 1e-3, "ema": 0.99},
    "muon": {"optimizer": "muon", "lr": 0.02},
    "mixup, accumulated": {"mix": "mixup(0.2)", "accumulate": 2, "batch_size": 50},
    "plateau": {"optimizer": "sgd", "lr": 0.3, "schedule": "plateau", "patience": 0},
    "bfloat16": {"precision": "bfloat16", "ema": "polyak"},
}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def equal(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def losses(run: Path) -> list[tuple[int, float, float]]:
    """(step, loss, learning rate or share of right answers) of each step and epoch, as the log has them."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line.get("lr", line.get("top1"))) for line in lines if "loss" in line]


def cut_off(run: Path, data: Splits, after: int, **fields: Any) -> None:
    """As if the power had gone after that many steps: nothing is finished, nobody is told."""
    events = train(network(NET), data, out=run, checkpoint_every=0, **fields)
    steps = (event for event in events if isinstance(event, Step))
    assert len(list(islice(steps, after))) == after
    events.close()  # type: ignore[attr-defined]


def test_two_processes_do_not_go_on_with_one_run(digits: Splits, tmp_path: Path) -> None:
    run = tmp_path / "run"
    events = train(network(NET), digits, out=run, checkpoint_every=0, **MANY)
    assert len(list(islice((event for event in events if isinstance(event, Step)), 4))) == 4
    before = (run / "log.jsonl").read_bytes()
    other = subprocess.run([sys.executable, "-m", "striate", "resume", run], capture_output=True, text=True)
    assert other.returncode == 2
    assert other.stderr.startswith(f"Cannot go on with {run}: another process is training it now.")
    assert (run / "log.jsonl").read_bytes() == before, "nothing was written"
    assert listed(run)
    events.close()  # type: ignore[attr-defined]
    other = subprocess.run([sys.executable, "-m", "striate", "resume", run], capture_output=True, text=True)
    assert other.returncode == 0, other.stderr


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_with_the_same_bits(digits: Splits, tmp_path: Path, way: str) -> None:
    fields = MANY | WAYS[way]
    whole = list(train(network(NET), digits, out=tmp_path / "whole", **fields))
    steps = next(event.steps for event in whole if isinstance(event, Started))
    for after in (2, steps // 2, steps):
        run = tmp_path / f"cut-{after}"
        cut_off(run, digits, after, **fields)
        events = list(resume(run))
        assert isinstance(begun := events[0], Started)
        assert begun.step == after - 1, "nothing was written after the last step was said"
        assert isinstance(events[-1], Done)
        assert equal(run, tmp_path / "whole")
        assert losses(run) == losses(tmp_path / "whole")
        assert not (run / "checkpoints").exists()
        assert (run / "recipe.json").read_text() == (tmp_path / "whole" / "recipe.json").read_text()


@pytest.mark.parametrize("batch", [16, 1])
def test_streamed_images_too_and_damaged_ones(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """One of 40 photos is cut short: it is left out, and with it, at a batch size of 1, a whole batch."""
    for place in sorted((shared / "hymenoptera").glob("train/*/*.jpg"))[105:145]:
        there = tmp_path / "photos" / "train" / place.parent.name / place.name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(place.read_bytes())
    shutil.copytree(tmp_path / "photos" / "train", tmp_path / "photos" / "val")
    there.write_bytes(there.read_bytes()[:3000])
    monkeypatch.setattr("striate.data.memory.free", lambda: 1000)
    monkeypatch.setattr("striate.training.lesson.free", lambda: 1 << 40)
    photos = open_data(tmp_path / "photos", size=32)
    assert "streamed" in photos.told
    fields: dict[str, Any] = {"epochs": 3, "batch_size": batch, "threads": 1, "augment": "resized-crop, flip"}
    net = Seq(Conv(8, 3, 2, 1), Relu, Conv(16, 3, 2, 1), Relu, Dropout(0.2), Linear(len(photos.classes)))
    said = list(train(network(net, "3x32x32"), photos, out=tmp_path / "whole", validation=0, **fields))
    assert [event.text.partition(":")[0] for event in said if isinstance(event, Warning)] == ["Left out"]
    steps = sum(isinstance(event, Step) for event in said)
    for after in (steps // 3 - 1, steps // 2, steps - 2):
        run = tmp_path / f"cut-{after}"
        events = train(network(net, "3x32x32"), photos, out=run, checkpoint_every=0, validation=0, **fields)
        assert len(list(islice((event for event in events if isinstance(event, Step)), after))) == after
        events.close()  # type: ignore[attr-defined]
        assert isinstance(done := list(resume(run))[-1], Done)
        assert done.finished
        assert not (run / "checkpoints").exists()
        assert equal(run, tmp_path / "whole")


def test_stopped_by_hand_and_gone_on_with(digits: Splits, tmp_path: Path) -> None:
    for _ in train(network(NET), digits, out=tmp_path / "whole", **MANY):
        pass
    control, run = Control(), tmp_path / "run"
    for event in train(network(NET), digits, out=run, control=control, **MANY):
        if isinstance(event, Step) and event.step == 7:  # in the first epoch
            control.stop()
    assert isinstance(event, Done)
    assert (event.finished, event.step, event.kept) == (False, 7, 1)
    assert (run / "model.safetensors").exists()
    assert isinstance(list(resume(run))[-1], Done)
    assert equal(run, tmp_path / "whole")


def test_the_last_two_stay_and_one_is_written_when_asked(digits: Splits, tmp_path: Path) -> None:
    control, found = Control(), []
    for event in train(network(NET), digits, out=tmp_path / "run", control=control, **MANY):
        if isinstance(event, Step) and event.step in (3, 9, 14):
            control.checkpoint()
        if isinstance(event, Checkpoint):
            found.append(event.step)
            assert event.path in listed(tmp_path / "run")
            assert len(listed(tmp_path / "run")) <= KEPT
    assert found == [0, 3, 9, 14]


def flip_a_bit(path: Path, seed: int = 0) -> None:
    content = bytearray(path.read_bytes())
    place = random.Random(seed).randrange(len(content))
    content[place] ^= 1 << (seed % 8)
    path.write_bytes(content)


def test_a_flipped_bit_is_found_and_the_one_before_used(digits: Splits, tmp_path: Path) -> None:
    for _ in train(network(NET), digits, out=tmp_path / "whole", **MANY):
        pass
    for seed in range(4):
        run = tmp_path / f"run-{seed}"
        cut_off(run, digits, 12 + seed, **MANY)
        newest, before = listed(run)
        flip_a_bit(newest, seed)
        events = list(resume(run))
        said = next(event.text for event in events if isinstance(event, Warning))
        step = int(before.name.partition("-")[0])
        assert said == (
            f"Cannot read {newest}: it is damaged, its digest is no longer the one in its name. "
            f"Gone on from step {step} instead."
        )
        assert equal(run, tmp_path / "whole")


def test_a_name_with_a_sha256_is_read_too(digits: Splits, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cut_off(run, digits, 12, **MANY)
    for path in listed(run):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        path.rename(path.with_stem(f"{path.stem.partition('-')[0]}-{digest}"))
    newest, _ = listed(run)
    assert read(run)[1] == []
    flip_a_bit(newest, 3)
    snapshot, [said] = read(run)
    assert snapshot is not None
    assert f"{newest}: it is damaged" in said


def test_cut_short_both_is_refused_and_nothing_is_touched(digits: Splits, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cut_off(run, digits, 12, **MANY)
    for path in listed(run):
        path.write_bytes(path.read_bytes()[:-100])
    there = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(CannotRead, match="none of its 2 checkpoints is whole"):
        resume(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == there


def test_what_is_half_written_is_no_checkpoint(digits: Splits, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cut_off(run, digits, 5, **MANY)
    (run / "checkpoints" / ".0000000006-abc.safetensors.1234.part").write_bytes(b"half")
    assert isinstance(list(resume(run))[-1], Done)
    assert not (run / "checkpoints").exists()


def test_who_cannot_be_gone_on_with(digits: Splits, tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="it is no run") as refused:
        resume(tmp_path / "nowhere")
    assert "A run is the folder that striate train made" in str(refused.value)
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "log.jsonl").write_text("")
    with pytest.raises(CannotRead, match=f"striate train NET --data PATH --recipe {tmp_path}/young"):
        resume(tmp_path / "young")
    for _ in train(network(NET), digits, out=tmp_path / "done", **MANY | {"epochs": 1}):
        pass
    with pytest.raises(CannotTrain, match="it is finished") as finished:
        resume(tmp_path / "done")
    assert f"striate train {tmp_path}/done" in str(finished.value)


def test_a_run_that_cannot_go_on_from_its_beginning_stays_as_it_is(digits: Splits, tmp_path: Path) -> None:
    """Killed before its first step, and what goes on with it fails: the folder is not ours to take away then."""
    events = train(network(NET), digits, out=tmp_path / "run", **MANY)
    assert isinstance(next(events), Started)
    first = next(event.path for event in events if isinstance(event, Checkpoint))
    kept = first.name, first.read_bytes()
    events.close()  # type: ignore[attr-defined]
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / kept[0]).write_bytes(kept[1])
    on = resume(tmp_path / "run")
    assert isinstance(next(on), Started)
    on.close()  # type: ignore[attr-defined]
    assert listed(tmp_path / "run")
    assert isinstance(list(resume(tmp_path / "run"))[-1], Done)


def test_other_images_are_refused(digits: Splits, tmp_path: Path) -> None:
    from dataclasses import replace

    run = tmp_path / "run"
    cut_off(run, digits, 5, **MANY)
    other = digits.train.labels.clone()
    other[0] = (other[0] + 1) % 10
    with pytest.raises(CannotTrain, match="the images in digits are not those it learnt from"):
        resume(run, replace(digits, train=replace(digits.train, labels=other)))
    letters = tuple("abcdefghij")
    with pytest.raises(CannotTrain, match="the images in digits are not those it learnt from") as refused:
        resume(run, replace(digits, train=replace(digits.train, classes=letters)))
    assert refused.value.why == "They are of 10 classes, a, b, c …; those were of 10 classes, 0, 1, 2 …."
    two = replace(digits.train, classes=("a", "b"), labels=digits.train.labels % 2)
    with pytest.raises(CannotTrain, match=f"begin a new run with its model: striate train {run} --data PATH"):
        resume(run, replace(digits, train=two))
    made = tmp_path / "made"
    cut_off(made, replace(digits, origin=""), 5, **MANY)
    with pytest.raises(CannotTrain, match="no file says where they are"):
        resume(made)
    assert isinstance(list(resume(made, digits))[-1], Done)


CHILD = """
import sys; sys.path[:0] = ["tests"]
from pathlib import Path
import striate.data.memory
from small import network
from training.test_resuming import MANY, NET
from striate.data import open_data
from striate.training import Started, Step, resume, train
run, way = Path(sys.argv[1]), sys.argv[2]
fields = MANY | {"epochs": 40, "ema": 0.99}
data = open_data("digits")
begun = train(network(NET), data, out=run, checkpoint_every=0, **fields) if way == "train" else resume(run)
for event in begun:
    if isinstance(event, Started | Step):
        print(event.step, flush=True)
print("done", flush=True)
"""


def test_killed_ten_times_at_any_moment_and_gone_on_with(digits: Splits, tmp_path: Path) -> None:
    """SIGKILL to a real process, ten times: the weights in the end are those of a run that nobody touched."""
    whole, run, chance = tmp_path / "whole", tmp_path / "run", random.Random(7)
    for _ in train(network(NET), digits, out=whole, **MANY | {"epochs": 40, "ema": 0.99}):
        pass
    way, kills, furthest = "train", 0, 0
    while kills < 10:
        command = [sys.executable, "-c", CHILD, str(run), way]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            begun = process.stdout.readline().strip()
            assert begun.isdigit(), "it was cut off, not finished"
            assert int(begun) <= furthest, "a checkpoint is of a step that was said"
            until = chance.randrange(2, 30)
            for line in islice(process.stdout, until):
                furthest = max(furthest, int(line))
            time.sleep(chance.random() * 0.01)  # anywhere in a step, or in a write
            process.send_signal(signal.SIGKILL)
            furthest = max([furthest, *(int(line) for line in process.stdout if line.strip().isdigit())])
        way, kills = "resume", kills + 1
    assert furthest > 10
    assert isinstance(list(resume(run))[-1], Done)
    assert equal(run, whole)
    assert losses(run) == losses(whole)


def test_a_full_disk_ends_it_and_the_checkpoint_before_stands(digits: Splits, tmp_path: Path) -> None:
    """Files may grow to 100 KiB and no further: the first checkpoint fits, later ones, with moments, do not."""
    run = tmp_path / "run"
    small = len(b"".join(tensor.numpy().tobytes() for tensor in network(NET).state_dict().values()))
    limit = (2 * small + 40_000) // 1024
    limited = f'ulimit -f {limit}; exec "$0" -c "$1" "$2" train'
    done = subprocess.run(["bash", "-c", limited, sys.executable, CHILD, run], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Cannot write" in done.stderr
    assert "Make room there, or write to another disk" in done.stderr


def events_until(events: Iterator[Event], kind: type) -> list[Event]:
    found = []
    for event in events:
        found.append(event)
        if isinstance(event, kind):
            break
    return found


def test_checkpoints_come_after_a_model_is_kept_too(digits: Splits, tmp_path: Path) -> None:
    """Cut off right after an epoch: the model on the disk is the one the checkpoint knows of, or is made anew."""
    for _ in train(network(NET), digits, out=tmp_path / "whole", **MANY):
        pass
    events = train(network(NET), digits, out=tmp_path / "run", checkpoint_every=0, **MANY)
    events_until(events, Kept)
    events.close()  # type: ignore[attr-defined]
    assert isinstance(list(resume(tmp_path / "run"))[-1], Done)
    assert equal(tmp_path / "run", tmp_path / "whole")
