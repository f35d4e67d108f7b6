"""The fixture that everybody's texts lean on: it must fail, and show where."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def test_golden_compares_accepts_and_shows_the_difference(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tests)

    def run(text: str, *options: str) -> tuple[int, str]:
        (tests / "test_it.py").write_text(f"def test_it(golden): golden('a.txt', {text!r})")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(tests)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout

    code, said = run("one\ntwo")
    assert code == 1
    assert "make accept" in said
    assert run("one\ntwo", "--accept")[0] == 0
    assert (tests / "golden" / "a.txt").read_text() == "one\ntwo\n"
    assert run("one\ntwo\n")[0] == 0
    code, said = run("one\nthree")
    assert code == 1
    assert {"-two", "+three"} <= set(said.splitlines())
    assert (tests / "golden" / "a.txt").read_text() == "one\ntwo\n"
