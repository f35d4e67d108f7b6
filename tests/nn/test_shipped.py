"""The trained networks that come along: small, of halves, with where they come from, and as good as they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open

from striate import nn
from striate.blueprint.modelfile import SHIPPED, shipped
from striate.cli import verbs
from striate.data import open_data
from striate.judging import evaluate
from striate.judging.judged import images_for


def test_both_are_there_and_take_little_room() -> None:
    assert shipped() == ["lenet5-mnist", "resnet20-cifar10"]
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 1_500_000


@pytest.mark.parametrize("name", shipped())
def test_weights_are_halves_and_say_where_they_come_from(name: str) -> None:
    with safe_open(SHIPPED / f"{name}.safetensors", "pt") as file:
        said = json.loads(file.metadata()["striate"])
        halves = {key for key in file.keys() if file.get_slice(key).get_dtype() == "F16"}  # noqa: SIM118
    network = nn.load(name)
    assert halves == {key for key, _ in network.named_parameters()}
    assert all(p.dtype == torch.float32 for p in network.parameters())
    provenance = said["provenance"]
    assert {"data", "recipe", "epoch", "top1_test", "seconds", "machine"} <= provenance.keys()
    assert provenance["recipe"]["seed"] >= 0
    assert "/" not in str(provenance["data"])


def test_lenet5_reads_mnists_test_images_as_well_as_it_says(shared: Path) -> None:
    network = nn.load("lenet5-mnist")
    metrics = evaluate(network, images_for(network, shared / "mnist"))
    assert metrics.top1 == pytest.approx(network.metadata["provenance"]["top1_test"], abs=2e-4)
    assert metrics.top1 >= 0.99


def test_resnet20_sees_what_is_in_cifars_test_images_as_well_as_it_says(shared: Path, cifar10: Path) -> None:
    network = nn.load("resnet20-cifar10")
    images = images_for(network, cifar10).test
    some = images[torch.arange(0, len(images), 10)]
    metrics = evaluate(network, some)
    assert metrics.top1 == pytest.approx(network.metadata["provenance"]["top1_test"], abs=4 * metrics.error)


def test_predict_takes_one_by_its_name(tmp_path: Path) -> None:
    seven = open_data("digits", size=28).test
    place = int((seven.labels == 7).nonzero()[0])
    Image.fromarray(seven.pixels[place, 0].numpy()).save(tmp_path / "seven.png")
    done = CliRunner().invoke(verbs, ["predict", "lenet5-mnist", str(tmp_path / "seven.png"), "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout.splitlines()[0])) >= 1


def test_a_file_of_that_name_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.blueprint.modelfile import model_file

    monkeypatch.chdir(tmp_path)
    assert model_file("lenet5-mnist") == SHIPPED / "lenet5-mnist.safetensors"
    (tmp_path / "lenet5-mnist").write_bytes(b"mine")
    assert model_file("lenet5-mnist") == Path("lenet5-mnist")
