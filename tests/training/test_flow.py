"""The flow through layers: against torch by hand, and each alarm raised by a network made to raise it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from small import network
from striate.blueprint import Conv, Linear, Relu, Seq
from striate.data import Splits
from striate.training import Epoch, Step, Warning, train
from striate.training.events import Flow, LayerFlow, as_line, from_line
from striate.training.flow import alarms, looking, measured, middle, news, weights
from striate.training.loop import FLOW_EVERY

GOOD = LayerFlow("conv1", 0.0, 1.0, 5.0, 0.1, 1e-3, None)


def test_what_is_measured_is_what_torch_says() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3))
    with torch.no_grad():
        model[0].bias[1] = -100.0
        model[0].bias[3] = -100.0
    x = torch.randn(16, 1, 8, 8)
    before = weights(model)
    with looking(model) as look:
        loss = model(x).square().mean()
    loss.backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    conv, relu, linear = measured(look, before)
    assert [conv.name, relu.name, linear.name] == ["0", "1", "3"]
    was = torch.nn.functional.conv2d(x, before[model[0]], model[0].bias + 0.1 * model[0].bias.grad)
    assert conv.mean == pytest.approx(was.mean().item(), rel=1e-4)  # before the ReLU writes over it
    assert conv.deviation == pytest.approx(was.std(correction=0).item(), rel=1e-4)
    assert conv.gradient == pytest.approx(model[0].weight.grad.norm().item())
    assert conv.weight == pytest.approx(before[model[0]].norm().item())
    assert conv.update == pytest.approx(0.1 * conv.gradient / conv.weight, rel=1e-4)
    assert (conv.dead, relu.dead, linear.dead) == (None, 0.5, None)
    assert (relu.weight, relu.gradient, relu.update) == (None, None, None)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [
        (replace(GOOD, gradient=1e-9), "vanishing", "its gradient is 2e-10 of its weight, another layer's 0.02"),
        (replace(GOOD, gradient=0.0), "vanishing", "its gradient is 0"),
        (replace(GOOD, gradient=1e4), "exploding", "it is 2e+03 times its weight"),
        (replace(GOOD, gradient=float("nan")), "exploding", "nan times its weight"),
        (replace(GOOD, deviation=float("inf")), "exploding", "its values are not finite"),
        (replace(GOOD, deviation=1e6), "exploding", "their deviation is 1e+06"),
        (replace(GOOD, weight=None, gradient=None, update=None, dead=0.75), "dead", "75% of its channels"),
        (replace(GOOD, update=1e-9), "slow", "a step changes 1e-09 of the weight"),
        (replace(GOOD, update=0.9), "fast", "a step changes 0.9 of the weight"),
    ],
)
def test_each_alarm_names_its_layer(row: LayerFlow, kind: str, says: str) -> None:
    fine = replace(GOOD, name="fc")
    [found] = alarms([replace(row, name="stage1.conv"), fine])
    assert (found.kind, found.layer) == (kind, "stage1.conv")
    assert found.text.startswith("stage1.conv: ")
    assert says in found.text
    assert not alarms([replace(row, name="stage1.conv"), fine], still=["stage1"])
    assert alarms([replace(row, name="stage1.conv"), fine], still=["stage"])


def test_at_the_end_of_a_training_small_steps_are_no_news() -> None:
    over = [replace(GOOD, update=1e-9), replace(GOOD, gradient=0.0)]
    assert not alarms([over[0]], beginning=False)
    assert not alarms([over[1]], beginning=False)
    assert [alarm.kind for row in over for alarm in alarms([row])] == ["slow", "vanishing"]
    assert alarms([replace(GOOD, update=0.9)], beginning=False)


def test_alarms_are_told_once_those_of_a_kind_in_a_line() -> None:
    told: set[tuple[str, str]] = set()
    rows = [replace(GOOD, name=name, update=0.9) for name in ("a", "b", "c")]
    [line] = news(alarms(rows), told)
    assert line.startswith("a: updates too large")
    assert line.endswith(" So it is with 2 more layers: b, c.")
    assert news(alarms(rows), told) == []
    assert news(alarms([*rows, replace(GOOD, name="d", dead=1.0)]), told)[0].startswith("d: dead")


def test_the_median_of_steps_but_not_of_what_is_not_finite() -> None:
    steps = [(replace(GOOD, gradient=g),) for g in (1.0, 100.0, 2.0)]
    assert middle(steps)[0].gradient == 2.0
    assert middle([*steps, (replace(GOOD, deviation=float("nan")),)])[0].gradient == 0.1


def test_an_event_comes_back_from_its_line() -> None:
    flow = Flow(2, 40, (GOOD, replace(GOOD, weight=None)))
    assert from_line(as_line(flow)) == flow


def many(data: Splits) -> dict[str, int]:
    """Batches so small that an epoch is long enough to be looked at."""
    return {"batch_size": int(0.9 * len(data.train)) // FLOW_EVERY, "threads": 1}


def test_a_training_says_what_flowed_at_the_end_of_every_epoch(digits: Splits, tmp_path: Path) -> None:
    events = list(train(network(), digits, epochs=2, out=tmp_path / "a", **many(digits)))
    kinds = [type(event) for event in events if isinstance(event, Step | Flow | Epoch)]
    steps = kinds.index(Flow)
    assert kinds == 2 * [*[Step] * steps, Flow, Epoch]
    flow = next(event for event in events if isinstance(event, Flow))
    assert (flow.epoch, flow.step) == (1, steps)
    assert [row.name for row in flow.layers] == ["conv1", "act1", "conv2", "act2", "fc"]
    assert all(1e-5 < row.update < 0.1 for row in flow.layers if row.update is not None)
    assert [row.dead is None for row in flow.layers] == [True, False, True, False, True]
    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "flow" for line in lines) == 2
    assert not any(isinstance(event, Warning) for event in events)


def test_what_is_measured_changes_no_bit(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    def learnt() -> list[torch.Tensor]:
        model = network(Seq(Conv(4, 3), Relu, Linear(10)))
        for _ in train(model, digits, epochs=2, **many(digits)):
            pass
        return [*model.state_dict().values()]

    measured_too = learnt()
    monkeypatch.setattr("striate.training.loop.FLOW_EVERY", 10**9)
    assert all(map(torch.equal, measured_too, learnt()))


def test_a_layer_that_is_dead_is_said_once_and_not_where_it_is_frozen(digits: Splits) -> None:
    def warned(**fields: object) -> list[str]:
        model = network(Seq(conv=Seq(Conv(8, 3, bias=True), Relu), fc=Linear(10)))
        with torch.no_grad():
            model.get_parameter("conv.0.bias").fill_(-100.0)
        events = train(model, digits, epochs=3, **many(digits), **fields)
        return [event.text for event in events if isinstance(event, Warning)]

    said = warned()
    assert sum("dead" in text for text in said) == 1
    assert any(text.startswith("Epoch 1, conv.1: dead: 100% of its channels") for text in said)
    assert not any("conv" in text for text in warned(freeze=("conv",)))


def test_short_epochs_are_looked_at_now_and_then(digits: Splits) -> None:
    """Each look costs about half a step: of FLOW_EVERY steps, well under a hundredth."""
    events = list(train(network(), digits, epochs=21, batch_size=65, threads=1))
    steps = max(event.step for event in events if isinstance(event, Step)) // 21
    assert [e.epoch for e in events if isinstance(e, Flow)] == [*range(-(-FLOW_EVERY // steps), 22)][
        :: -(-FLOW_EVERY // steps)
    ]
