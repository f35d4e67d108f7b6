"""Recipes: data with bounds, and refusals that name what is near."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from striate.blueprint import CannotRead, CannotTrain, Refusal
from striate.training import Recipe, read_recipe, revised
from striate.training.recipe import allowed
from striate.training.recipes import RECIPES

ONE = "A single number serves all: factor=0.1."


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epoch": 3}, 'No field of a recipe "epoch". Near: epochs. All of them: striate recipe default'),
        ({"optimizer": "adam"}, 'No optimizer "adam". Near: adamw.'),
        ({"lr": -1}, "Cannot train with lr=-1: it must be greater than 0."),
        ({"lr": float("nan")}, "Cannot train with lr=nan: it must be a finite number."),
        ({"epochs": 0}, "Cannot train with epochs=0: it must be 1 or more."),
        ({"batch_size": 10**9}, "Cannot train with batch_size=1000000000: it must be 1,048,576 or less."),
        ({"accumulate": 0}, "Cannot train with accumulate=0: it must be 1 or more."),
        ({"epochs": 2.5}, "Cannot train with epochs=2.5: it must be a whole number."),
        ({"nesterov": "perhaps"}, "Cannot train with nesterov='perhaps': it must be true or false."),
        ({"lr": "fast"}, "Cannot train with lr='fast': it must be a number."),
        (
            {"schedule": 3},
            'No schedule "3". Known: one-cycle, cosine, constant, step, exponential, plateau.',
        ),
        ({"class_weights": "balance"}, 'No class_weights "balance". Near: balanced.'),
        ({"ema": 1.5}, "Cannot train with ema=1.5: it must be less than 1."),
        ({"ema": "polyack"}, 'No ema "polyack". Near: polyak.'),
        ({"clip": 0}, "Cannot train with clip=0: it must be greater than 0."),
        ({"momentum": True}, "Cannot train with momentum='true': it must be a number."),
        ({"epochs": True}, "Cannot train with epochs='true': it must be a whole number."),
        ({"factor": []}, "Cannot train with factor=[]: it must be a number."),
        ({"dropout": 1}, "Cannot train with dropout=1: it must be less than 1."),
        ({"freeze": [7]}, "Cannot train with freeze=7: it must be a text."),
        ({"milestones": [0.5, 2]}, "Cannot train with milestones=2: it must be 1 or less."),
        ({"milestones": [0.5, 0.2]}, "Cannot train with milestones=[0.5, 0.2]: each is later than the one before."),
        (
            {"schedule": "step"},
            "Cannot train on the schedule step: it has no milestones.\n    For instance milestones=[0.5,0.75].",
        ),
        (
            {"schedule": "step", "milestones": [0.5], "factor": [0.1, 0.2]},
            f"Cannot train with factor=[0.1, 0.2]: step wants 1, one for each fall.\n    {ONE}",
        ),
        (
            {"schedule": "plateau", "factor": "0.1, 0.2"},
            f"Cannot train with factor=[0.1, 0.2]: plateau wants 1, one for each fall.\n    {ONE}",
        ),
        ({"augment": "flop"}, 'No augmentation "flop". Near: flip.'),
        ({"augment": "padded-crop(-1)"}, "Cannot make padded-crop with pad=-1: it is a whole number, 0 or more."),
        ({"mix": "mixin"}, 'No mixture "mixin". Near: mixup.'),
        ({"mix": "mixup(3)"}, "Cannot make mixup(3): alpha is greater than 0 and 1 or less."),
        ({"initialise": "hee"}, 'No initialisation "hee". Near: he.'),
        (
            {"initialise": "gaussian(0)"},
            'No initialisation "gaussian(0)". Near: gaussian(0.01).',
        ),
    ],
)
def test_a_wrong_field_or_value_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(Refusal) as refused:
        revised(**fields)
    assert str(refused.value) == says


ASKED = {  # a word as a command line has it for every field, and what is understood
    "name": ("mine", "mine"),
    "paper": ("ours", "ours"),
    "epochs": ("3", 3),
    "batch_size": ("32", 32),
    "accumulate": ("2", 2),
    "optimizer": ("muon", "muon"),
    "lr": ("0.5", 0.5),
    "momentum": ("0.5", 0.5),
    "nesterov": ("false", False),
    "second": ("0.5", 0.5),
    "eps": ("1e-3", 1e-3),
    "weight_decay": ("0", 0.0),
    "decay_all": ("true", True),
    "rates": ("*.bias=0.1, fc.*=2", ("*.bias=0.1", "fc.*=2")),
    "quintics": ("3", 3),
    "unit": ("true", True),
    "schedule": ("cosine", "cosine"),
    "warm_up": ("0.5", 0.5),
    "milestones": ("0.25, 0.5", (0.25, 0.5)),
    "factor": ("0.5", 0.5),
    "every": ("2.4", 2.4),
    "patience": ("0", 0),
    "label_smoothing": ("0.1", 0.1),
    "class_weights": ("balanced", "balanced"),
    "auxiliary": ("0", 0.0),
    "dropout": ("0.5", 0.5),
    "drop_path": ("0.2", 0.2),
    "augment": ("flip, padded-crop(4)", "flip, padded-crop(4)"),
    "mix": ("cutmix(1.0)", "cutmix(1.0)"),
    "ema": ("polyak", "polyak"),
    "clip": ("1", 1.0),
    "freeze": ("stem, stage1.0", ("stem", "stage1.0")),
    "initialise": ("gaussian(0.02)", "gaussian(0.02)"),
    "ones": ("conv2", ("conv2",)),
    "whiten": ("conv1", "conv1"),
    "validation": ("0", 0.0),
    "sync_norm": ("true", True),
    "precision": ("float32", "float32"),
    "step": ("plain", "plain"),
    "threads": ("1", 1),
    "seed": ("7", 7),
}


@pytest.mark.parametrize("field", Recipe.model_fields)
def test_every_field_can_be_said_in_words(field: str) -> None:
    text, meant = ASKED[field]
    recipe = revised(**{field: text})
    assert getattr(recipe, field) == meant != getattr(Recipe(), field)
    assert read_back(recipe) == recipe
    assert Recipe.model_fields[field].description


NOTHING = {
    **dict.fromkeys(("epochs", "dropout", "drop_path", "ema", "clip", "threads")),
    **dict.fromkeys(("paper", "augment", "mix", "whiten"), ""),
    **dict.fromkeys(("rates", "milestones", "freeze", "ones"), ()),
    "class_weights": "none",
}


@pytest.mark.parametrize("field", NOTHING)
def test_none_is_a_word_too(field: str) -> None:
    said = revised(**{field: ASKED[field][0]})
    assert getattr(revised(said, **{field: "none"}), field) == NOTHING[field]


@pytest.mark.parametrize("field", sorted(Recipe.model_fields.keys() - NOTHING.keys() - {"name"}))
def test_and_where_there_must_be_something_it_is_refused(field: str) -> None:
    with pytest.raises(Refusal):
        revised(**{field: "none"})


def test_what_a_field_may_be_is_said() -> None:
    told = {name: allowed(name) for name in Recipe.model_fields}
    assert told["optimizer"] == "adamw, sgd, rmsprop, muon"
    assert told["lr"] == "above 0 to 1,000"
    assert told["momentum"] == told["dropout"] == "from 0 below 1"
    assert told["milestones"] == "from 0 to 1"
    assert told["ema"] == "from 0 below 1, polyak"
    assert told["augment"] == told["nesterov"] == ""


def read_back(recipe: Recipe) -> Recipe:
    return revised(**json.loads(recipe.model_dump_json()))


def test_a_recipe_is_a_file_and_back(tmp_path: Path) -> None:
    recipe = revised(epochs=3, lr=0.1, optimizer="sgd", augment="flip", milestones=(0.5,), freeze=["stem"])
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    assert read_recipe(tmp_path / "recipe.json") == read_recipe(tmp_path) == recipe
    for content in ("[]", "{", "7"):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(CannotRead, match="Cannot read"):
            read_recipe(tmp_path / "other.json")
    (tmp_path / "other.json").write_text(json.dumps({"learning_rate": 1}))
    with pytest.raises(Refusal, match='No field of a recipe "learning_rate"') as refused:
        read_recipe(tmp_path / "other.json")
    assert f"So it stands in {tmp_path}/other.json." in str(refused.value)
    for path, named in ((tmp_path / "nosuch.json", "nosuch.json"), (tmp_path / "runs/nosuch", "runs/nosuch")):
        with pytest.raises(CannotRead, match=f"Cannot read {tmp_path}/{named}: no such file") as lost:
            read_recipe(path)
        assert lost.value.ways.endswith("striate recipe.")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotRead, match=r"folder/recipe\.json: no such file"):
        read_recipe(tmp_path / "folder")


def test_a_recipe_has_a_name() -> None:
    assert read_recipe("resnet-2015") is RECIPES["resnet-2015"]
    with pytest.raises(Refusal) as refused:
        read_recipe("resnet-2014")
    assert str(refused.value).startswith('No recipe "resnet-2014". Near: resnet-2015')


def test_another_schedule_leaves_what_it_does_not_read() -> None:
    assert revised(RECIPES["lenet5-1998"], schedule="cosine").factor == RECIPES["lenet5-1998"].factor


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().lr = 1.0  # type: ignore[misc]


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
    assert revised(accumulate=2).epochs_for(16_000) == 20  # as many steps
    assert revised(epochs=3).epochs_for(100) == 3
    with pytest.raises(CannotTrain):
        revised(epochs=-3)
