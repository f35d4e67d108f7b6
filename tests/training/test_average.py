"""The average of the weights, against its closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.blueprint import BatchNorm, Conv, GlobalPool, Seq
from striate.nn import build
from striate.training.average import Average


def walk(decay: object, steps: int = 30) -> tuple[Average, list[torch.Tensor]]:
    """An average along a walk of random steps, and the weights at each."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average, seen = Average(model, decay), [model.weight.detach().clone()]  # type: ignore[arg-type]
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update(model, step)
        seen.append(model.weight.detach().clone())
    return average, seen


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_an_exponential_average_is_its_closed_form(decay: float) -> None:
    average, seen = walk(decay)
    shares = [min(decay, (1 + step) / (10 + step)) for step in range(1, len(seen))]
    wanted = seen[0].double()
    for share, weights in zip(shares, seen[1:], strict=True):
        wanted = share * wanted + (1 - share) * weights.double()
    torch.testing.assert_close(average.model.weight.double(), wanted, rtol=1e-5, atol=1e-5)


def test_polyak_s_is_the_mean() -> None:
    average, seen = walk("polyak")
    torch.testing.assert_close(average.model.weight, torch.stack(seen[1:]).mean(0), rtol=1e-5, atol=1e-5)


def test_what_is_averaged_can_be_judged_and_saved() -> None:
    torch.manual_seed(0)
    model = build(Seq(Conv(4, 3), BatchNorm(), GlobalPool()), "3x8x8")
    model.metadata["classes"] = ["a"]
    average = Average(model, 0.9)
    model.train()
    for step in (1, 2, 3):
        model(torch.randn(4, 3, 8, 8))
        average.update(model, step)
    assert average.model.graph is model.graph
    assert average.model.metadata == model.metadata
    buffers = zip(average.model.buffers(), model.buffers(), strict=True)
    assert all(torch.equal(mine, now) for mine, now in buffers)
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert {p.data_ptr() for p in model.parameters()}.isdisjoint(p.data_ptr() for p in average.model.parameters())
