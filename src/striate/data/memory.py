"""Is there memory for it? Asked before anything is allocated."""

from __future__ import annotations

from functools import cache

import torch

from striate.blueprint import CannotTrain
from striate.cost.memory import available
from striate.cost.units import memory

SMALLER = "A smaller --size wants less."
SHARE = 0.8  # of what is free: the network and its activations want some, too


def free() -> int:
    """Bytes that can be had without swapping; where the system does not say, no bound."""
    return available() or 1 << 62


def fits(wanted: int) -> bool:
    """Whether so many bytes leave the network its share."""
    return wanted <= SHARE * free()


def room_for(wanted: int, what: str, ways: str = "") -> None:
    """Raises CannotTrain where `wanted` bytes would not fit."""
    if not fits(wanted):
        there = free()
        raise CannotTrain(f"Cannot hold {what} in memory: {memory(wanted)} wanted, {memory(there)} free.", "", ways)


@cache
def keep_freed() -> None:
    """What a step gives back should not go to the system, to be asked for again page by page: glibc keeps blocks as
    large as the largest that was once given back, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD).
    """
    block = torch.empty(31 << 20, dtype=torch.uint8)
    del block
