"""What is only text and arithmetic starts at once: no torch, no numpy, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from striate.cli import VERBS

ROOMS = ["striate", "striate.blueprint", "striate.zoo", "striate.cost", "striate.cli"]
TORCH_FREE = [
    ["--help"],
    ["--version"],
    ["models"],
    ["models", "*res*", "--json"],
    ["ledger", "resnet50"],
    ["ledger", "googlenet", "--format", "json"],
    ["compare", "alexnet", "vgg16"],
    ["leger"],
    *([verb, "--help"] for verb in VERBS),
]


def loaded(code: str) -> set[str]:
    """The names in sys.modules after `code` in a new process."""
    tell = "import sys; print('\\n'.join(sys.modules), file=sys.__stderr__)"
    program = f"try:\n    {code}\nexcept SystemExit as end:\n    assert end.code in (0, None, 2), end\n{tell}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_above_the_line_loads_nothing_heavy(room: str) -> None:
    assert not loaded(f"import {room}") & {"torch", "numpy", "matplotlib", "rich", "lark"}


@pytest.mark.parametrize("arguments", TORCH_FREE, ids=" ".join)
def test_a_torch_free_verb_loads_no_torch(arguments: list[str]) -> None:
    modules = loaded(f"from striate.cli import verbs; verbs.main({arguments!r})")
    assert "striate.cli" in modules
    assert not modules & {"torch", "numpy", "matplotlib"}
