"""A network that begins with the tensors of another that fit, as VGG's deeper nets began with net A's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from striate.blueprint import BatchNorm, CannotLoad, Conv, GlobalPool, Linear, NotFound, Relu, Seq, draft
from striate.nn import Network, build, save
from striate.training import revised
from striate.training.prepare import prepared
from striate.training.start import start_from


def net(*widths: tuple[int, ...], seed: int = 0) -> Network:
    """Stages of convolutions of these widths, as VGG has them."""
    torch.manual_seed(seed)
    stages = {
        f"stage{i}": Seq(*[Seq(conv=Conv(n, 3, padding=1), norm=BatchNorm(), act=Relu) for n in stage])
        for i, stage in enumerate(widths, 1)
    }
    return build(draft(Seq(**stages, mean=GlobalPool(), fc=Linear(5)), "3x8x8"))


def net_a(folder: Path, *widths: tuple[int, ...], **said: object) -> Path:
    """A model file, its statistics not the initial ones."""
    model = net(*(widths or ((4,), (8,))), seed=1)
    model(torch.randn(16, 3, 8, 8))
    return save(model, folder / "model.safetensors", **said)


def test_what_fits_is_taken_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    path = net_a(tmp_path)
    deep, before = net((4, 4), (8, 8)), net((4, 4), (8, 8)).state_dict()
    report = start_from(deep, tmp_path)  # a run's folder
    small = torch.nn.Module.state_dict(net((4,), (8,), seed=1))
    taken = {name for name, tensor in deep.state_dict().items() if not torch.equal(tensor, before[name])}
    assert set(report.loaded) == {n for n in before if n.startswith(("stage1.0.", "stage2.0.", "fc."))}
    assert {n for n in report.loaded if n.endswith("weight") and "norm" not in n} <= taken
    assert all(torch.equal(deep.state_dict()[n], small[n]) for n in report.loaded if "norm" not in n)
    assert torch.equal(
        deep.get_submodule("stage1.0.norm").running_mean, torch_state(path)["stage1.0.norm.running_mean"]
    )
    assert set(report.skipped.values()) == {"not there"}
    assert deep.metadata["started_from"] == str(tmp_path)
    assert str(report).startswith(
        f"{path} -> the network: 16 of 30 tensors loaded as they are\n    skipped     stage1.1."
    )


def torch_state(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_only_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    net_a(tmp_path)
    deep = net((4, 4), (8, 8))
    report = start_from(deep, tmp_path, take=("stage1", "fc"))
    assert {name.split(".")[0] for name in report.loaded} == {"stage1", "fc"}
    assert report.skipped["stage2.0.conv.weight"] == "not asked for"
    with pytest.raises(NotFound, match=r'No part of the network "stage3". Near: '):
        start_from(deep, tmp_path, take=("stage3",))


def test_a_head_of_other_classes_is_not_taken(tmp_path: Path) -> None:
    net_a(tmp_path, classes=list("abcde"))
    same, other = (start_from(net((4,), (8,)), tmp_path, classes=classes) for classes in ("abcde", "abcdf"))
    assert "fc.weight" in same.loaded
    assert other.skipped == {"fc.weight": "of other classes there", "fc.bias": "of other classes there"}


def test_nothing_that_fits_and_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = net_a(tmp_path)
    model = net((5,), (7,))
    with pytest.raises(CannotLoad) as refused:
        start_from(model, path, take=("stage1.0.conv",))
    assert str(refused.value) == (
        f"Cannot start from {path}: none of its 16 tensors fits; stage1.0.conv.weight is 4×3×3×3 there, 5×3×3×3 here."
    )
    odd = net((4,), (8,))
    odd.get_submodule("fc").bias.data[0] = torch.nan
    save(odd, path)
    whole = net((4,), (8,))
    before = {n: t.clone() for n, t in whole.state_dict().items()}
    with pytest.raises(CannotLoad, match=r"not every number of fc.bias is finite"):
        start_from(whole, path)
    assert all(torch.equal(t, before[n]) for n, t in whole.state_dict().items())


def test_a_recipe_s_initial_weights_do_not_undo_it(tmp_path: Path) -> None:
    net_a(tmp_path)
    model, recipe = net((4, 4), (8, 8)), revised(initialise="he")
    prepared(model, recipe)
    start_from(model, tmp_path)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    prepared(model, recipe)
    assert all(torch.equal(t, state[n]) for n, t in model.state_dict().items())
