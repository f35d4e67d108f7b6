"""A step as one CUDA graph: said once by the processor, repeated by the GPU, and nobody waits for its loss.

What is repeated are the very kernels of a step that was said in full; so shapes must come again, and nothing in a step
may ask what came out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from striate.data import Images
from striate.training.lesson import Lesson
from striate.training.loss import loss_of
from striate.training.quickened import quickened
from striate.training.ranks import ALONE

FULL = 2  # steps of a shape that are said in full before it is captured: then all that is made once is made
BEHIND = 2  # steps that may be under way before the loss of the first is read
COMPILED = "max-autotune-no-cudagraphs"  # torch.compile's word: kernels are chosen by trial; the graph is ours
Learn = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Late:
    """A step whose loss is still on its way from the GPU."""

    step: int
    epoch: int
    lr: float
    seen: int
    there: Tensor
    arrived: Any

    @classmethod
    def sent(cls, step: int, epoch: int, lr: float, seen: int, loss: Tensor) -> Late:
        arrived = torch.cuda.Event() if loss.is_cuda else None
        there = loss.to("cpu", non_blocking=True)
        if arrived:
            arrived.record()
        return cls(step, epoch, lr, seen, there, arrived)

    def read(self) -> float:
        """Waits for it."""
        if self.arrived:
            self.arrived.synchronize()
        return self.there.item()


@dataclass
class Captured:
    """`learn`, which does all of a step and gives its loss, as one graph for each shape of batch."""

    learn: Learn
    clear: Callable[[], None]  # of gradients: those of a graph are its own
    said: dict[Any, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    told: bool = False
    graphs: dict[Any, tuple[Any, Tensor, Tensor, Tensor]] = field(default_factory=dict)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss, on the GPU, until the next step."""
        shape = (x.shape, y.shape, x.stride())
        if shape not in self.graphs:
            self.said[shape] = self.said.get(shape, 0) + 1
            if self.refused or self.said[shape] <= FULL or not self._captured(shape, x, y):
                return self._full(x, y)
        graph, here, labels, loss = self.graphs[shape]
        here.copy_(x)
        labels.copy_(y)
        graph.replay()
        return loss

    def _full(self, x: Tensor, y: Tensor) -> Tensor:
        aside = torch.cuda.Stream(x.device)
        aside.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(aside), _quickest():
            loss = self.learn(x, y)
        torch.cuda.current_stream(x.device).wait_stream(aside)
        return loss

    def _captured(self, shape: Any, x: Tensor, y: Tensor) -> bool:
        """Whether a graph was made of it: a network may ask what came out of a layer, which none can."""
        graph, here, labels = torch.cuda.CUDAGraph(), x.clone(), y.clone()
        self.clear()
        try:
            with _quickest(), torch.cuda.graph(graph):
                loss = self.learn(here, labels)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.refused.append(str(error).splitlines()[0])
            self.clear()
            _unbound(x.device)
            return False
        self.graphs[shape] = graph, here, labels, loss
        return True

    def news(self) -> list[str]:
        """Why steps are not captured after all; once."""
        if self.told or not self.refused:
            return []
        self.told = True
        return [f"Steps are not captured: {self.refused[0]}"]


def _unbound(device: torch.device) -> None:
    """Chance drawn freely again: a capture that failed leaves the generator waiting for its end."""
    ours = torch.cuda.default_generators[device.index or 0]
    ours.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())


def _quickest() -> Any:
    """cuDNN tries its ways on each new shape: they come again."""
    tf32 = torch.backends.cudnn.allow_tf32
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=tf32)


def why_not(course: Lesson) -> str:
    """What keeps a step from being captured; "" where nothing does."""
    recipe, model = course.recipe, course.model
    if course.device.type != "cuda":
        return f"it runs on {course.device}"
    if course.ranks != ALONE:
        return "several processes share it"
    if recipe.accumulate > 1:
        return f"it is of {recipe.accumulate} gradients"
    if getattr(model, "checkpointing", False):
        return "it makes values again"
    if not isinstance(course.learnt, Images):
        return "its images come from the disk, and some may be left out"
    return ""


def unasked(course: Lesson) -> str:
    """What to say where steps are not captured though they were to be, or on a GPU usually are."""
    why, word = why_not(course), course.recipe.step
    usual = word == "auto" and course.device.type == "cuda"
    return f"Steps are not captured: {why}." if why and (usual or word in ("captured", "compiled")) else ""


def captured(
    course: Lesson, joined: nn.Module, optimiser: torch.optim.Optimizer, counts: Tensor | None
) -> Captured | None:
    """A step of this lesson as a graph; None where each is to be said in full."""
    recipe = course.recipe
    if recipe.step == "plain" or why_not(course):
        return None
    compiled = recipe.step == "compiled"
    network: Any = quickened(joined)
    network = torch.compile(network, dynamic=False, mode=COMPILED) if compiled else network
    trained = [p for group in optimiser.param_groups for p in group["params"]]

    def learn(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(course.device.type, course.dtype, enabled=course.dtype != torch.float32):
            outputs = network(x)
        loss = loss_of(outputs, y, recipe, counts)
        loss.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(trained, recipe.clip)
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach()

    return Captured(learn, optimiser.zero_grad)
