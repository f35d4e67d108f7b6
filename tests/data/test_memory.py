"""Memory that a run works in."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from striate.data.memory import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    blocks = [torch.empty(9 << 18).fill_(1.0) for _ in range(4)]
step(), step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries give memory back in other ways")
def test_what_a_step_gives_back_is_not_asked_for_again_page_by_page() -> None:
    def faults(how: str) -> int:
        return int(
            subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True).stdout
        )

    assert faults("kept") < 0.5 * faults("given back")
