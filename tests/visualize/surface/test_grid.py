"""The loss at every point: as a formula says where there is one, the model's in the middle; killed and gone on with."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.blueprint import CannotTrain, CannotWrite, Refusal
from striate.data import Splits, open_data
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.surface import Objective, between, line, loss_at, objective, random_directions, surface

PROCESS = """
import os, signal, torch
from safetensors.torch import load_file
from torch import nn
from striate.visualize.surface import objective, random_directions, surface

{network}
digits, calls = load_file({digits!r}), 0

def told(*_):
    global calls
    calls += 1
    if calls == {last}:
        os.kill(os.getpid(), signal.SIGKILL)

model = convolutional()
of = objective(model, (digits["x"], digits["y"]), size=32)
model.register_forward_hook(told)
surface(model, of, random_directions(model), points=6, folder={folder!r}, share={share})
"""


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 10))


def real() -> Objective:
    """Digits, in two batches."""
    data = open_data("digits").test
    return objective(convolutional(), (data.pixels[:40] / 16.0, data.labels[:40]), size=32)


def process(folder: Path, share: tuple[int, int], last: int = -1) -> subprocess.Popen[bytes]:
    """Fills its share; kills itself, as the system would, in its run of the network of that number."""
    digits, of = folder.with_name("digits.safetensors"), real()
    save_file({"x": torch.cat([x for x, _ in of.batches]), "y": torch.cat([y for _, y in of.batches])}, digits)
    program = PROCESS.format(
        network=inspect.getsource(convolutional), digits=str(digits), last=last, folder=str(folder), share=share
    )
    return subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"OMP_NUM_THREADS": "1"})


def mean_square(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x)[:, 0] - y).square().mean()


@pytest.fixture(scope="module")
def regression() -> tuple[nn.Linear, Objective]:
    torch.manual_seed(1)
    x, y = torch.randn(50, 7), torch.randn(50)
    return nn.Linear(7, 1, bias=False), objective(nn.Flatten(), (x, y), size=16, loss=mean_square)


def test_a_quadratic_is_a_quadratic(regression: tuple[nn.Linear, Objective]) -> None:
    model, of = regression
    first, second = random_directions(model)
    found = surface(model, of, (first, second), span=((-2.0, 1.0), (-0.5, 3.0)), points=9)
    x, y = (torch.cat(parts).double() for parts in zip(*of.batches, strict=True))
    for i, a in enumerate(found.x):
        for j, b in enumerate(found.y):
            w = model.weight[0].detach().double() + a * first.double() + b * second.double()
            assert float(found.losses[i, j]) == pytest.approx(float((x @ w - y).square().mean()), rel=1e-5)
    assert found.x.tolist() == pytest.approx([-2 + 0.375 * i for i in range(9)])
    assert (found.images, bool(found.done.all())) == (50, True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_middle_is_the_models_own_loss_and_the_model_is_left_alone(
    resnet: Network, cifar10: Path, dtype: torch.dtype
) -> None:
    data = open_data(cifar10, preprocessing=preprocessing_of(resnet)).test[:32]
    of = objective(resnet, data, size=16, dtype=dtype)
    kept = {name: tensor.clone() for name, tensor in resnet.state_dict().items()}
    found = surface(resnet, of, random_directions(resnet), points=3)
    assert float(found.losses[1, 1]) == found.here == loss_at(resnet, of)
    assert found.losses.min() == found.losses[1, 1]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resnet.state_dict().items())


def test_norms_use_the_statistics_they_have() -> None:
    model, of = convolutional().train(), real()
    before = model[1].running_mean.clone()
    found = line(model, of, random_directions(model)[0], points=3)
    assert float(found.losses[1, 0]) == loss_at(model.eval(), of)
    assert torch.equal(model[1].running_mean, before)
    model.train()
    line(model, of, random_directions(model)[0], points=3)
    assert model[1].training


def test_a_line_from_one_network_to_another() -> None:
    torch.manual_seed(5)
    model, of = convolutional(), real()
    other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    other(of.batches[0][0])  # other statistics too
    found = line(model, of, between(model, other.eval()), span=(-0.5, 1.5), points=5)
    assert found.losses.shape == (5, 1)
    assert float(found.losses[1, 0]) == pytest.approx(loss_at(model.eval(), of))
    assert float(found.losses[3, 0]) == pytest.approx(loss_at(other, of), rel=1e-5)


def test_threads_fill_the_same_surface() -> None:
    model, of, told = convolutional(), real(), list[int]()
    alone = surface(model, of, random_directions(model), points=5)
    together = surface(model, of, random_directions(model), points=5, threads=3, tick=told.append)
    torch.testing.assert_close(together.losses, alone.losses)
    assert told == [5, 10, 15, 20, 25]


def test_a_killed_process_loses_one_row_and_the_rest_is_filled_by_several(tmp_path: Path) -> None:
    """Of 6 rows of 6 points in 2 batches: killed within the fourth row, its seventh run of the network; the weights'
    own loss took two runs.
    """
    kept = tmp_path / "rows"
    killed = process(kept, (0, 1), last=2 + 3 * 12 + 7)
    assert killed.wait() == -signal.SIGKILL
    (folder,) = kept.iterdir()
    rows = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(rows) == ["row-0000.json", "row-0001.json", "row-0002.json"]

    other = process(kept, (1, 2))  # rows 3 and 5; row 4 is the other's
    model, of = convolutional(), real()
    surface(model, of, random_directions(model), points=6, folder=kept, share=(0, 2))
    assert other.wait() == 0
    runs = list[int]()
    model.register_forward_hook(lambda *_: runs.append(1))
    found = surface(model, of, random_directions(model), points=6, folder=kept)
    assert len(runs) == 2  # the weights' own loss, and nothing else
    assert found.done.all()
    torch.testing.assert_close(found.losses, surface(model, of, random_directions(model), points=6).losses)
    assert all((folder / name).read_bytes() == content for name, content in rows.items())


def test_a_folder_is_of_one_surface_only_and_damage_is_made_good(tmp_path: Path) -> None:
    model, of = convolutional(), real()
    directions = random_directions(model)
    whole = surface(model, of, directions, points=3, folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    rows = sorted(folder.iterdir())
    rows[0].write_text("[1.0, 2.0")
    rows[1].write_text(json.dumps([1.0, 2.0]))
    rows[2].write_text("[" + " " * 10_000 + "1.0, 2.0, 3.0]")
    assert torch.equal(surface(model, of, directions, points=3, folder=tmp_path).losses, whole.losses)
    part = surface(model, of, directions, points=5, folder=tmp_path, share=(1, 2))
    assert part.done.tolist() == [False, True, False, True, False]
    assert part.losses.isnan().all(1).tolist() == [True, False, True, False, True]
    changes: list[Callable[[], object]] = [
        lambda: surface(model, of, directions[::-1], points=3, folder=tmp_path),
        lambda: surface(model, of._replace(batches=of.batches[:1]), directions, points=3, folder=tmp_path),
        lambda: surface(model, of._replace(dtype=torch.bfloat16), directions, points=3, folder=tmp_path),
        lambda: surface(nn.Sequential(*model[:2], nn.Tanh(), *model[3:]), of, directions, points=3, folder=tmp_path),
        lambda: model[0].bias.data.add_(1),
    ]
    for number, change in enumerate(changes, 3):
        change()
        surface(model, of, directions, points=3, folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == number


def test_a_loss_may_leave_all_bounds() -> None:
    model, of = convolutional(), real()
    direction = random_directions(model)[0] * 1e30
    found = line(model, of, direction, points=3)
    assert not found.losses[0].isfinite()
    assert found.losses[1].isfinite()


def test_what_is_no_surface(tmp_path: Path, digits: Splits) -> None:
    model, of = convolutional(), real()
    directions = random_directions(model)
    for points, span in ((1, (-1.0, 1.0)), (5000, (-1.0, 1.0)), (5, (1.0, 1.0)), (5, (0.0, torch.inf))):
        with pytest.raises(Refusal, match=rf"Cannot make an axis of {points} points from"):
            surface(model, of, directions, points=points, span=span)
    with pytest.raises(Refusal, match="Cannot walk along 7 numbers: this network's weights are 1,506"):
        surface(model, of, (torch.zeros(7), directions[1]))
    with pytest.raises(Refusal, match="part 2 of 2 with 1 threads"):
        surface(model, of, directions, share=(2, 2))
    with pytest.raises(Refusal, match="it is a tensor of 32×10 a batch, not one number"):
        surface(model, of._replace(loss=lambda model, x, y: model(x)), directions)
    with pytest.raises(Refusal, match="their own loss is nan"):
        surface(model, of._replace(loss=lambda model, x, y: model(x).sum() * torch.nan), directions)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"Cannot write .*file"):
        surface(model, of, directions, folder=tmp_path / "file")
    with pytest.raises(Refusal, match="a loss of 5 images with 4 targets"):
        objective(model, (torch.zeros(5, 1, 8, 8), torch.zeros(4)))
    with pytest.raises(CannotTrain, match="a loss of no images"):
        objective(model, (torch.zeros(0, 1, 8, 8), torch.zeros(0)))
    with pytest.raises(CannotTrain, match="labels go from 0 to 10, the network tells 10 classes apart"):
        objective(model, (torch.zeros(2, 1, 8, 8), torch.tensor([0, 10])))
    with pytest.raises(CannotTrain, match="it does not say how"):
        objective(model, digits.test)
