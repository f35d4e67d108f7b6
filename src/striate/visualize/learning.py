"""Can it learn? How values and gradients flow through networks, plain and residual, with one initialisation or another,
with norms or without, before the first step and after some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from striate.blueprint import CannotTrain, NotFound, Refusal
from striate.blueprint.said import counted
from striate.judging.trained import as_read, main_way_out, there
from striate.training.events import LayerFlow
from striate.training.flow import Look, looking, measured, weights
from striate.training.prepare import initialised
from striate.training.recipe import GAUSSIAN
from striate.visualize.images import unheard
from striate.visualize.watching import open_to_hooks, ran

WORDS = ("he", "xavier", "lecun", "gaussian(0.01)")
MOMENTUM = 0.9
BATCH = 64
Step = Callable[[int], None]


class Flowing(NamedTuple):
    """How a network lets values and gradients through after `step` steps (0: as it is): the `loss` on a batch, and,
    layer by layer in the order they run, what `LayerFlow` says. Values are those of learning: a BatchNorm uses the
    batch's own mean and deviation.
    """

    network: str
    step: int
    loss: float
    layers: tuple[LayerFlow, ...]

    @property
    def weighted(self) -> tuple[LayerFlow, ...]:
        """The layers that have a matrix of weights."""
        return tuple(row for row in self.layers if row.weight is not None)

    @property
    def ends(self) -> tuple[float, float, float, float]:
        """Of the first layer with weights and of the last before the classes' scores: how far their values deviate, and
        how large their gradients are, as shares of their weights.
        """
        inner = self.weighted[:-1] or self.weighted
        first, last = inner[0], inner[-1]
        return first.deviation, last.deviation, share(first), share(last)

    def told(self) -> str:
        """In a line."""
        value, values, gradient, gradients = (f"{n:.2g}" for n in self.ends)
        said = f"{self.network}, {counted(self.step, 'step')}: loss {self.loss:.3g}; values deviate by {value} in the"
        said += f" first layer, {values} in the last; gradients are {gradient} of the weight in the first, {gradients}"
        return said + " in the last"

    def to_json(self) -> dict[str, Any]:
        """What is not a finite number is null."""
        rows = [{name: _finite(n) for name, n in asdict(row).items()} for row in self.layers]
        names = ("first_deviation", "last_deviation", "first_gradient_share", "last_gradient_share")
        ends = {name: _finite(n) for name, n in zip(names, self.ends, strict=True)}
        return {"network": self.network, "step": self.step, "loss": _finite(self.loss), **ends, "layers": rows}


def share(row: LayerFlow) -> float:
    """A layer's gradient as a share of its weight, both as norms; 0 where it has none."""
    return row.gradient / row.weight if row.gradient is not None and row.weight else 0.0


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def anew(model: nn.Module, word: str = "he", norms: bool = True, seed: int = 0) -> nn.Module:
    """A copy whose weights are drawn anew: "he" (He et al. 2015, arXiv 1502.01852, equation 10), "xavier" (Glorot &
    Bengio 2010, equation 16), "lecun", "gaussian(0.01)" (a deviation); "": as they are. Without `norms`, its
    BatchNorms do nothing. Raises NotFound.
    """
    if word and word not in WORDS and not GAUSSIAN.fullmatch(word):
        raise NotFound("initialisation", word, WORDS)
    made = deepcopy(model)
    if not norms:
        for parent in list(made.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm):
                    setattr(parent, name, nn.Identity())
    if word:
        initialised(made, word, seed=seed)
    return made


def flows(
    networks: Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    at: Sequence[int] = (0,),
    lr: float = 0.1,
    batch: int = BATCH,
    seed: int = 0,
    tick: Step = unheard,
) -> list[Flowing]:
    """The flow through each network after so many steps (`at`, from 0) of learning x, float N×C×H×W, normalised, whose
    classes are y, int64 N: SGD with momentum 0.9, `batch` images a step, in their order, again and again. A network
    whose loss is no longer finite is not gone on with. All of it on copies: the networks stay as they are. `tick` is
    told of steps done.

    Raises CannotTrain where images, classes and network do not go together.
    """
    if not at or min(at) < 0 or batch < 1:
        raise CannotTrain(f"Cannot look after {[*at]} steps of {batch} images: steps count from 0, images from 1.")
    if not len(x) or len(x) != len(y):
        raise CannotTrain(f"Cannot learn from {counted(len(x), 'image')} with {counted(len(y), 'label')}.")
    found, done = list[Flowing](), 0
    for name, model in networks.items():
        open_to_hooks(model)
        there(model, model.parameters())
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng([]):
            torch.manual_seed(seed)
            copy = deepcopy(model).train().requires_grad_()
            optimiser = torch.optim.SGD(copy.parameters(), lr, MOMENTUM)
            for step in range(max(at) + 1):
                which = torch.arange(step * batch, step * batch + min(batch, len(x))) % len(x)
                loss, layers = _stepped(name, copy, optimiser, as_read(copy, x[which]).clone(), y[which], step in at)
                found += [Flowing(name, step, loss, layers)] if step in at else []
                done += 1
                tick(done)
                if not isfinite(loss):
                    break
    return found


def _stepped(
    name: str, model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, looked: bool
) -> tuple[float, tuple[LayerFlow, ...]]:
    """One step: the loss before it, and where it is looked at the flow."""
    before = weights(model) if looked else {}
    optimiser.zero_grad()
    with looking(model) if looked else nullcontext(Look({})) as look:
        scores = main_way_out(ran(model, x))
    if scores.ndim != 2 or not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]:
        shape = "×".join(map(str, scores.shape))
        raise CannotTrain(
            f"Cannot learn classes {int(y.min())} to {int(y.max())} with {name}: it gives scores of {shape}.",
            ways="Classes are numbers from 0, one for each score of an image.",
        )
    loss = F.cross_entropy(scores.float(), y.to(scores.device))
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    layers = measured(look, before) if looked else ()
    if looked and not any(row.weight is not None for row in layers):
        raise Refusal(f"Cannot see how {name} learns: none of its layers has weights.")
    return loss.item(), layers
