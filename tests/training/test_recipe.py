"""Recipes: data with bounds, and refusals that name what is near; how learning rate and decay follow from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from striate.blueprint import CannotRead, CannotTrain, Refusal
from striate.training import Recipe, read_recipe, revised
from striate.training.optimise import optimizer, rate


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epoch": 3}, 'No field of a recipe "epoch". Near: epochs.'),
        ({"optimizer": "adam"}, 'No optimizer "adam". Near: adamw.'),
        ({"lr": -1}, "Cannot train with lr=-1: it must be greater than 0."),
        ({"lr": float("nan")}, "Cannot train with lr=nan: it must be a finite number."),
        ({"epochs": 0}, "Cannot train with epochs=0: it must be 1 or more."),
        ({"batch_size": 10**9}, "Cannot train with batch_size=1000000000: it must be 1,048,576 or less."),
        ({"shift": 65}, "Cannot train with shift=65: it must be 64 or less."),
        ({"epochs": 2.5}, "Cannot train with epochs=2.5: it must be a whole number."),
        ({"flip": "perhaps"}, "Cannot train with flip='perhaps': it must be true or false."),
        ({"lr": "fast"}, "Cannot train with lr='fast': it must be a number."),
        ({"schedule": 3}, 'No schedule "3". Known: one-cycle, cosine, constant.'),
    ],
)
def test_a_wrong_field_or_value_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(Refusal) as refused:
        revised(**fields)
    assert str(refused.value) == says


def test_a_recipe_is_a_file_and_back(tmp_path: Path) -> None:
    recipe = revised(epochs=3, lr=0.1, optimizer="sgd", flip=True)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    assert read_recipe(tmp_path / "recipe.json") == recipe
    for content in ("[]", "{", "7"):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(CannotRead, match="Cannot read"):
            read_recipe(tmp_path / "other.json")
    (tmp_path / "other.json").write_text(json.dumps({"learning_rate": 1}))
    with pytest.raises(Refusal, match='No field of a recipe "learning_rate"'):
        read_recipe(tmp_path / "other.json")
    with pytest.raises(CannotRead, match="no such file"):
        read_recipe(tmp_path / "nosuch.json")


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_learning_rate_rises_once_and_falls_to_nearly_nothing(schedule: str) -> None:
    recipe = revised(lr=2.0, warm_up=0.25, schedule=schedule)
    rates = [rate(recipe, step, 100) for step in range(1, 101)]
    top = rates.index(max(rates))
    assert max(rates) == 2.0
    assert top in (24, 25)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 0.05
    assert rates[0] == pytest.approx(2 / 25)


def test_constant_stays_after_its_warm_up() -> None:
    recipe = revised(lr=0.5, warm_up=0.1, schedule="constant")
    assert [rate(recipe, step, 50) for step in (5, 6, 50)] == [0.5, 0.5, 0.5]
    assert rate(revised(lr=0.5, warm_up=0, schedule="constant"), 1, 50) == 0.5


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weights_decay_norms_and_biases_do_not(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    groups = optimizer(model, revised(optimizer=name, weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    expected = {"1.weight": 0.0, "1.bias": 0.0, "0.bias": 0.0, "2.weight": 0.1, "2.bias": 0.0}
    assert {n: decay[id(p)] for n, p in model.named_parameters() if id(p) in decay} == expected


def test_precision_follows_the_hardware_and_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.blueprint import draft
    from striate.training.precision import chosen
    from striate.zoo import call

    small, large, thin = (draft(call(n)[1], "3x64x64") for n in ("lenet5", "resnet18", "mobilenet_v2"))
    cpu = torch.device("cpu")
    for there in (True, False):
        monkeypatch.setattr("striate.training.precision.has_bfloat16", lambda _, there=there: there)
        picked = [chosen("auto", graph, cpu) for graph in (small, large, thin, None)]
        assert picked == [torch.float32, torch.bfloat16 if there else torch.float32, torch.float32, torch.float32]
    assert chosen("bfloat16", small, cpu) == torch.bfloat16


def test_small_data_is_seen_more_often() -> None:
    recipe = Recipe()
    assert [recipe.epochs_for(n) for n in (100, 1300, 8_000, 60_000)] == [40, 40, 20, 10]
    assert revised(epochs=3).epochs_for(100) == 3
    with pytest.raises(CannotTrain):
        revised(epochs=-3)
