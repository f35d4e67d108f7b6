"""Calibration against an example worked by hand, and against the definition in a loop."""

from __future__ import annotations

import pytest
import torch

from striate.judging.calibration import calibrated


def test_by_hand() -> None:
    """Two images in (14/15, 1], one in (8/15, 9/15]; the gaps are |0.96 - 0.5| of two and |0.58 - 1| of one."""
    found = calibrated(torch.tensor([0.98, 0.94, 0.58]), torch.tensor([1.0, 0.0, 1.0]))
    assert [(b.images, b.accuracy) for b in found.bins] == [(1, 1.0), (2, 0.5)]
    assert [b.confidence for b in found.bins] == pytest.approx([0.58, 0.96])
    assert (found.bins[0].low, found.bins[0].high) == pytest.approx((8 / 15, 9 / 15))
    assert found.error == pytest.approx((1 * 0.42 + 2 * 0.46) / 3)
    assert found.to_json()["bins"][1]["images"] == 2


def test_a_bin_holds_its_upper_end() -> None:
    """(low, high], as Guo et al. have it: 0.5 of two bins is in the first, 1 in the last, 0 in the first."""
    found = calibrated(torch.tensor([0.5, 1.0, 0.0]), torch.ones(3), bins=2)
    assert [b.images for b in found.bins] == [2, 1]


def test_against_the_definition() -> None:
    torch.manual_seed(0)
    sure, right = torch.rand(500), (torch.rand(500) < 0.6).float()
    gaps = 0.0
    for m in range(15):
        inside = (sure.double() > m / 15) & (sure.double() <= (m + 1) / 15)
        if inside.any():
            gaps += inside.sum().item() / 500 * abs(right[inside].mean().item() - sure[inside].mean().item())
    assert calibrated(sure, right).error == pytest.approx(gaps, abs=1e-6)
