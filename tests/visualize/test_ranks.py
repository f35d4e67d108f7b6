"""Ranks and their correlation are scipy's."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import rankdata, spearmanr

from striate.visualize.ranks import ranks, spearman


def test_equal_values_share_their_places() -> None:
    values = torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0])
    assert ranks(values).tolist() == rankdata(values).tolist() == [4, 1, 4, 2, 4]


def test_rank_correlation_is_scipy_s() -> None:
    chance = torch.Generator().manual_seed(0)
    one = torch.randint(0, 9, (3, 12, 11), generator=chance).float()  # with many ties
    other = one + torch.randn(one.shape, generator=chance) * 3
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(one, other, strict=True)]
    assert spearman(one, other).tolist() == pytest.approx(expected, abs=1e-5)
    assert spearman(one[:1], torch.ones(1, 12, 11)).tolist() == [0.0]
