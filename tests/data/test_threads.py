"""Threads of ours keep to the number that they are told."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from striate.data.threads import apart


def test_a_thread_keeps_to_its_number_when_it_computes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1, initializer=apart) as pool:
            pool.submit(int).result()
            torch.set_num_threads(2)  # as who begins it does
            assert pool.submit(lambda: (torch.ones(1 << 20).sum(), torch.get_num_threads())[1]).result() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


ONE = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import threading
from striate.data import open_data
from striate.data.pictures import File
from striate.data.survey import survey

seen, read = set(), File.read
File.read = lambda *said: (seen.add(threading.current_thread().name.rpartition("_")[2]), read(*said))[1]
open_data({photos!r}, 8)
there = open_data({photos!r}, 8, looking=True)
survey(there, "photos")
print(*seen)
"""
AFTER = "import torch; from striate.data import open_data; {opened}; print(torch.get_num_threads())"


def said(program: str) -> str:
    there = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run([sys.executable, "-c", program], env=there, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that gives a process its cores")
def test_on_one_core_one_thread_decodes(shared: Path) -> None:
    assert said(ONE.format(photos=str(shared / "hymenoptera"))) == "0\n"


def test_decoding_leaves_torch_its_threads(shared: Path) -> None:
    opened = f"open_data({str(shared / 'hymenoptera')!r}, 8)"
    assert said(AFTER.format(opened=opened)) == said(AFTER.format(opened="0"))
