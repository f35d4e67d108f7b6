"""What a model file may hold is settled when it is written, and again before its weights are taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from striate.blueprint import CannotLoad, CannotWrite, Conv, GlobalPool, Linear, Seq
from striate.nn import Network, build, load, save


@pytest.fixture
def network() -> Network:
    return build(Seq(conv=Conv(2, 3), mean=GlobalPool(), fc=Linear(3)), "1x8x8")


@pytest.mark.parametrize("notes", [{"classes": [0, 1, 2]}, {"provenance": "mine"}, {"classes": {"a"}}])
def test_notes_that_could_not_be_read_back_are_not_written(
    network: Network, tmp_path: Path, notes: dict[str, object]
) -> None:
    with pytest.raises(CannotWrite, match="nobody could read back"):
        save(network, tmp_path / "m.safetensors", **notes)
    assert os.listdir(tmp_path) == []


def test_whole_numbers_are_no_weights(network: Network, tmp_path: Path) -> None:
    path = save(network, tmp_path / "m.safetensors")
    content = path.read_bytes()
    assert content.count(b'"F32"') == 4
    path.write_bytes(content.replace(b'"F32"', b'"I32"', 1))
    with pytest.raises(CannotLoad, match="is of I32, which no such weight is"):
        load(path)
