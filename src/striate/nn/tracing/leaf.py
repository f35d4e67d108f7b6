"""A step of somebody's module that is no layer of ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from striate.blueprint import CannotPlace, Layer, Placed, Volume

DETACHED = "aten.detach"


@dataclass(frozen=True, repr=False)
class Traced(Layer):
    """What torch calls the step, and all that is known of it on the volume it was traced on.

    `placed.macs` is None where nobody knows what the step costs. The way back: `to_weights` multiply-adds give the
    gradient of its weights (and whatever else is always wanted), `to_inputs` those of each value it reads, in order.
    """

    op: str
    reads: Volume
    placed: Placed = field(hash=False)
    label: str = ""  # in a few words
    said: str = ""  # as a row of the ledger says it
    to_weights: int = 0
    to_inputs: tuple[int, ...] = ()

    def place(self, volume: Volume) -> Placed:
        if volume != self.reads:
            why = f"It was traced on {self.reads}, and what it does elsewhere is not known."
            raise CannotPlace(self, volume, why, otherwise=f"trace the module again, on an input that gives {volume}")
        return self.placed

    @property
    def detached(self) -> bool:
        """No gradient goes back through it."""
        return self.op == DETACHED

    def __repr__(self) -> str:
        return self.said or self.op
