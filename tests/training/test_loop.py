"""The loop: what it learns, what it says, and what it does when told to stop or when numbers are no longer numbers."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from small import SMALL, network
from striate import nn
from striate.blueprint import BatchNorm, CannotTrain, CannotWrite, GlobalPool, Linear, NotFound, Seq, Tap
from striate.data import Splits
from striate.judging import evaluate
from striate.training import Checkpoint, Control, Done, Epoch, Event, Kept, Started, Step, Warning, progress, train


def states(model: nn.Network) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def test_digits_are_learnt_and_the_run_says_so(learnt: Path, digits: Splits) -> None:
    model = nn.load(learnt / "model.safetensors")
    metrics = evaluate(model, digits)
    assert metrics.top1 >= 0.95
    assert model.metadata["classes"] == list("0123456789")
    assert model.metadata["provenance"]["recipe"]["epochs"] == 12
    assert sorted(path.name for path in learnt.iterdir()) == [
        "curves.png",
        "log.jsonl",
        "model.safetensors",
        "recipe.json",
    ]
    assert (learnt / "curves.png").read_bytes().startswith(b"\x89PNG")
    recipe = json.loads((learnt / "recipe.json").read_text())
    assert (recipe["epochs"], recipe["threads"], recipe["precision"]) == (12, 1, "float32")


def test_the_log_has_every_event_a_line(learnt: Path) -> None:
    lines = [json.loads(line) for line in (learnt / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert (lines[0]["event"], lines[-1]["event"]) == ("started", "done")
    assert [step["step"] for step in steps] == list(range(1, lines[0]["steps"] + 1))
    assert sum(line["event"] == "epoch" for line in lines) == 12
    assert steps[-1]["loss"] < 0.2 < 2 < steps[0]["loss"]
    assert lines[-1]["finished"] is True


def test_shuffled_labels_cannot_be_learnt(digits: Splits) -> None:
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))
    shuffled = replace(digits, train=replace(digits.train, labels=digits.train.labels[order]))
    model = network()
    for _ in train(model, shuffled, epochs=6, threads=1):
        pass
    assert evaluate(model, digits).top1 < 0.3


def test_the_test_images_are_never_looked_at(digits: Splits) -> None:
    blind = replace(digits, test=replace(digits.test, pixels=torch.empty(0), labels=torch.empty(0)))
    events = list(train(network(), blind, epochs=1, threads=1))
    assert isinstance(events[-1], Done)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(digits: Splits) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        model = network(seed=seed)
        for _ in train(model, digits, epochs=2, seed=seed, augment="padded-crop(1)", threads=1):
            pass
        return states(model)

    first, again, other = weights(5), weights(5), weights(6)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_the_order_of_events(digits: Splits, tmp_path: Path) -> None:
    events = list(train(network(), digits, out=tmp_path / "a", epochs=2, batch_size=500, threads=1))
    kinds = [type(event) for event in events if not isinstance(event, Checkpoint)]  # they come when they are written
    assert kinds[:5] == [Started, Step, Step, Step, Epoch]
    assert kinds[-1] == Done
    assert kinds.count(Kept) >= 1
    start, epoch, done = events[0], next(e for e in events if isinstance(e, Epoch)), events[-1]
    assert isinstance(start, Started)
    assert isinstance(done, Done)
    assert (start.examples, start.validation, start.steps, start.out) == (1293, 144, 6, tmp_path / "a")
    assert epoch.top1 is not None
    assert done.step == 6


def test_without_a_share_held_out_the_last_epoch_is_kept(digits: Splits, tmp_path: Path) -> None:
    events = list(train(network(), digits, out=tmp_path / "a", epochs=2, validation=0, threads=1))
    assert [e.top1 for e in events if isinstance(e, Epoch)] == [None, None]
    assert isinstance(done := events[-1], Done)
    assert done.kept == 2


def test_what_is_saved_is_the_epoch_that_is_named(digits: Splits, tmp_path: Path) -> None:
    model = network()
    for event in train(model, digits, out=tmp_path / "a", epochs=3, threads=1):
        if isinstance(event, Kept):
            at = event.epoch, states(model)
    assert nn.load(tmp_path / "a" / "model.safetensors").metadata["provenance"]["epoch"] == at[0]
    assert all(map(torch.equal, states(nn.load(tmp_path / "a" / "model.safetensors")), at[1]))


def test_stopped_after_the_step_under_way_and_saved(digits: Splits, tmp_path: Path) -> None:
    control, events = Control(), []
    for event in train(network(), digits, out=tmp_path / "a", epochs=50, control=control, threads=1):
        events.append(event)
        if isinstance(event, Step) and event.step == 30:
            control.stop()
    assert isinstance(done := events[-1], Done)
    assert (done.finished, done.step, done.epoch) == (False, 30, 2)
    assert nn.load(tmp_path / "a" / "model.safetensors").metadata["provenance"]["epoch"] == done.kept


def test_paused_and_resumed_from_another_thread(digits: Splits) -> None:
    control = Control()
    control.pause()
    threading.Timer(0.3, control.resume).start()
    start, first = time.monotonic(), 0.0
    for event in train(network(), digits, epochs=1, control=control, threads=1):
        if isinstance(event, Step) and not first:
            first = time.monotonic() - start
    assert first >= 0.3


def test_the_learning_rate_can_be_taken_over(digits: Splits) -> None:
    control = Control(lr=1e-5)
    rates = {e.lr for e in train(network(), digits, epochs=1, control=control, threads=1) if isinstance(e, Step)}
    assert rates == {1e-5}


def test_numbers_that_are_no_longer_numbers_stop_it_and_the_best_stays(digits: Splits, tmp_path: Path) -> None:
    model, file, before = network(), tmp_path / "a" / "model.safetensors", b""
    events: list[Event] = []

    def damaged() -> None:
        nonlocal before
        for event in train(model, digits, out=tmp_path / "a", epochs=4, batch_size=200, threads=1):
            events.append(event)
            if isinstance(event, Kept) and not before:
                before = file.read_bytes()
                with torch.no_grad():
                    model.get_submodule("conv2").weight[3, 2] = float("nan")

    with pytest.raises(CannotTrain) as refused:
        damaged()
    said = str(refused.value).splitlines()
    step = max(e.step for e in events if isinstance(e, Step)) + 1
    assert said[0] == f"Cannot go on from step {step}: the loss is nan."
    assert "conv2 is the first layer whose weight is not finite" in said[1]
    assert "model.safetensors still holds epoch 1 (" in said[2]
    assert f"It was batch {(step - 1) % 7 + 1} of 7 in epoch 2: images " in said[1]
    assert not any(isinstance(event, Warning) for event in events), "what is raised is said once"
    assert file.read_bytes() == before
    last = json.loads((tmp_path / "a" / "log.jsonl").read_text().splitlines()[-1])
    assert last == {"event": "warning", "text": str(refused.value)}


def test_a_model_with_a_statistic_that_is_no_number_is_not_kept_and_said_so(digits: Splits, tmp_path: Path) -> None:
    model = network(Seq(norm=BatchNorm(), fc=Linear(10)))
    model.norm.running_var.fill_(float("inf"))
    events = list(train(model, digits, epochs=1, out=tmp_path / "run"))
    assert [e.text for e in events if isinstance(e, Warning)] == [
        "The model of epoch 1 is not kept: norm.running_var is not finite."
    ]
    assert not any(isinstance(event, Kept) for event in events)


def test_a_leap_of_the_loss_stops_it_within_a_step_and_the_best_stays(digits: Splits, tmp_path: Path) -> None:
    """Weights that are knocked about, as a bad batch or a bit in memory does it: finite, and far off."""
    model, file, leapt, before = network(), tmp_path / "a" / "model.safetensors", 0, b""

    def knocked() -> None:
        nonlocal leapt, before
        for event in train(model, digits, out=tmp_path / "a", epochs=6, batch_size=100, lr=0.01, threads=1):
            assert not leapt or not isinstance(event, Step), "no step is made of it"
            if isinstance(event, Step) and event.epoch == 5:
                leapt, before = event.step, file.read_bytes()
                with torch.no_grad():
                    model.get_submodule("fc").weight.mul_(-300)

    with pytest.raises(CannotTrain) as refused:
        knocked()
    said = str(refused.value).splitlines()
    assert said[0].startswith(f"Cannot go on from step {leapt + 1}: the loss leapt to ")
    assert "fc has the largest gradient" in said[1] or "conv" in said[1]
    assert "or clip the gradient: --set clip=1." in said[2]
    assert "model.safetensors still holds epoch 4 (" in said[2]
    assert file.read_bytes() == before


def test_one_hard_image_at_a_time_is_no_leap(digits: Splits) -> None:
    few = replace(digits, train=digits.train[slice(0, 400)])
    events = train(
        network(), few, epochs=6, batch_size=1, lr=0.01, optimizer="sgd", momentum=0, validation=0, threads=1
    )
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert max(losses[1200:]) > 10 * sum(losses[1200:]) / len(losses[1200:]), "there are hard ones"


def test_a_layer_that_overflows_is_named(digits: Splits) -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("conv1").weight.fill_(3e38)
    with pytest.raises(CannotTrain, match="conv1 is the first layer whose output is not finite"):
        list(train(model, digits, epochs=1, threads=1))


def test_a_rate_far_too_high_is_refused_with_a_smaller_one(digits: Splits) -> None:
    with pytest.raises(CannotTrain, match=r"A smaller learning rate may hold: --lr "):
        list(train(network(), digits, epochs=3, optimizer="sgd", lr=1000, warm_up=0, threads=1))


def test_further_ways_out_are_learnt_too(digits: Splits) -> None:
    aux = Seq(GlobalPool(), Linear(10))
    model = network(Seq(*list(SMALL)[:2], Tap("aux", aux), fc=Linear(10)))
    before = model.get_submodule("2.aux.1").weight.detach().clone()
    for _ in train(model, digits, epochs=1, threads=1):
        pass
    assert not torch.equal(before, model.get_submodule("2.aux.1").weight)
    assert evaluate(model, digits).top1 > 0.3


@pytest.mark.parametrize(
    ("blueprint", "volume", "fields", "says"),
    [
        (SMALL, "1x16x16", {}, "Cannot train on digits: the network reads 1×16×16, the images are 1×8×8."),
        (Seq(Linear(7)), "1x8x8", {}, "Cannot train on digits: the network gives 7, there are 10 classes."),
        (
            Seq(Linear(10), BatchNorm()),
            "1x8x8",
            {"batch_size": 1},
            "Cannot train with batches of one image: 1 normalises over the batch.",
        ),
    ],
)
def test_what_does_not_go_together(
    digits: Splits, tmp_path: Path, blueprint: Seq, volume: str, fields: dict[str, int], says: str
) -> None:
    with pytest.raises(CannotTrain) as refused:
        train(network(blueprint, volume), digits, out=tmp_path / "a", **fields)
    assert str(refused.value).splitlines()[0] == says
    assert not (tmp_path / "a").exists()


def test_more_than_memory_is_refused_with_a_batch_that_fits(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.training.lesson.free", lambda: 2 * 10**6)
    with pytest.raises(CannotTrain) as refused:
        train(network(), digits, batch_size=1024)
    fact, ways = str(refused.value).splitlines()
    assert fact.startswith("Cannot train with batches of 1024 images of 1×8×8: ")
    assert fact.endswith(" MiB are wanted, 1.91 MiB are free.")
    fits = int(ways.removeprefix("    A batch size of ").removesuffix(" fits."))
    assert fits > 8
    train(network(), digits, batch_size=fits)


def test_a_module_of_somebody_elses_trains_but_is_not_saved(digits: Splits, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with pytest.raises(CannotTrain, match="Cannot save this network"):
        train(model, digits, out=tmp_path / "a")
    events = list(train(model, digits, epochs=3, threads=1))
    assert isinstance(done := events[-1], Done)
    assert done.top1 is not None
    assert done.top1 > 0.7


def test_a_folder_that_is_there_stays_and_one_that_cannot_be_is_refused_first(digits: Splits, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").write_text("mine")
    start = next(train(network(), digits, out=tmp_path / "run", epochs=1))
    assert isinstance(start, Started)
    assert start.out == tmp_path / "run-3"
    assert (tmp_path / "run-2").read_text() == "mine"
    with pytest.raises(CannotWrite, match="Cannot make a run's folder") as refused:
        train(network(), digits, out=tmp_path / "run-2" / "a")
    assert "Choose another place" in str(refused.value)


def test_an_unknown_field_is_named_before_anything_is_done(digits: Splits, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Near: batch_size"):
        train(network(), digits, out=tmp_path / "a", batchsize=3)
    assert not (tmp_path / "a").exists()


def test_a_norm_over_all_processes_is_nothing_for_one_and_it_says_so(digits: Splits) -> None:
    for synced in (True, False):
        events = train(network(), digits, epochs=1, batch_size=500, sync_norm=synced)
        said = [event.text for event in events if isinstance(event, Warning)]
        assert said == ["sync_norm changes nothing: one process has the whole of every batch."] * synced


def test_threads_are_given_back(digits: Splits) -> None:
    before = torch.get_num_threads()
    events = train(network(), digits, epochs=1, threads=before + 1)
    next(events)
    assert torch.get_num_threads() == before + 1
    events.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_lenet5_reads_mnist(shared: Path) -> None:
    from striate.training import fit

    fitted = fit("lenet5", shared / "mnist")
    torch.manual_seed(0)
    model = nn.build(fitted.graph)
    for _ in train(model, fitted.data, epochs=4, batch_size=128, lr=5e-3, augment="padded-crop(1)"):
        pass
    assert evaluate(model, fitted.data).top1 >= 0.99


def test_off_a_terminal_a_line_at_least_every_ten_seconds(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 4))  # four seconds from event to event
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    out = io.StringIO()
    steps = sum(isinstance(event, Step) for event in progress.shown(train(network(), digits, epochs=1), out))
    lines = out.getvalue().splitlines()
    assert "; 1 epoch, 21 steps, " in lines[0]
    assert lines[1].startswith("epoch 1/1   step 3/21   loss ")
    assert len(lines) == 2 + steps // 3
    assert lines[-1].startswith("epoch 1/1   loss ")


def test_one_is_not_many() -> None:
    one = Started(1200, 0, ("a", "b"), 3, epochs=1, steps=1, precision="float32", device="cpu")
    assert "; 1 epoch, 1 step, float32" in progress.introduction(one)
    assert progress.introduction(one).startswith("1,200 images to learn from, 2 classes")


def test_bars_send_no_colour_where_none_is_wanted(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = {}
    monkeypatch.setenv("TERM", "xterm-256color")
    for wish in ("", "1"):
        monkeypatch.setenv("NO_COLOR", wish)
        out = Terminal()
        assert list(progress.shown(train(network(), digits, epochs=1, batch_size=400), out))
        said[wish] = out.getvalue()
    colours = "\x1b[1m", "\x1b[2m", "\x1b[3"
    assert any(code in said[""] for code in colours)
    assert not any(code in said["1"] for code in colours)


def test_a_run_that_goes_on_says_from_where_and_what_is_left_of_it() -> None:
    on = Started(1200, 0, ("a", "b"), 3, epochs=4, steps=400, precision="float32", device="cpu", step=300)
    out = io.StringIO()
    epochs = [Epoch(number, 100 * number, 0.5, None, None, 1.0, 10.0) for number in (4,)]
    assert len(list(progress.shown(iter([on, *epochs]), out))) == 2
    assert "400 steps, float32 on cpu; on from step 300" in out.getvalue()
    assert "left" not in out.getvalue()
