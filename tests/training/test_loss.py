"""The loss at every way out, smoothed, mixed, weighted."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from striate.training import revised
from striate.training.loss import class_weights, loss_of

LOGITS, SIDE = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.ones(6, 4).cumsum(1)
LABELS = torch.tensor([0, 1, 2, 3, 0, 0])


def by_hand(logits: torch.Tensor, shares: torch.Tensor, smoothing: float, weights: torch.Tensor) -> float:
    targets = shares * (1 - smoothing) + smoothing / logits.shape[1]
    return float(-(targets * weights * logits.log_softmax(1)).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_mean_over_the_batch(smoothing: float, weighted: bool) -> None:
    recipe = revised(label_smoothing=smoothing)
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0])
    found = loss_of(LOGITS, LABELS, recipe, weights if weighted else None)
    shares = F.one_hot(LABELS, 4).float()
    assert found.item() == pytest.approx(by_hand(LOGITS, shares, smoothing, weights if weighted else torch.ones(4)))
    mixed = 0.7 * shares + 0.3 * shares.flip(0)
    found = loss_of(LOGITS, mixed, recipe, weights if weighted else None)
    assert found.item() == pytest.approx(by_hand(LOGITS, mixed, smoothing, weights if weighted else torch.ones(4)))


def test_halves_of_a_weighted_batch_add_up() -> None:
    recipe, weights = revised(), torch.tensor([0.5, 1.0, 2.0, 3.0])
    halves = [loss_of(LOGITS[i : i + 3], LABELS[i : i + 3], recipe, weights) for i in (0, 3)]
    assert sum(halves).item() / 2 == pytest.approx(loss_of(LOGITS, LABELS, recipe, weights).item())  # type: ignore[union-attr]


def test_a_share_of_each_further_way_out() -> None:
    outputs = {"out": LOGITS, "aux": SIDE, "features": torch.randn(6, 9)}
    parts = [F.cross_entropy(each, LABELS).item() for each in (LOGITS, SIDE)]
    assert loss_of(outputs, LABELS, revised(auxiliary=0.3)).item() == pytest.approx(parts[0] + 0.3 * parts[1])
    assert loss_of(outputs, LABELS, revised(auxiliary=0)).item() == pytest.approx(parts[0])


def test_balanced_is_scikit_learn_s() -> None:
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    theirs = sklearn.compute_class_weight("balanced", classes=LABELS.unique().numpy(), y=LABELS.numpy())
    found = class_weights(LABELS, 4, revised(class_weights="balanced"))
    assert found is not None
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), torch.from_numpy(theirs), rtol=1e-6, atol=0)
    assert found[LABELS].mean().item() == pytest.approx(1)
    assert class_weights(LABELS, 4, revised()) is None
    absent = class_weights(LABELS, 5, revised(class_weights="balanced"))
    assert absent is not None
    torch.testing.assert_close(absent, torch.cat((found, torch.zeros(1))))
