"""Steps that are captured as CUDA graphs, against steps said in full; and what is said where they cannot be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from small import network
from striate.blueprint import CannotTrain, Conv, Dropout, GlobalPool, Linear, MaxPool, Relu, Seq
from striate.data import Images, Preprocessing, Splits
from striate.nn import load
from striate.training import Checkpoint, Control, Done, Step, Warning, captured, resume, train
from striate.training.quickened import LargestOfAll, quickened

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
PIXELS = torch.randint(256, (210, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
RULE = Preprocessing.fitting(1, (8, 8), None).measured(PIXELS)
LABELS, NAMES = torch.arange(210) % 10, tuple("0123456789")
DATA = Splits(Images(PIXELS, LABELS, NAMES, "noise"), Images(PIXELS[:10], LABELS[:10], NAMES, "noise"), RULE)
HOW = {"epochs": 4, "batch_size": 16, "validation": 0.0, "precision": "float32", "lr": 0.01}


def steps(model, **fields) -> list[Step]:
    return [event for event in train(model, DATA, **HOW | fields) if isinstance(event, Step)]


def warnings(**fields) -> list[str]:
    return [event.text for event in train(network(), DATA, **HOW | fields) if isinstance(event, Warning)]


def test_on_a_processor_nothing_is_captured_and_who_asked_for_it_is_told() -> None:
    assert warnings(step="captured", device="cpu") == ["Steps are not captured: it runs on cpu."]
    assert warnings(device="cpu") == []


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor as on a GPU, but for the graph: a step is said in full, and its loss is read late."""
    monkeypatch.setattr(captured, "why_not", lambda course: "")
    monkeypatch.setattr(captured.Captured, "__call__", lambda self, x, y: self.learn(x, y))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("fields", [{}, {"optimizer": "muon", "clip": 1.0, "ema": 0.9}])
def test_read_late_it_is_the_same_training(fields: dict[str, object]) -> None:
    one, other = network(), network()
    mine, plain = steps(one, **fields), steps(other, step="plain", **fields)
    assert mine == plain
    assert same(one, other)
    assert [step.step for step in mine] == list(range(1, 57))


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("stop", [1, 5, 27])
def test_stopped_while_losses_are_under_way_it_goes_on_to_the_same_bits(tmp_path: Path, stop: int) -> None:
    whole, control = network(), Control()
    steps(whole)
    for event in train(network(), DATA, **HOW, out=tmp_path / "run", control=control):
        if isinstance(event, Step):
            last = event.step
            if event.step == stop:
                control.stop()
    assert stop <= last <= stop + captured.BEHIND
    on = list(resume(tmp_path / "run", DATA))
    assert [event.step for event in on if isinstance(event, Step)] == list(range(last + 1, 57))
    assert same(load(tmp_path / "run" / "model.safetensors"), whole)


@pytest.mark.usefixtures("late")
def test_a_checkpoint_has_every_loss_of_its_steps(tmp_path: Path) -> None:
    told, plain = [], [step.loss for step in steps(network(), step="plain")]
    for event in train(network(), DATA, **HOW, out=tmp_path / "run", checkpoint_every=0):
        if isinstance(event, Step):
            told.append(event.step)
        elif isinstance(event, Checkpoint):
            assert event.step <= len(told)
            with safe_open(event.path, "pt") as opened:
                said = json.loads(opened.metadata()["striate"])["state"]
            assert said["step"] == event.step
            first = 14 * ((event.step - 1) // 14) if event.step % 14 or said["seen"] else event.step
            assert said["losses"] == pytest.approx(15 * sum(plain[first : event.step]))


@pytest.mark.usefixtures("late")
def test_a_loss_that_is_no_number_is_found_late_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match=r"Cannot go on from step \d+: the loss ") as refused:
        list(train(network(), DATA, **HOW | {"lr": 1e3, "epochs": 20}, optimizer="sgd", out=tmp_path / "run"))
    said = re.search(r"step (\d+): .* It was batch (\d+) of 14 in epoch (\d+): images ", str(refused.value), re.DOTALL)
    assert said is not None
    assert int(said[1]) == int(said[2]) + 14 * (int(said[3]) - 1)
    if (tmp_path / "run" / "model.safetensors").exists():
        assert all(p.isfinite().all() for p in load(tmp_path / "run" / "model.safetensors").parameters())


def test_layers_said_otherwise_give_the_same_and_share_their_weights() -> None:
    parts = Seq(conv=Conv(4, 3), pool=MaxPool(2, fit="floor"), conv2=Conv(4, 3), last=GlobalPool("max"))
    model = network(Seq(inner=parts, fc=Linear(3)), "1x13x13")
    twin = quickened(model)
    assert twin is not model
    assert isinstance(model.inner.last, torch.nn.AdaptiveMaxPool2d)
    assert isinstance(twin.inner.last, LargestOfAll)
    assert twin.inner.conv is model.inner.conv
    x = torch.randn(5, 1, 13, 13)
    outputs = []
    for each in (model, twin):
        model.zero_grad()
        y = each(x)
        y.square().sum().backward()
        outputs.append((y.detach(), [p.grad.clone() for p in model.parameters()]))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_network_with_nothing_to_say_otherwise_is_itself() -> None:
    model = network()
    assert quickened(model) is model


@gpu
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop", "muon"])
def test_the_same_is_learnt_as_by_steps_said_in_full(optimizer: str) -> None:
    one, other = network(), network()
    mine = steps(one, optimizer=optimizer, clip=1.0, ema=0.9, device="cuda")
    plain = steps(other, optimizer=optimizer, clip=1.0, ema=0.9, device="cuda", step="plain")
    assert [(s.step, s.epoch, s.lr, s.examples) for s in mine] == [(s.step, s.epoch, s.lr, s.examples) for s in plain]
    assert {s.examples for s in mine} == {15}
    torch.testing.assert_close([s.loss for s in mine], [s.loss for s in plain], rtol=1e-2, atol=1e-3)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-3)


@gpu
def test_two_sizes_of_batch_are_two_graphs() -> None:
    assert {s.examples for s in steps(network(), batch_size=20, device="cuda")} == {19, 20}


@gpu
def test_on_a_gpu_as_on_the_processor() -> None:
    there = [s.loss for s in steps(network(), device="cuda", augment="padded-crop(1), flip")]
    here = [s.loss for s in steps(network(), device="cpu", augment="padded-crop(1), flip")]
    torch.testing.assert_close(there[:10], here[:10], rtol=1e-2, atol=1e-3)


@gpu
def test_a_network_that_asks_what_came_out_is_run_in_full_and_it_is_said() -> None:
    class Asking(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum().item() > 1e9 else x * 1

    model = network()
    model.act1 = Asking()
    events = list(train(model, DATA, **HOW, device="cuda"))
    said = [event.text for event in events if isinstance(event, Warning)]
    assert len(said) == 1
    assert said[0].startswith("Steps are not captured: ")
    assert isinstance(events[-1], Done)
    assert events[-1].finished


@gpu
def test_dropout_draws_anew_at_each_captured_step() -> None:
    model = network(Seq(conv=Conv(8, 3), act=Relu, drop=Dropout(0.5), pool=GlobalPool(), fc=Linear(10)))
    losses = [s.loss for s in steps(model, device="cuda", lr=1e-9, epochs=8)]
    of_batches = torch.tensor(losses).view(8, -1)
    assert of_batches.mean(1).std() > 1e-4  # the weights hardly move: what differs was drawn


@gpu
@pytest.mark.parametrize("stop", [5, 23])
def test_a_run_is_gone_on_with(tmp_path: Path, stop: int) -> None:
    control, whole = Control(), network()
    assert isinstance([*train(whole, DATA, **HOW, device="cuda", ema=0.9)][-1], Done)
    for event in train(network(), DATA, **HOW, device="cuda", ema=0.9, out=tmp_path / "run", control=control):
        if isinstance(event, Step) and event.step == stop:
            control.stop()
    on = list(resume(tmp_path / "run", DATA, device="cuda"))
    assert isinstance(on[-1], Done)
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    numbers = [line["step"] for line in logged if line["event"] == "step"]
    assert numbers == list(range(1, 57))
    again = load(tmp_path / "run" / "model.safetensors")
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=2e-2, atol=2e-3)


@gpu
def test_checkpoints_wait_for_the_losses_under_way(tmp_path: Path) -> None:
    events = list(train(network(), DATA, **HOW, device="cuda", out=tmp_path / "run", checkpoint_every=0))
    steps = 0
    for event in events:
        steps = event.step if isinstance(event, Step) else steps
        if isinstance(event, Checkpoint):
            assert event.step <= steps


@gpu
def test_a_loss_that_is_no_number_ends_it_though_it_is_read_late() -> None:
    with pytest.raises(CannotTrain, match=r"Cannot go on from step \d+: the loss "):
        steps(network(), device="cuda", lr=1e3, optimizer="sgd", epochs=20)
