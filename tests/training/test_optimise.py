"""How the learning rate goes, held against closed forms and torch's schedulers; what each optimiser does and keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as theirs

from striate.cost.memory import state_bytes
from striate.nn import build
from striate.training import Recipe, revised
from striate.training.optimise import cuts, optimizer, rate, restore
from striate.training.recipe import Recipe as Data


def at(recipe: Data, steps: int) -> list[float]:
    return [rate(recipe, step, steps) for step in range(1, steps + 1)]


def scheduled(steps: int, make: Any, lr: float) -> list[float]:
    """The rates of torch's scheduler at each of so many steps."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    scheduler, rates = make(optimiser), []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_learning_rate_rises_once_and_falls_to_nearly_nothing(schedule: str) -> None:
    rates = at(revised(lr=2.0, warm_up=0.25, schedule=schedule), 100)
    top = rates.index(max(rates))
    assert max(rates) == 2.0
    assert top in (24, 25)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 0.05
    assert rates[0] == pytest.approx(2 / 25)


def test_one_cycle_is_a_triangle() -> None:
    recipe = revised(lr=0.8, warm_up=0.25, schedule="one-cycle")
    assert at(recipe, 8) == pytest.approx([0.4, 0.8, *(0.8 * (6 - i) / 6 for i in range(6))])


def test_cosine_is_torch_s() -> None:
    recipe = revised(lr=0.3, warm_up=0, schedule="cosine")
    assert at(recipe, 40) == pytest.approx(scheduled(40, lambda o: theirs.CosineAnnealingLR(o, 40), 0.3))


def test_step_is_torch_s() -> None:
    recipe = revised(lr=0.1, warm_up=0, schedule="step", milestones=(0.5, 0.75), factor=0.2)
    assert at(recipe, 40) == pytest.approx(scheduled(40, lambda o: theirs.MultiStepLR(o, [20, 30], 0.2), 0.1))


def test_each_milestone_may_have_its_own_factor() -> None:
    recipe = revised(lr=1, warm_up=0, schedule="step", milestones=(0.25, 0.5), factor=(0.5, 0.1))
    assert at(recipe, 8) == pytest.approx([1, 1, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05])


@pytest.mark.parametrize(("every", "epochs"), [(1, 10), (8, 20), (2.4, 24)])
def test_exponential_is_torch_s_every_so_many_epochs(every: float, epochs: int) -> None:
    recipe = revised(lr=0.1, warm_up=0, schedule="exponential", factor=0.96, every=every, epochs=epochs)
    each = 10  # steps an epoch
    falls = scheduled(epochs * each, lambda o: theirs.StepLR(o, round(every * each), 0.96), 0.1)
    assert at(recipe, epochs * each) == pytest.approx(falls)


def test_constant_stays_after_its_warm_up() -> None:
    recipe = revised(lr=0.5, warm_up=0.1, schedule="constant")
    assert [rate(recipe, step, 50) for step in (5, 6, 50)] == [0.5, 0.5, 0.5]
    assert rate(revised(lr=0.5, warm_up=0, schedule="constant"), 1, 50) == 0.5
    assert rate(recipe, 2, 50) == pytest.approx(0.2)


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torch_s(patience: int) -> None:
    recipe = revised(lr=1.0, warm_up=0, schedule="plateau", factor=0.5, patience=patience)
    losses = [3, 2, 2.5, 1.99995, 2.2, 2.1, 1.5, 1.6, 1.5, 1.5, 1.4999, 1.7, 1.8, 1.2, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3]
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = theirs.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience)
    for epoch, loss in enumerate(losses, 1):
        scheduler.step(loss)
        ours = rate(recipe, 50, 100, cuts(recipe, losses[:epoch]))
        assert ours == pytest.approx(optimiser.param_groups[0]["lr"])
    assert cuts(recipe, losses) > 0
    assert cuts(revised(schedule="constant"), losses) == cuts(recipe, []) == 0


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))


def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int = 5, first: int = 0) -> list[torch.Tensor]:
    for step in range(first, first + steps):
        torch.manual_seed(step)
        nn.functional.cross_entropy(model(torch.randn(8, 3, 8, 8)), torch.randint(2, (8,))).backward()
        optimiser.step()
        optimiser.zero_grad()
    return [p.detach().clone() for p in model.parameters()]


TORCH_S = {  # fields, and torch's own optimiser with the same numbers
    "sgd": (
        {"optimizer": "sgd", "lr": 0.1, "momentum": 0.8, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.01, nesterov=True),
    ),
    "sgd, Polyak's": (
        {"optimizer": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": False, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.01),
    ),
    "sgd without momentum": (
        {"optimizer": "sgd", "lr": 0.1, "momentum": 0, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01),
    ),
    "rmsprop": (
        {"optimizer": "rmsprop", "lr": 0.01, "momentum": 0.9, "second": 0.8, "eps": 0.1, "weight_decay": 0.01},
        lambda p: torch.optim.RMSprop(p, 0.01, 0.8, 0.1, 0.01, 0.9),
    ),
    "adamw": (
        {"optimizer": "adamw", "lr": 0.01, "momentum": 0.8, "second": 0.99, "eps": 1e-4, "weight_decay": 0.1},
        lambda p: torch.optim.AdamW(p, 0.01, (0.8, 0.99), 1e-4, 0.1, fused=True),
    ),
}


@pytest.mark.parametrize("name", TORCH_S)
def test_an_optimiser_does_what_torch_s_does(name: str) -> None:
    fields, make = TORCH_S[name]
    ours, theirs = small(), small()
    recipe = revised(**fields, decay_all=True)
    pairs = zip(stepped(ours, optimizer(ours, recipe)), stepped(theirs, make(list(theirs.parameters()))), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


KINDS = ["adamw", "sgd", "rmsprop", "muon"]


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_weights_decay_norms_and_biases_where_it_is_said(name: str, everything: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    groups = optimizer(model, revised(optimizer=name, weight_decay=0.1, decay_all=everything)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    other = 0.1 if everything else 0.0
    expected = {"1.weight": other, "1.bias": other, "0.bias": other, "2.weight": 0.1, "2.bias": other}
    assert {n: decay[id(p)] for n, p in model.named_parameters() if id(p) in decay} == expected


@pytest.mark.parametrize("name", KINDS)
def test_what_an_optimiser_remembers_goes_through_a_file_and_back(name: str) -> None:
    """Numbers, words, lists and tensors that lost their layout: the same bits after it, channels last too."""
    recipe = revised(optimizer=name, lr=0.01)
    whole, cut = small().to(memory_format=torch.channels_last), small().to(memory_format=torch.channels_last)
    expected = stepped(whole, optimizer(whole, recipe), 6)
    before = optimizer(cut, recipe)
    stepped(cut, before, 3)
    state = before.state_dict()
    tensors = {
        i: {k: v.contiguous() if isinstance(v, torch.Tensor) else v for k, v in kept.items()}
        for i, kept in state["state"].items()
    }
    groups = json.loads(json.dumps(state["param_groups"]))  # no more than JSON can say
    listed = [{k: list(v) if isinstance(v, tuple) else v for k, v in g.items()} for g in state["param_groups"]]
    assert groups == listed
    after = optimizer(cut, recipe)
    restore(after, {"state": tensors, "param_groups": groups})
    for mine, other in zip(stepped(cut, after, 3, first=3), expected, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("name", KINDS)
def test_the_ledger_knows_what_is_remembered(name: str) -> None:
    model = build("resnet20")
    optimiser = optimizer(model, revised(optimizer=name))
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    kept = [v for state in optimiser.state.values() for k, v in state.items() if k != "step" and v is not None]
    assert sum(v.numel() * v.element_size() for v in kept) == state_bytes(name, model.graph, 4)


def test_the_default_is_adamw() -> None:
    assert isinstance(optimizer(small(), Recipe()), torch.optim.AdamW)
