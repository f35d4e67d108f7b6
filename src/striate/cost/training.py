"""Will it fit? What training wants of memory, and the largest batch that memory allows. (docs/memory.md)"""

from __future__ import annotations

from typing import NamedTuple

from striate.blueprint.graph import Graph
from striate.cost.memory import state_bytes
from striate.cost.step import Moment, step

PRECISIONS = {"fp32": False, "bf16": True}  # whether torch.autocast gives products bfloat16
EACH = 1 << 64  # a batch so large that in its bytes what grows with it and what does not stand apart


class Training(NamedTuple):
    """Bytes of one training step, when the optimiser has its state."""

    optimizer: str
    precision: str
    checkpointing: bool
    gradient_bytes: int  # one number for each parameter
    optimizer_bytes: int
    saved_bytes: int  # kept from the way forward for the way back
    peak_bytes: int  # the most there is at once: weights, buffers, these, and what is there for a moment
    peak_at: str  # "backward layer1.0.conv2"


def training(
    graph: Graph, batch: int, size: int, optimizer: str, precision: str = "fp32", checkpointing: bool = False
) -> Training:
    """What a step on so many examples takes. `size`: bytes of a weight, and of a value where precision is fp32."""
    taken = step(graph, batch, size, optimizer, autocast=PRECISIONS[precision], checkpointing=checkpointing)
    weights = size * graph.parameters
    peak = taken.peak
    state = state_bytes(optimizer, graph, size)
    return Training(optimizer, precision, checkpointing, weights, state, taken.saved_bytes, peak.bytes, peak.at)


class Capacity(NamedTuple):
    """The largest batch that fits (0: none), the moment that allows no more, and what that wants for each example."""

    batch: int
    tightest: Moment  # with that batch, or with the 1 that does not fit
    each_bytes: int


def capacity(
    room: int, graph: Graph, optimizer: str = "sgd", precision: str = "fp32", checkpointing: bool = False, size: int = 4
) -> Capacity:
    """The largest batch whose every moment fits into `room` bytes.

    Exact: each moment wants a + b·batch bytes, and one enormous batch tells a and b of all of them.
    """
    taken = step(graph, EACH, size, optimizer, autocast=PRECISIONS[precision], checkpointing=checkpointing)
    lines = (divmod(moment.bytes, EACH) for moment in taken.moments)
    most = [max(0, room - fixed) // each if each else EACH * (fixed <= room) for each, fixed in lines]
    batch = min(most)
    forbid = [moment for moment, n in zip(taken.moments, most, strict=True) if n == batch]
    tightest = max((_with(max(1, batch), moment) for moment in forbid), key=lambda moment: moment.bytes)
    each = next(moment.bytes // EACH for moment in forbid if moment.at == tightest.at)
    return Capacity(batch, tightest, each)


def _with(batch: int, moment: Moment) -> Moment:
    """Of the enormous batch's moment, that of this one."""
    return Moment(moment.at, *(part // EACH * batch + part % EACH for part in moment[1:]))
