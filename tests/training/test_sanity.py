"""What is looked at before a training: sane networks pass, and networks made to fail are named for what fails."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from small import SMALL, network
from striate.blueprint import Activation, Conv, Linear, Relu, Seq
from striate.data import Splits
from striate.training import fit, read_recipe, revised, started
from striate.training.flow import looking, measured
from striate.training.sanity import at_start, chosen, find_rate, first_flow, overfit, sanity, steady


def kinds(alarms: object) -> set[str]:
    return {alarm.kind for alarm in alarms}  # type: ignore[attr-defined]


def test_a_sane_network_is_left_as_it_is(digits: Splits) -> None:
    model = network()
    model.eval()
    before, chance = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    found = sanity(model, digits)
    assert not found.alarms
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not model.training
    assert torch.equal(chance, torch.get_rng_state())
    assert found.start.chance == pytest.approx(math.log(10))
    assert found.overfit.losses[-1] <= found.overfit.near < found.overfit.losses[-2]
    assert found.to_json()["sane"] is True


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_networks_of_the_zoo_are_sane(digits: Splits, name: str) -> None:
    fitted = fit(name, "digits", 16)
    model, _ = started(fitted)
    flow = first_flow(model, fitted.data)
    assert not flow.alarms
    assert not at_start(model, fitted.data).alarms
    assert overfit(model, fitted.data).learnt


def test_thirty_layers_of_sigmoid_vanish_by_name(digits: Splits) -> None:
    layers = {
        f"{kind}{i}": part for i in range(30) for kind, part in (("fc", Linear(16)), ("act", Activation("sigmoid")))
    }
    flow = first_flow(network(Seq(**layers, out=Linear(10))), digits, steps=3)
    gone = [alarm.layer for alarm in flow.alarms if alarm.kind == "vanishing"]
    assert gone[:20] == [f"fc{i}" for i in range(20)]
    assert "out" not in gone
    assert "fc29" not in gone


def test_a_bias_of_minus_a_hundred_is_dead(digits: Splits) -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("conv2.bias").fill_(-100.0)
    found = sanity(model, digits, steps=20)
    dead = [alarm for alarm in found.flow.alarms if alarm.kind == "dead"]
    assert [alarm.layer for alarm in dead] == ["act2"]
    assert "100% of its channels" in dead[0].text
    assert {"overfit", "rate"} <= kinds(found.alarms)
    assert "conv1" in {alarm.layer for alarm in found.flow.alarms if alarm.kind == "vanishing"}


def test_weights_of_deviation_ten_explode(digits: Splits) -> None:
    deep = Seq(*[part for _ in range(5) for part in (Conv(8, 3, padding=1), Relu)], Linear(10))
    model = network(deep)
    assert not first_flow(model, digits, steps=2).alarms
    found = sanity(model, digits, steps=10, initialise="gaussian(10)")
    assert "exploding" in kinds(found.flow.alarms)
    assert "start" in kinds(found.start.alarms)
    assert found.start.loss > 1000 * found.start.chance


@pytest.mark.parametrize(("lr", "kind"), [(1e-9, "slow"), (50.0, "fast")])
def test_steps_far_too_small_or_large(digits: Splits, lr: float, kind: str) -> None:
    assert kind in kinds(first_flow(network(), digits, _recipe(lr=lr)).alarms)


def test_a_rate_at_which_the_loss_leaves_is_said_with_a_better_one(digits: Splits) -> None:
    rates = find_rate(network(), digits, _recipe(optimizer="sgd", lr=100.0))
    assert rates.gone is not None
    assert rates.steepest is not None
    assert rates.largest is not None
    assert rates.steepest < rates.largest < rates.gone
    assert [alarm.kind for alarm in rates.alarms] == ["rate"]
    good = find_rate(network(), digits, _recipe(optimizer="sgd", lr=rates.steepest))
    assert not good.alarms
    assert overfit(network(), digits, _recipe(optimizer="sgd", lr=rates.steepest), 300).learnt


def test_a_recipe_for_batches_of_one_is_looked_at_on_more() -> None:
    fitted = fit("lenet5_paper", "digits")
    model, _ = started(fitted)
    found = sanity(model, fitted.data, read_recipe("lenet5-1998"), threads=1)
    assert found.alarms == ()
    assert found.overfit.images == 32
    steepest, gone = found.rates.steepest, found.rates.gone
    assert steepest is not None
    assert gone is not None
    assert 1e-4 < steepest < gone < 1e-2, "the paper begins at 5e-4, one image at a time"


def test_how_many_times_the_rate_is_that_of_more_images() -> None:
    plain = _recipe(optimizer="sgd", lr=0.01)
    for size, accumulate, times in ((1, 1, 32), (8, 1, 4), (8, 2, 2), (1, 256, 1)):
        looked, found = steady(revised(plain, batch_size=size, accumulate=accumulate))
        assert (looked.batch_size, looked.accumulate, looked.lr, found) == (32, 1, 0.01 * times, times)
    for recipe in (_recipe(batch_size=32, optimizer="sgd"), _recipe(batch_size=512)):
        assert steady(recipe) == (recipe, 1.0)
    assert steady(_recipe(batch_size=1)) == (_recipe(batch_size=32), 1.0), "AdamW's steps are as long on any batch"
    assert steady(revised(plain, batch_size=1, lr=900.0))[0].lr == pytest.approx(1000)


def test_where_it_explodes_no_step_is_called_too_small(digits: Splits) -> None:
    found = kinds(sanity(network(), digits, steps=10, lr=1e3).alarms)
    assert "exploding" in found
    assert "slow" not in found


def test_of_one_image_nothing_is_called_dead(digits: Splits) -> None:
    model = network(Seq(fc=Linear(16), act=Relu, out=Linear(10)))
    with torch.no_grad():
        model.get_parameter("fc.bias").fill_(-100.0)
    x = digits.preprocessing.normalise(digits.train.pixels[:8])  # type: ignore[union-attr]
    for images, dead in ((x[:1], None), (x, 1.0)):
        with looking(model) as look, torch.no_grad():
            model(images)
        assert {row.name: row.dead for row in measured(look, {})}["act"] == dead


def test_steepest_and_least_of_a_curve_by_hand() -> None:
    rates = [10 ** (i / 10) for i in range(60)]
    loss = [2.3 - 2 / (1 + math.exp(-(i - 30) / 3)) + (i > 45) * (i - 45) for i in range(60)]
    steepest, least = chosen(rates, loss)
    assert rates.index(steepest) == pytest.approx(30, abs=1)  # type: ignore[arg-type]
    assert rates.index(least) == 45  # type: ignore[arg-type]
    assert chosen(rates, [2.3] * 60) == (None, None)
    assert chosen([], []) == (None, None)


def test_images_that_say_their_class_are_noticed_and_weights_that_know_are_not(digits: Splits) -> None:
    model = network(Seq(Linear(10, bias=False)))
    with torch.no_grad():
        model.get_parameter("0.weight").zero_()
        model.get_parameter("0.weight")[:, :10] = torch.eye(10) * 20
    pixels = digits.train.pixels.clone()
    pixels[:] = 0
    pixels[torch.arange(len(pixels)), 0, 0, 0] = 0
    for number, label in enumerate(digits.train.labels.tolist()):
        pixels[number, 0, label // 8, label % 8] = 255
    told = replace(digits, train=replace(digits.train, pixels=pixels))
    assert "what it was never told" in at_start(model, told).alarms[0].text
    model.metadata["started_from"] = "a run"
    assert not at_start(model, told).alarms


def test_as_json_what_is_not_a_number_is_null(digits: Splits) -> None:
    found = sanity(network(SMALL), digits, steps=10, initialise="gaussian(1e10)".replace("1e10", "1000000000"))
    said = found.to_json()
    assert said["sane"] is False
    assert "exploding" in {alarm["kind"] for alarm in said["alarms"]}
    import json

    json.dumps(said, allow_nan=False)


def _recipe(**fields: object):  # type: ignore[no-untyped-def]
    from striate.training import revised

    return revised(**fields)
