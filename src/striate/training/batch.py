"""The largest batch that memory allows, found by really training with it: on a copy, whose weights, statistics and
generators nobody sees again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from striate.blueprint import CannotTrain
from striate.cost.training import capacity
from striate.data import Splits
from striate.data.memory import SHARE, free
from striate.training.average import Average
from striate.training.exhausted import ran_out
from striate.training.lesson import Lesson
from striate.training.optimise import optimizer
from striate.training.recipe import Recipe, revised
from striate.training.sanity import aside, stepped

FIRST, MOST = 16, 1024  # images of the first try; of the last: with more, what is learnt from an image falls
HEADROOM = 0.1  # of the largest batch, left free: memory is shared, and in pieces
STEPS = 2  # of a try: from the second on the optimiser has its state


@dataclass(frozen=True)
class Batch:
    """`size`, to train with; `largest`, which ran; `tried`, in order: images, and whether they ran; `why` no more."""

    size: int
    largest: int
    tried: tuple[tuple[int, bool], ...]
    why: str

    def __str__(self) -> str:
        return f"Batches of {self.size:,} images: {self.why}."


def find_batch(
    model: nn.Module,
    data: Splits,
    recipe: Recipe | None = None,
    most: int = MOST,
    tick: Callable[[int, bool], None] | None = None,
    **fields: Any,
) -> Batch:
    """The batch size for `train(model, data, recipe, **fields)`: doubled until memory runs out, then in between, to an
    eighth; a tenth less than the largest that ran. `tick` is told of each try. `model` and torch's generators stay.

    On a processor no more is tried than is foretold to fit: there the system would end the program where a GPU refuses.
    On a GPU steps are tried as they are, not captured, which may take a little more; that is of the tenth.
    Raises CannotTrain where not even one image fits, or where nothing can be foretold; and as `train`.
    """
    recipe = revised(recipe, **fields)
    with aside(model, data, revised(recipe, batch_size=min(2, len(data.train)))) as course:
        ran, failed, tried = 0, 0, list[tuple[int, bool]]()
        optimiser = optimizer(course.model, course.recipe)
        average = Average(course.model, recipe.ema) if recipe.ema is not None else None
        bound = min(
            (len(course.learnt), "there are no more"),
            (most, "more are not tried, whatever memory allows"),
            _foretold(course),
        )
        size = min(FIRST, bound[0])
        while size > ran:
            fits = _runs(course, optimiser, size)
            tried.append((size, fits))
            if tick:
                tick(size, fits)
            ran, failed = (size, failed) if fits else (ran, size)
            size = _next(ran, failed, bound[0])
        del average
        if not ran:
            volume = course.preprocessing.volume
            raise CannotTrain(
                f"Cannot train on {volume}: memory runs out with one image.", ways="A smaller --size wants less."
            )
    if not failed:
        return Batch(ran, ran, tuple(tried), bound[1])
    return Batch(
        _with_headroom(ran), ran, tuple(tried), f"{ran:,} ran, {failed:,} ran out of memory, a tenth stays free"
    )


def _next(ran: int, failed: int, most: int) -> int:
    """What to try now; no more than `ran` where there is nothing left to find out."""
    if not failed:
        return min(2 * ran, most)
    between = (ran + failed) // 2
    return between if failed - ran > max(1, ran // 8) else ran


def _with_headroom(size: int) -> int:
    """A tenth less, and a multiple of 8 where that is little."""
    size = max(1, int((1 - HEADROOM) * size))
    return size - size % 8 if size >= 64 else size


def _foretold(course: Lesson) -> tuple[int, str]:
    """What the ledger says of a processor's memory; of a GPU's, nothing, which is tried."""
    if course.device.type == "cuda":
        return 1 << 62, ""
    graph = getattr(course.model, "graph", None)
    if graph is None:
        raise CannotTrain(
            "Cannot find a batch size for a network that was not built from a blueprint: what it takes is not known, "
            "and where memory runs out the system ends the program.",
            ways="A number.",
        )
    precision = "bf16" if course.dtype == torch.bfloat16 else "fp32"
    way = course.recipe.optimizer, precision, getattr(course.model, "checkpointing", False)
    return capacity(int(SHARE * free()), graph, *way).batch, "more are foretold not to fit"


def _runs(course: Lesson, optimiser: torch.optim.Optimizer, size: int) -> bool:
    """Whether steps with so many images do. Afterwards nothing of them is held."""
    try:
        _steps(course, optimiser, size)
        return True
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
    optimiser.zero_grad()  # and with the error went what the step held
    optimiser.state.clear()  # it may have been made in part
    gc.collect()
    if course.device.type == "cuda":
        torch.cuda.empty_cache()
    return False


def _steps(course: Lesson, optimiser: torch.optim.Optimizer, size: int) -> None:
    x = torch.randn(size, *course.preprocessing.volume, device=course.device)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(size, device=course.device) % len(course.learnt.classes)
    for _ in range(STEPS):
        stepped(course, optimiser, x, y, 0.0)
