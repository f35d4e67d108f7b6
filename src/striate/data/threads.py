"""Threads of ours beside torch's own."""

from __future__ import annotations

import os

import torch


def apart(threads: int = 1) -> None:
    """This thread computes with so many of torch's threads. One that torch has not told how many it has takes the whole
    program's number with its first operation, whatever was said before: so it asks first.

    What it says of itself is the number for threads to come, too: who begins such threads says theirs again.
    """
    torch.get_num_threads()
    torch.set_num_threads(threads)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
