"""Weights along a training: from its checkpoints and from model files, in their order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from striate import build, save
from striate.blueprint import CannotLoad, CannotRead
from striate.data import open_data
from striate.nn.weights import Source, open_weights
from striate.training import resume, train
from striate.training.events import Control, Epoch
from striate.visualize.surface import along, way
from striate.visualize.views import view
from striate.visualize.wanted import Wanted, opened


def test_a_way_in_files_and_its_picture(tmp_path: Path) -> None:
    """A real training, an epoch a file: what is drawn starts where it began and ends at the model."""
    net = build("lenet5")
    digits, folder = open_data("digits", size=32), tmp_path / "way"
    folder.mkdir()
    losses = list[float]()
    for event in train(net, digits, epochs=3, batch_size=128, optimizer="sgd", lr=0.05):
        if isinstance(event, Epoch):
            save(net, folder / f"{8 + event.epoch}.safetensors")  # 9, 10, 11
            losses.append(event.loss)
    stops = along(net, folder)
    assert [stop.path.stem for stop in stops] == ["9", "10", "11"]
    for name, tensor in stops[-1].weights.items():
        assert torch.equal(tensor, net.state_dict()[name])
    of = Wanted(
        net, "net", data=opened(net, "digits"), along=str(folder), points=3, images=40, folder=tmp_path / "rows"
    )
    shown = view("trajectory", of)
    assert shown.facts["weights"] == ["9", "10", "11", "net"]
    points = torch.tensor(shown.facts["way"])
    assert points[-2:].abs().max() < 1e-4  # the last file has the model's own weights, which lie at (0, 0)
    assert points[0].norm() > points[1].norm() > 0
    assert shown.facts["x"][0] < points[:, 0].min() < points[:, 0].max() < shown.facts["x"][-1]
    assert sum(shown.facts["shares"]) == pytest.approx(1, abs=1e-3)  # three sets of weights lie in a plane
    assert shown.line.startswith("3 sets of weights, 9 to 11, and its own: the plane holds 100% of the way's variance")
    assert [folder.parent for folder in shown.kept] == [tmp_path / "rows"]


def test_a_runs_checkpoints(tmp_path: Path) -> None:
    net, run, control = build("lenet5"), tmp_path / "run", Control()
    how = {"checkpoint_every": 0, "ema": 0.9, "batch_size": 512}
    digits = open_data("digits", size=32)
    for event in train(net, digits, epochs=2, out=run, control=control, **how):
        if isinstance(event, Epoch):
            control.stop()
    stops = along(net, run)
    assert len(stops) == 2
    assert stops[0].path.name < stops[1].path.name
    assert {*stops[0].weights} == {name for name, _ in net.named_parameters()}
    assert not torch.equal(stops[0].weights["fc3.fc.weight"], stops[1].weights["fc3.fc.weight"])
    for _ in resume(run, digits):
        pass
    with pytest.raises(CannotRead, match="1 model file in it, 2 to 1,000 make a way"):
        along(net, run)  # done: its checkpoints are gone


def test_a_training_under_way_takes_checkpoints_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was there when the folder was listed, and is gone when it is opened, is no longer on the way."""
    net = build("lenet5")
    for name in "123":
        save(net, tmp_path / f"{name}.safetensors")

    def late(path: Path) -> Source:
        (tmp_path / "1.safetensors").unlink(missing_ok=True)
        return open_weights(path)

    monkeypatch.setattr(way, "open_weights", late)
    assert [stop.path.stem for stop in along(net, tmp_path)] == ["2", "3"]


def test_what_is_no_way_is_told(tmp_path: Path) -> None:
    net = build("lenet5")
    with pytest.raises(CannotRead, match="nowhere: it is no folder"):
        along(net, tmp_path / "nowhere")
    for name in "ab":
        save(build("lenet5", "1x28x28"), tmp_path / f"{name}.safetensors")
    with pytest.raises(
        CannotLoad, match=r"a\.safetensors: fc3\.fc\.weight is 120×256×?.* there, the network has 120×400"
    ):
        along(net, tmp_path)
