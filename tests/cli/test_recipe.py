"""`striate recipe`: what it prints is what --recipe reads; and the options of `striate train` that make a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from striate import cli
from striate.blueprint.modelfile import read_header
from striate.training import Recipe, read_recipe, revised
from striate.training.recipes import RECIPES


def striate(*arguments: object) -> Result:
    return CliRunner().invoke(cli.verbs, [str(argument) for argument in arguments])


def test_they_are_listed_each_with_its_paper(golden: Callable[[str, str], None]) -> None:
    listed = striate("recipe")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines() if not line.startswith(" ")] == list(RECIPES)
    golden("recipes.txt", listed.stdout)
    assert json.loads(striate("recipe", "--json").stdout).keys() == RECIPES.keys()


def test_one_is_printed_and_what_is_not_the_default_s_is_marked(golden: Callable[[str, str], None]) -> None:
    said = striate("recipe", "resnet-cifar-2015").stdout
    golden("recipe-resnet-cifar-2015.txt", said)
    marked = {line.split()[1] for line in said.splitlines() if line.startswith("* ") and "  " in line}
    recipe, default = RECIPES["resnet-cifar-2015"].model_dump(), Recipe().model_dump()
    assert marked == {name for name in recipe if recipe[name] != default[name]} - {"paper"}


@pytest.mark.parametrize("name", RECIPES)
def test_as_json_it_is_a_file_for_train(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(striate("recipe", name, "--json").stdout)
    assert read_recipe(tmp_path / "mine.json") == RECIPES[name]
    again = striate("recipe", tmp_path / "mine.json", "--json", "--set", "lr=0.5", "--set", "milestones=0.25,0.75")
    meant = revised(RECIPES[name], lr=0.5, milestones=(0.25, 0.75), factor=0.1) if name != "lenet5-1998" else None
    if meant is None:  # it has four falls
        assert again.exit_code == 2
        assert again.stderr.startswith("Cannot train with factor=[0.4, 0.5, 0.5, 0.2]: step wants 2, one for each")
    else:
        assert revised(Recipe(**json.loads(again.stdout)), factor=0.1) == meant


def test_every_field_printed_can_be_set_again() -> None:
    """What stands in the second column, as --set takes it, gives the recipe back."""
    for name, recipe in RECIPES.items():
        lines = [
            line for line in striate("recipe", name).stdout.splitlines() if line[2:17].strip() in Recipe.model_fields
        ]
        assert len(lines) == len(Recipe.model_fields) - 1
        said = [f"{line[2:17].strip()}={value}" for line in lines if (value := line[18:].split("  ")[0].strip())]
        options = [word for text in said for word in ("--set", text)]
        found = Recipe(**json.loads(striate("recipe", "default", *options, "--json").stdout))
        rounded = {"milestones", "warm_up", "paper"}
        assert found.model_dump(exclude=rounded) == recipe.model_dump(exclude=rounded)
        assert found.warm_up == pytest.approx(recipe.warm_up)
        assert found.milestones == pytest.approx(recipe.milestones)


def test_its_help(golden: Callable[[str, str], None]) -> None:
    golden("help-recipe.txt", striate("recipe", "--help").stdout)


REFUSED = [
    (["recipe", "resnet"], 'No recipe "resnet". Near: '),
    (["recipe", "nosuch.json"], "Cannot read nosuch.json: no such file"),
    (["recipe", "default", "--set", "momentun=0"], 'No field of a recipe "momentun". Near: momentum'),
    (["recipe", "--set", "lr"], 'Cannot set "lr": it is written FIELD=VALUE'),
    (["recipe", "--set", "name=3"], "Cannot train with name=3: it must be a text."),
    (["train", "lenet5", "--recipe", "fast-minst"], 'No recipe "fast-minst". Near: fast-mnist'),
    (["train", "lenet5", "--set", "augment=flop"], 'No augmentation "flop". Near: flip'),
    (["train", "lenet5", "--take", "conv1"], "Cannot take parts of no model.\n    Name it: --start-from MODEL."),
    (["train", "lenet5", "--start-from", "nosuch.safetensors"], "Cannot read nosuch.safetensors: no such file"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_what_is_refused(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = striate(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(says), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ones_of_another_network_are_the_recipe_s_and_none_of_them_is_a_way_out() -> None:
    refused = striate("train", "lenet5", "--recipe", "alexnet-2012")
    assert refused.exit_code == 2
    assert 'No part of the network "conv4".' in refused.stderr
    assert "The recipe names it: ones=conv2,conv4,conv5,fc6,fc7." in refused.stderr
    assert refused.stderr.endswith("--set ones=none.\n")


QUICK = ("--epochs", 1, "--set", "threads=1", "--batch-size", 256)


def test_a_name_is_a_recipe_and_flip_is_added(tmp_path: Path) -> None:
    done = striate("train", "lenet5", "--recipe", "resnet-cifar-2015", "--flip", *QUICK, "--out", tmp_path / "a")
    assert done.exit_code == 0, done.output
    kept = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert (kept["name"], kept["augment"], kept["epochs"]) == ("resnet-cifar-2015", "padded-crop(4), flip", 1)
    done = striate("train", "lenet5", "--flip", "--set", "augment=padded-crop(1)", *QUICK, "--out", tmp_path / "b")
    assert json.loads((tmp_path / "b" / "recipe.json").read_text())["augment"] == "padded-crop(1), flip"


def test_a_network_starts_from_the_parts_of_another_that_fit(tmp_path: Path) -> None:
    net = "conv1: conv {0} 3x3; relu\nconv2: conv {1} 3x3; relu; globalpool\nfc: linear 10\n"
    for name, widths in (("small", (8, 16)), ("wide", (8, 24))):
        (tmp_path / f"{name}.txt").write_text(net.format(*widths))
    small = tmp_path / "small"
    assert striate("train", tmp_path / "small.txt", *QUICK, "--out", small).exit_code == 0
    still = ("--lr", "1e-20", "--set", "weight_decay=0")
    done = striate(
        *("train", tmp_path / "wide.txt", *QUICK, *still, "--set", "initialise=he", "--start-from", small),
        *("--out", tmp_path / "wide"),
    )
    assert done.exit_code == 0, done.output
    assert f"Weights: {small}/model.safetensors -> wide.txt: 3 of 6 tensors loaded as they are" in done.stdout
    from striate.nn import load

    one, other = load(small / "model.safetensors"), load(tmp_path / "wide" / "model.safetensors")
    same = {n for n, t in other.state_dict().items() if t.shape == one.state_dict()[n].shape}
    assert same == {"conv1.weight", "conv1.bias", "fc.bias"}
    near = {n for n in same if (other.state_dict()[n] - one.state_dict()[n]).abs().max() < 1e-6}
    assert near == same
    assert read_header(tmp_path / "wide" / "model.safetensors").metadata["started_from"] == str(small)
