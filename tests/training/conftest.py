"""Real digits, and one network that has learnt them."""

from __future__ import annotations

from pathlib import Path

import pytest

from small import network
from striate.data import Splits, open_data
from striate.training import train


@pytest.fixture(scope="session")
def digits() -> Splits:
    return open_data("digits")


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory, digits: Splits) -> Path:
    """The run's folder of a small network trained on the digits."""
    out = tmp_path_factory.mktemp("runs") / "small"
    for _ in train(network(), digits, out=out, epochs=12, lr=0.01, threads=1):
        pass
    return out
