"""What every test may ask for: the real data (`shared`), and texts held against tests/golden (`golden`)."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before anything imports torch, and for the processes that tests start: workers share the cores instead of
# fighting over them, and nobody opens a window.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
os.environ["MPLBACKEND"] = "Agg"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write tests/golden anew instead of comparing with it")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("refusals.txt", text)` fails with a diff where text is not tests/golden/refusals.txt."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--accept"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"tests/golden/{name} is not there yet: make accept writes it", pytrace=False)
        kept = path.read_text(encoding="utf-8")
        if kept != text:
            diff = difflib.unified_diff(
                kept.splitlines(), text.splitlines(), f"tests/golden/{name}", "now", lineterm=""
            )
            pytest.fail("\n".join([*diff, "If this is meant: make accept, then read the diff."]), pytrace=False)

    return compare
