"""Muon against torch's own on matrices, against AdamW on the rest, and its singular values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.training import muon, revised
from striate.training.optimise import optimizer


def gradients(model: nn.Module, step: int) -> None:
    torch.manual_seed(step)
    for p in model.parameters():
        p.grad = torch.randn_like(p)


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_a_linear_moves_as_torch_s_muon_moves_it(
    shape: tuple[int, int], nesterov: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "products", lambda _: torch.bfloat16)  # as torch has it everywhere
    torch.manual_seed(0)
    ours = nn.Linear(*shape, bias=False)
    theirs = nn.Linear(*shape, bias=False)
    theirs.load_state_dict(ours.state_dict())
    how = {"momentum": 0.9, "weight_decay": 0.1, "nesterov": nesterov}
    mine = optimizer(ours, revised(optimizer="muon", lr=0.02, **how))
    other = torch.optim.Muon(theirs.parameters(), 0.02, adjust_lr_fn="match_rms_adamw", **how)
    for step in range(4):
        gradients(ours, step)
        gradients(theirs, step)
        mine.step()
        other.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=1e-3)  # of moves of 0.02 each
    assert not torch.equal(ours.weight, torch.zeros_like(ours.weight))


def test_the_rest_moves_as_adamw_moves_it() -> None:
    torch.manual_seed(0)
    model, plain = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)) for _ in range(2))
    plain.load_state_dict(model.state_dict())
    recipe = revised(optimizer="muon", lr=0.02, weight_decay=0.1)
    ours, theirs = optimizer(model, recipe), optimizer(plain, revised(recipe, optimizer="adamw"))
    for step in range(3):
        gradients(model, step)
        gradients(plain, step)
        ours.step()
        theirs.step()
    same = {n for (n, a), b in zip(model.named_parameters(), plain.parameters(), strict=True) if torch.allclose(a, b)}
    assert same == {"0.bias", "1.weight", "1.bias", "2.bias"}


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 64, 27), (1, 32, 32)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = muon.orthogonal(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    assert nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_a_convolution_is_a_matrix_of_filters() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 8, 3, bias=False), nn.Linear(27, 8, bias=False)
    linear.weight.data.copy_(conv.weight.flatten(1))
    recipe = revised(optimizer="muon", lr=0.1)
    pair = optimizer(conv, recipe), optimizer(linear, recipe)
    conv.weight.grad = torch.randn(8, 3, 3, 3)
    linear.weight.grad = conv.weight.grad.flatten(1).clone()
    for one in pair:
        one.step()
    torch.testing.assert_close(conv.weight.flatten(1), linear.weight)


def test_unit_matrices_keep_their_length_and_move_by_the_rate() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 32, 3, bias=False)
    optimiser = optimizer(conv, revised(optimizer="muon", lr=0.1, unit=True, weight_decay=0.0))
    conv.weight.data.mul_(7)
    conv.weight.grad = torch.randn_like(conv.weight)
    before = conv.weight.detach() * 32**0.5 / conv.weight.norm()
    optimiser.step()
    move = (conv.weight.detach() - before).norm() / 32**0.5
    assert 0.07 < move < 0.12  # singular values are 0.7 … 1.2
    assert not optimizer(nn.Linear(4, 2, bias=False), revised(optimizer="muon", unit=True)).param_groups[0]["muon"]


@pytest.mark.parametrize(("quintics", "least"), [(1, 0.0), (5, 0.6)])
def test_each_quintic_brings_singular_values_nearer_to_one(quintics: int, least: float) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(muon.orthogonal(torch.randn(1, 32, 96), times=quintics))
    assert (values.min() > 0.6) == (least > 0)
