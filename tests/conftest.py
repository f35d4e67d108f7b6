"""What every test may ask for: the real data (`shared`), real digits and a network that has learnt them (`digits`,
`learnt`), and texts held against tests/golden (`golden`).
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from striate.data import Splits

ROOT = Path(__file__).parents[1]

# Before anything imports torch, and for the processes that tests start: workers share the cores instead of
# fighting over them, and nobody opens a window.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
os.environ["MPLBACKEND"] = "Agg"
os.environ["STRIATE_DEVICE"] = "cpu"  # to the same bits wherever tests run; those of a GPU ask for it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write tests/golden anew instead of comparing with it")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def cifar10(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 as the standard binary batches."""
    folder = tmp_path_factory.mktemp("cifar10")
    writer = shared.parent / "tools" / "cifar10_batches.py"
    subprocess.run([sys.executable, writer, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def digits() -> Splits:
    from striate.data import open_data

    return open_data("digits")


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory, digits: Splits) -> Path:
    """The run's folder of a small network trained on the digits."""
    from small import network
    from striate.training import train

    out = tmp_path_factory.mktemp("runs") / "small"
    for _ in train(network(), digits, out=out, epochs=12, lr=0.01, threads=1):
        pass
    return out


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
