"""Digits in a folder to stand in."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from striate.data import open_data


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with three digits: 7.png, 4.png, and <b>&.png, which is a 7."""
    images = open_data("digits").test
    for name, label in (("7", 7), ("4", 4), ("<b>&", 7)):
        at = images.labels.tolist().index(label)
        Image.fromarray(images.pixels[at, 0].numpy()).resize((32, 32)).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
