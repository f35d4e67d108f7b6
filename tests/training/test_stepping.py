"""The optimisers that prepare their step once are torch's, to the bit, whatever happens between steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.training import stepping

PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "adamw": (stepping.AdamW, torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1}),
    "sgd": (stepping.SGD, torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "sgd without momentum": (stepping.SGD, torch.optim.SGD, {"lr": 1e-2}),
}


def made(kind: Any, options: dict[str, Any]) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(3, 2, 5)), nn.Parameter(torch.randn(7))]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "weight_decay": 0.0}]
    return parameters, kind(groups, fused=True, **options)


def step(parameters: list[nn.Parameter], optimiser: torch.optim.Optimizer, seed: int, without: int = -1) -> None:
    torch.manual_seed(seed)
    for place, parameter in enumerate(parameters):
        parameter.grad = None if place == without else torch.randn_like(parameter)
    optimiser.step()


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_steps_as_torch_s(name: str) -> None:
    ours, theirs, options = PAIRS[name]
    pairs = [made(kind, options) for kind in (ours, theirs)]
    for at in range(8):
        for parameters, optimiser in pairs:
            optimiser.param_groups[0]["lr"] = 1e-2 / (1 + at)
            step(parameters, optimiser, at, without=1 if at == 4 else -1)
        if at == 5:  # as after a checkpoint was read
            for _, optimiser in pairs:
                optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
        (mine, one), (other, two) = pairs
        assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True)), at
        assert flat(one.state_dict()["state"]) == flat(two.state_dict()["state"])


def flat(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, Tensor) else state


def test_a_step_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, optimiser = made(stepping.AdamW, {"lr": 1e-2})
    step(parameters, optimiser, 0)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: pytest.fail("put together anew"))
    before = parameters[0].detach().clone()
    step(parameters, optimiser, 1)
    assert not torch.equal(parameters[0], before)


def test_parameters_that_come_later_are_stepped_too() -> None:
    parameters, optimiser = made(stepping.SGD, PAIRS["sgd"][2])
    step(parameters, optimiser, 0)
    late = nn.Parameter(torch.ones(4))
    optimiser.add_param_group({"params": [late]})
    step([*parameters, late], optimiser, 1)
    assert not torch.equal(late, torch.ones(4))
