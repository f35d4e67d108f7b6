"""Is there memory for it? Asked before anything is allocated."""

from __future__ import annotations

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
