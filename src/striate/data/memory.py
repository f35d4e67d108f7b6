"""Is there memory for it? Asked before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from striate.blueprint import CannotTrain
from striate.cost.units import memory

SMALLER = "A smaller --size wants less."
SHARE = 0.8  # of what is free: the network and its activations want some, too


def free() -> int:
    """Bytes that can be had without swapping; where the system does not say, no bound."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 1 << 62


def fits(wanted: int) -> bool:
    """Whether so many bytes leave the network its share."""
    return wanted <= SHARE * free()


def room_for(wanted: int, what: str, ways: str = "") -> None:
    """Raises CannotTrain where `wanted` bytes would not fit."""
    if not fits(wanted):
        there = free()
        raise CannotTrain(f"Cannot hold {what} in memory: {memory(wanted)} wanted, {memory(there)} free.", "", ways)
