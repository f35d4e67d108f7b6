"""The ascent: images that excite what is asked for, and how much they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotMake, Refusal
from striate.blueprint.said import counted
from striate.data.memory import room_for
from striate.data.preprocessing import Preprocessing
from striate.nn.build import Network
from striate.visualize.deconvnet import RECTIFIERS, name_of, no_gradient, steps_back
from striate.visualize.images import rule_of
from striate.visualize.imagine.objectives import IMAGE, Objective, objective
from striate.visualize.imagine.parametrisation import waves
from striate.visualize.imagine.transformations import Transformation, applied, usual, usual_lr
from striate.visualize.units import channels_first
from striate.visualize.watching import OUT, as_far_as, known, undisturbed

SIDE, MOST = 2048, 1 << 22  # of an image; cells of all images together
HELD = 2 * 4  # bytes for each number on the way there, and as much on the way back
CELLS = 1 << 20  # of images that are measured at once: 20 of 224×224
STEPS = 100_000


class Imagined(NamedTuple):
    """`images`, float32 N×C×H×W in 0..1; `reached`, float32 N: the objective, of the images as they are, without any
    transformation; `parts`: the same of each of its terms, not weighted.
    """

    images: Tensor
    reached: Tensor
    parts: dict[str, Tensor]


class Looking(NamedTuple):
    """A model that is asked how much images are what is wanted."""

    run: Callable[[Tensor], dict[str, Tensor]]
    wanted: Objective
    units: tuple[Any, ...]
    rule: Preprocessing
    like: Tensor  # of the model's device and type
    framed: bool  # zeros around images where the network's own have them

    def scores(self, images: Tensor) -> list[Tensor]:
        """Each term's score of images in 0..1, float N×C×H×W."""
        values = self.run(self.read(images)) if {unit.layer for unit in self.units} - {IMAGE} else {}
        return self.wanted.scores({**values, IMAGE: images}, self.units)

    def read(self, images: Tensor) -> Tensor:
        """As the network reads them."""
        if self.framed and images.shape[2:] == self.rule.grid != self.rule.size:
            top, left = ((size - side) // 2 for size, side in zip(self.rule.size, self.rule.grid, strict=True))
            height, width = self.rule.size
            images = F.pad(images, (left, width - left - images.shape[3], top, height - top - images.shape[2]))
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (self.rule.mean, self.rule.std))
        x = ((images - mean) / std).to(self.like)
        return x.contiguous(memory_format=torch.channels_last)  # a quarter less time on a CPU


@torch.inference_mode(False)
def imagine(
    model: nn.Module,
    wanted: str | Objective,
    size: int | tuple[int, int] | None = None,
    *,
    count: int = 1,
    steps: int = 256,
    lr: float | None = None,
    seed: int = 0,
    start: Tensor | None = None,
    rule: Preprocessing | None = None,
    changes: Sequence[Transformation] | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> Imagined:
    """`count` images made by gradient ascent to have as much as possible of what is `wanted`; the network reads them
    through small random `changes` (None: the usual ones). One seed, one result (on one machine).

    `size` (one side, or height and width) is the network's own unless given; `start`, float N×C×H×W in 0..1, gives
    images to begin with instead of noise. `rule` says how images are prepared, where the model does not. `lr` is Adam's
    (None: the usual one). `tick` is told of steps done.
    Raises NotFound, CannotRead, CannotTrain (no rule, no room in memory), CannotMake (sizes out of bounds), Refusal (no
    gradient, nothing in the image changes it, not a number, an ascent that comes apart).
    """
    wanted, rule = objective(wanted, model), rule or rule_of(model)
    size, count = _sizes(size, count, start, rule)
    lr = usual_lr(size) if lr is None else lr
    if not 0 <= steps <= STEPS or not 0 < lr < float("inf"):
        raise CannotMake(
            f"Cannot imagine in {steps} steps of {lr}.",
            ways=f"0 to {STEPS:,} steps, lr above 0: 256 of {usual_lr(size)} are usual.",
        )
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    changes = usual(size) if changes is None else tuple(changes)
    draws, ways = torch.Generator().manual_seed(seed), waves(rule.channels, size, like.device)
    with looking(model, wanted, rule, like, count * size[0] * size[1]) as looks:
        began = (
            ways.noise(count, draws)
            if start is None
            else ways.amplitudes(start.to(like.device, torch.float32, copy=True))
        )
        amplitudes = began.detach().requires_grad_()
        adam = torch.optim.Adam([amplitudes], lr)
        for step in range(steps):
            images = applied(changes, ways.images(amplitudes), draws)
            amplitudes.grad = -uphill(looks, images, amplitudes, (step, steps), f"lr is {lr:g}; a smaller one may do.")
            adam.step()
            tick(step + 1)
        with torch.no_grad():
            images = ways.images(amplitudes)
            scores = looks.scores(images)
            total = wanted.total(scores)
    if not total.isfinite().all() or not images.isfinite().all():
        raise _apart(wanted, (steps, steps), f"lr is {lr:g}; a smaller one may do.")
    parts = {
        str(term._replace(weight=1.0)): score.float().cpu() for term, score in zip(wanted.terms, scores, strict=True)
    }
    return Imagined(images.cpu(), total.cpu(), parts)


def measured(
    model: nn.Module, x: Tensor, wanted: str | Objective, tick: Callable[[int], None] = lambda done: None
) -> Tensor:
    """How much images have of what is wanted, to hold what was imagined against: float32 N of x, N×C×H×W as the network
    reads them. `tick` is told of images done. Raises NotFound, CannotRead, Refusal.
    """
    wanted, said = objective(wanted, model), list[Tensor]()
    units, done = wanted.units(model), 0
    like = next((p for p in model.parameters() if p.is_floating_point()), x)
    with torch.no_grad(), undisturbed(model), as_far_as(model, {unit.layer for unit in units} - {IMAGE}) as run:
        for part in x.split(max(1, CELLS // max(1, x.shape[-1] * x.shape[-2]))):
            found = _as_maps(model, run(part.to(like)))
            said.append(wanted.total(wanted.scores({**found, IMAGE: part}, units)).cpu())
            tick(done := done + len(part))
    return torch.cat(said)


@contextmanager
def looking(
    model: nn.Module, wanted: Objective, rule: Preprocessing, like: Tensor, cells: int, framed: bool = True
) -> Iterator[Looking]:
    """While it lasts the model can be asked, with gradients, how much images of so many cells in all have of what is
    wanted. Raises NotFound, CannotRead, CannotTrain (no room in memory).
    """
    units = wanted.units(model)
    layers = {unit.layer for unit in units} - {IMAGE}
    _room(model, layers, cells)
    with torch.enable_grad(), undisturbed(model), as_far_as(model, layers) as run:
        yield Looking(lambda x: _as_maps(model, run(x)), wanted, units, rule, like, framed)


def _as_maps(model: nn.Module, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: channels_first(model, value) for name, value in found.items()}


def _room(model: nn.Module, layers: Iterable[str], cells: int) -> None:
    """Raises CannotTrain where one of our networks would hold more on the way to these layers than there is memory."""
    if not isinstance(model, Network):
        return
    inner, nodes = {known(model, layer) for layer in layers}, model.graph.nodes
    end = max((i for i, node in enumerate(nodes) if node.name in inner or OUT in inner), default=0)
    numbers = (
        sum(node.output.size for node in nodes[: end + 1]) * cells / (nodes[0].output.height * nodes[0].output.width)
    )
    room_for(int(HELD * numbers), f"the network on {cells:,} cells of images", "Smaller images, or fewer, want less.")


def uphill(looks: Looking, images: Tensor, of: Tensor, at: tuple[int, int], ways: str = "") -> Tensor:
    """The gradient of what is wanted in images by `of`, N×…, which they are made of, in step at[0] of at[1].

    Where the gradient of an image is 0, units being off, it is that in which rectifiers that would hand on nothing at
    all of an image hand on what asks them to be on. Raises Refusal (no gradient; 0 even so; not a number).
    """
    total = looks.wanted.total(looks.scores(images)).sum()
    if not total.requires_grad:
        raise no_gradient("imagine", looks.wanted)
    gradient = _gradient(total, of, looks, retain=True)
    if (stuck := (gradient == 0).flatten(1).all(1)).any():
        for step in steps_back(total):
            if name_of(step) in RECTIFIERS:
                step.register_hook(_asked)
        freed = _gradient(total, of, looks)
        if at[0] == 0 and (freed[stuck] == 0).flatten(1).all(1).any():
            raise Refusal(
                f"Cannot imagine {looks.wanted}: nothing in the image changes it; its gradient is 0 everywhere.",
                ways="A unit whose weights are all 0, or that is off whatever it reads, has no picture: take another.",
            )
        gradient = torch.where(stuck.view(-1, *[1] * (of.ndim - 1)), freed, gradient)
    if not (total.isfinite() and gradient.isfinite().all()):
        raise _apart(looks.wanted, at, ways)
    return gradient


def _gradient(total: Tensor, of: Tensor, looks: Looking, retain: bool = False) -> Tensor:
    [found] = torch.autograd.grad(total, of, retain_graph=retain, allow_unused=True)
    if found is None:
        raise no_gradient("imagine", looks.wanted)
    return found


def _asked(handed: tuple[Tensor | None, ...], given: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    if handed[0] is None or given[0] is None or not handed[0].ndim:
        return handed
    nothing = (handed[0] == 0).flatten(1).all(1).view(-1, *[1] * (handed[0].ndim - 1))
    return (torch.where(nothing, given[0].clamp(min=0), handed[0]), *handed[1:])


def _apart(wanted: Objective, at: tuple[int, int], ways: str) -> Refusal:
    if not at[0]:
        return Refusal(
            f"Cannot imagine {wanted}: its value, or its gradient, is not a number.",
            ways="The network's weights hold NaN or infinity, or what it computes overflows.",
        )
    return Refusal(
        f"Cannot go on imagining {wanted}: after {counted(at[0], 'step')} of {at[1]} it is not a number.", ways=ways
    )


def _sizes(
    size: int | tuple[int, int] | None, count: int, start: Tensor | None, rule: Preprocessing
) -> tuple[tuple[int, int], int]:
    """Height and width, and how many. Raises CannotMake."""
    if start is not None:
        if start.ndim != 4 or start.shape[1] != rule.channels or not start.isfinite().all():
            raise CannotMake(
                f"Cannot start from {'×'.join(map(str, start.shape))}: N×{rule.channels}×H×W in 0..1 is wanted."
            )
        size, count = (start.shape[2], start.shape[3]), len(start)
    height, width = rule.grid if size is None else (size, size) if isinstance(size, int) else size
    small, large = min(height, width), max(height, width)
    if not (2 <= small <= large <= SIDE and 1 <= count <= MOST // (height * width)):
        raise CannotMake(
            f"Cannot imagine {counted(count, 'image')} of {height}×{width}.",
            ways=f"Sides of 2 to {SIDE:,}, {MOST:,} cells in all.",
        )
    return (height, width), count
