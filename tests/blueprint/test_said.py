"""Numbers with what they count."""

from __future__ import annotations

from striate.blueprint.said import counted


def test_one_has_no_plural() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
