"""epochs.csv and TensorBoard's files: what is in them is what happened, once, also where a run was gone on with."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import pytest

from small import network
from striate.blueprint import CannotTrain, NotFound
from striate.data import Splits
from striate.training import Checkpoint, Control, Epoch, Event, Step, resume, train
from striate.training.logs import table

BOTH = {"logs": ("csv", "tensorboard"), "epochs": 3, "threads": 1, "batch_size": 200}


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "epochs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), {"scalars": 0})
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def hold(run: Path, events: list[Event]) -> None:
    """Both logs say what these events say, each of them once."""
    steps, epochs = [e for e in events if isinstance(e, Step)], [e for e in events if isinstance(e, Epoch)]
    assert [int(row["epoch"]) for row in rows(run)] == [epoch.epoch for epoch in epochs]
    assert [float(row["train_loss"]) for row in rows(run)] == [epoch.train_loss for epoch in epochs]
    assert [float(row["top1"]) for row in rows(run)] == [epoch.top1 for epoch in epochs]
    board = read(run)
    assert board["train/loss"] == [(step.step, pytest.approx(step.loss)) for step in steps]
    assert board["train/lr"] == [(step.step, pytest.approx(step.lr)) for step in steps]
    assert board["held_out/top1"] == [(epoch.step, pytest.approx(epoch.top1)) for epoch in epochs]


def test_both_have_what_happened(digits: Splits, tmp_path: Path) -> None:
    events = list(train(network(), digits, out=tmp_path / "a", **BOTH))
    hold(tmp_path / "a", events)
    assert len(rows(tmp_path / "a")) == 3


def test_the_table_is_whole_after_every_epoch(digits: Splits, tmp_path: Path) -> None:
    for event in train(network(), digits, out=tmp_path / "a", **BOTH):
        if isinstance(event, Epoch):
            assert len(rows(tmp_path / "a")) == event.epoch


def test_a_run_gone_on_with_has_nothing_twice(digits: Splits, tmp_path: Path) -> None:
    control, run, step = Control(), tmp_path / "a", 0
    for event in train(network(), digits, out=run, control=control, **BOTH):
        step = event.step if isinstance(event, Step) else step
        if isinstance(event, Step) and step == 9:
            control.checkpoint()
        if isinstance(event, Checkpoint) and event.step == 9:
            shutil.copytree(run, tmp_path / "cut")  # as after a cut right now
        if step == 12 and not (tmp_path / "cut2").exists():
            shutil.copytree(run, tmp_path / "cut2")  # three steps and perhaps an epoch later than the checkpoint
    whole = _logged(run)
    for cut in ("cut", "cut2"):
        on = list(resume(tmp_path / cut, digits))
        assert on
        hold(tmp_path / cut, _logged(tmp_path / cut))
        assert [e.loss for e in _logged(tmp_path / cut) if isinstance(e, Step)] == [
            e.loss for e in whole if isinstance(e, Step)
        ]


def _logged(run: Path) -> list[Event]:
    from striate.training.events import from_line

    return [event for line in (run / "log.jsonl").read_text().splitlines() if (event := from_line(line))]


def test_only_what_was_wanted(digits: Splits, tmp_path: Path) -> None:
    for _ in train(network(), digits, out=tmp_path / "a", epochs=1, logs=("csv",)):
        pass
    assert (tmp_path / "a" / "epochs.csv").exists()
    assert not (tmp_path / "a" / "tensorboard").exists()


def test_a_run_that_came_to_nothing_leaves_nothing(digits: Splits, tmp_path: Path) -> None:
    events = train(network(), digits, out=tmp_path / "a", **BOTH)
    next(events)
    assert (tmp_path / "a" / "tensorboard").is_dir()
    events.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "a").exists()


def test_an_unknown_log_and_a_package_that_is_not_there(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match=r'No log "tensorbord"\. Near: tensorboard'):
        train(network(), digits, out=tmp_path / "a", logs=("tensorbord",))
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(CannotTrain, match="tensorboard is not there") as refused:
        train(network(), digits, out=tmp_path / "a", logs=("tensorboard",))
    assert "pip install 'striate[tensorboard]'" in str(refused.value)
    assert not (tmp_path / "a").exists()


def test_what_there_is_not_is_empty() -> None:
    assert table([Epoch(1, 5, 0.5, None, None, 2.0, 10.0)]).splitlines() == [
        "epoch,step,train_loss,loss,top1,seconds,rate",
        "1,5,0.5,,,2.0,10.0",
    ]
