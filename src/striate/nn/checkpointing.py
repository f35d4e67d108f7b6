"""A network run in parts of which only what goes in is kept; the way back makes the rest again (Chen et al. 2016, arXiv
1604.06174). Gradients are the same; a norm's running statistics are taken once, a dropout's mask is the same twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from striate.cost.segments import segments

if TYPE_CHECKING:
    from striate.nn.build import Network


class Run(NamedTuple):
    """Steps of a network that are made again together, the values they read and give, and their norms."""

    steps: Sequence[Any]
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    norms: tuple[nn.Module, ...]


def runs(network: Network) -> tuple[list[Run], Sequence[Any]]:
    """The steps of `striate.cost.segments`, in runs; those of the last are kept as they are, for the way back begins
    with them.
    """
    graph, steps = network.graph, {step[0]: step for step in network._steps}
    *cut, rest = segments(graph)
    found = []
    for names in cut:
        inside = set(names)
        read = dict.fromkeys(i for name in names for i in graph[name].inputs)
        kept = {i for node in graph if node.name not in inside for i in node.inputs} | set(graph.taps.values())
        parts = {(graph[name].twin or name) for name in names if not isinstance(graph[name].op, str)}
        inner = [module for part in parts for module in network.get_submodule(part).modules()]
        norms = tuple(module for module in inner if hasattr(module, "track_running_stats"))
        leaving = tuple(name for name in names if name in kept)
        entering = tuple(i for i in read if i not in inside)
        found.append(Run([steps[name] for name in names], entering, leaving, norms))
    return found, [steps[name] for name in rest]


def run(network: Network, values: dict[str, Tensor], parts: Sequence[Run]) -> None:
    """Run all parts on `values`, in place."""
    for part in parts:
        entering = {name: values[name] for name in part.entering}
        again = partial(_contexts, part.norms)
        made = checkpoint(_made, network, part, entering, use_reentrant=False, context_fn=again)
        for *_, done in part.steps:
            for name in done:
                values.pop(name, None)
        values |= made


def _made(network: Network, part: Run, entering: dict[str, Tensor]) -> dict[str, Tensor]:
    values = dict(entering)
    network._run(values, part.steps)
    return {name: values[name] for name in part.leaving}


def _contexts(norms: Sequence[nn.Module]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first time, and for the second."""
    return nullcontext(), _still(norms)


@contextmanager
def _still(norms: Sequence[Any]) -> Iterator[None]:
    """Norms whose running statistics stay as they are. (Without any, autograd would save fewer tensors than before.)"""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
