"""How far long work is, said off a terminal now and then."""

from __future__ import annotations

from io import StringIO

import pytest

from striate.judging.counting import counting


def test_lines_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.judging.counting.SILENCE", 0)
    stream = StringIO()
    with counting("Judging a\x1b", 2000, stream) as tick:
        for done in (500, 1500, 2000):
            tick(done)
    lines = stream.getvalue().splitlines()
    assert [line.split(" images, ")[0] for line in lines] == [
        "Judging a\\u001b: 500 of 2,000",
        "Judging a\\u001b: 1,500 of 2,000",
    ]
    assert all(line.endswith(" left") for line in lines)


def test_short_work_says_nothing() -> None:
    stream = StringIO()
    with counting("Judging a", 10, stream) as tick:
        tick(10)
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with counting("Judging [bold]a", 10, stream) as tick:
        tick(7)
    assert "Judging [bold]a" in stream.getvalue()
