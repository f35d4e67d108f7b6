"""Where memory ran out: what was asked for, what there is, and which batch fits."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

from striate.blueprint import CannotTrain
from striate.cost.training import capacity, training
from striate.cost.units import memory
from striate.data.memory import SHARE, free
from striate.training.events import Event, Kept
from striate.training.lesson import Lesson

SIGNS = (
    "DefaultCPUAllocator: can't allocate memory",
    "std::bad_alloc",
    "could not create a memory",
    "could not create a primitive",
)


def ran_out(error: BaseException) -> bool:
    """Whether this is how torch says so: on a GPU by its own error, on the processor in words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in SIGNS)


def within_memory(course: Lesson, events: Iterator[Event]) -> Iterator[Event]:
    """The same events; where memory runs out, CannotTrain."""
    safe = ""
    try:
        for event in events:
            if isinstance(event, Kept):
                safe = f"{event.path} still holds epoch {event.epoch}."
            yield event
        return
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
    del events  # and with them, now that the error is gone too, all that the step held
    raise exhausted(course, safe)


def exhausted(course: Lesson, safe: str = "") -> CannotTrain:
    """The refusal. Lets the gradients go, to see how much there is."""
    for parameter in course.model.parameters():
        parameter.grad = None
    gc.collect()
    batch, there = -(-len(course.learnt) // len(course.batches)), room(course)  # they are of equal size
    fact = f"Cannot train with batches of {batch} images of {course.preprocessing.volume}: memory ran out."
    graph = getattr(course.model, "graph", None)
    if graph is None:
        return CannotTrain(fact, f"{memory(there)} are there.", " ".join(filter(None, ("A smaller batch_size.", safe))))
    precision = "bf16" if course.dtype == torch.bfloat16 else "fp32"
    way = (course.recipe.optimizer, precision, getattr(course.model, "checkpointing", False))
    needed = training(graph, batch, 4, *way).peak_bytes
    fits = min(capacity(int(SHARE * there), graph, *way).batch, batch - 1)
    numbers = f"A step holds {memory(needed)} and what its kernels take beside; {memory(there)} are there."
    ways = f"A batch size of {fits} fits." if fits > 0 else "Not even one image fits; a smaller --size wants less."
    return CannotTrain(fact, numbers, " ".join(filter(None, (ways, safe))))


def room(course: Lesson) -> int:
    """Bytes that a step may take: what is free, and what the network itself has."""
    model = course.model
    own = sum(tensor.untyped_storage().nbytes() for tensor in (*model.parameters(), *model.buffers()))
    if course.device.type == "cuda":
        torch.cuda.empty_cache()
        return own + int(torch.cuda.mem_get_info(course.device)[0])
    left, (limit, _) = free(), resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        left = min(left, limit - pages * resource.getpagesize())
    return own + left
