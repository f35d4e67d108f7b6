"""The ascent: images that excite what is asked for, and how much they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotMake, Refusal
from striate.blueprint.said import counted
from striate.data.preprocessing import LARGEST, Preprocessing
from striate.judging.trained import preprocessing_of
from striate.visualize.deconvnet import RULES, name_of, no_gradient, steps_back
from striate.visualize.imagine.objectives import IMAGE, Objective, objective
from striate.visualize.imagine.parametrisation import waves
from striate.visualize.imagine.transformations import Transformation, applied, usual
from striate.visualize.watching import as_far_as, undisturbed

MOST = 1 << 24  # cells of all images together
CELLS = 1 << 20  # of images that are measured at once: 20 of 224×224
STEPS = 100_000


class Imagined(NamedTuple):
    """`images`, float32 N×C×H×W in 0..1; `reached`, float32 N: the objective, of the images as they are, without any
    transformation; `parts`: the same of each of its terms, not weighted.
    """

    images: Tensor
    reached: Tensor
    parts: dict[str, Tensor]


class _Looking(NamedTuple):
    """A model that is asked how much images are what is wanted."""

    run: Callable[[Tensor], dict[str, Tensor]]
    wanted: Objective
    units: tuple[Any, ...]
    rule: Preprocessing
    like: Tensor  # of the model's device and type

    def scores(self, images: Tensor, framed: bool = True) -> list[Tensor]:
        """Each term's score of images in 0..1."""
        values = self.run(self.read(images, framed)) if {unit.layer for unit in self.units} - {IMAGE} else {}
        return self.wanted.scores({**values, IMAGE: images}, self.units)

    def read(self, images: Tensor, framed: bool) -> Tensor:
        """As the network reads them: zeros around them where its own images have them."""
        if framed and images.shape[2:] == self.rule.grid != self.rule.size:
            top, left = ((size - side) // 2 for size, side in zip(self.rule.size, self.rule.grid, strict=True))
            height, width = self.rule.size
            images = F.pad(images, (left, width - left - images.shape[3], top, height - top - images.shape[2]))
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (self.rule.mean, self.rule.std))
        return ((images - mean) / std).to(self.like)


def imagine(
    model: nn.Module,
    wanted: str | Objective,
    size: int | tuple[int, int] | None = None,
    *,
    count: int = 1,
    steps: int = 256,
    lr: float = 0.1,
    seed: int = 0,
    start: Tensor | None = None,
    rule: Preprocessing | None = None,
    changes: Sequence[Transformation] | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> Imagined:
    """`count` images made by gradient ascent to have as much as possible of what is `wanted`; the network reads them
    through small random `changes` (None: the usual ones). One seed, one result (on one machine).

    `size` (one side, or height and width) is the network's own unless given; `start`, float N×C×H×W in 0..1, gives
    images to begin with instead of noise. `rule` says how images are prepared, where the model does not. `tick` is told
    of steps done; `lr` is Adam's. Raises NotFound, CannotRead, CannotTrain (no rule), CannotMake (sizes out of bounds),
    Refusal (no gradient, nothing in the image changes it, not a number, an ascent that comes apart).
    """
    wanted, rule = objective(wanted), rule or preprocessing_of(model)
    size, count = _sizes(size, count, start, rule)
    if not 0 <= steps <= STEPS or not 0 < lr < float("inf"):
        raise CannotMake(
            f"Cannot imagine in {steps} steps of {lr}.",
            ways=f"0 to {STEPS:,} steps, lr above 0: 256 of 0.1 are usual.",
        )
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    changes = usual(size) if changes is None else tuple(changes)
    draws, ways = torch.Generator().manual_seed(seed), waves(rule.channels, size, like.device)
    with _looking(model, wanted, rule, like) as looking:
        began = ways.noise(count, draws) if start is None else ways.amplitudes(start.to(like.device, torch.float32))
        amplitudes = began.detach().requires_grad_()
        adam = torch.optim.Adam([amplitudes], lr)
        for step in range(steps):

            def uphill(let_through: bool) -> Tensor:
                images = applied(changes, ways.images(amplitudes), draws)
                return _uphill(looking, images, amplitudes, let_through)

            gradient = uphill(False)
            if (stuck := (gradient == 0).flatten(1).all(1)).any():
                freed = uphill(True)
                if step == 0 and (freed[stuck] == 0).flatten(1).all(1).any():
                    raise Refusal(
                        f"Cannot imagine {wanted}: nothing in the image changes it; its gradient is 0 everywhere.",
                        ways="A unit whose weights are all 0, or that is off whatever it reads, has no picture: "
                        "take another.",
                    )
                gradient = torch.where(stuck.view(-1, 1, 1, 1, 1), freed, gradient)
            if not gradient.isfinite().all():
                raise _apart(wanted, step, steps, lr)
            amplitudes.grad = -gradient
            adam.step()
            tick(step + 1)
        with torch.no_grad():
            images = ways.images(amplitudes)
            scores = looking.scores(images)
            total = wanted.total(scores)
    if not total.isfinite().all() or not images.isfinite().all():
        raise _apart(wanted, steps, steps, lr)
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
    wanted, said = objective(wanted), list[Tensor]()
    units, done = wanted.units(model), 0
    like = next((p for p in model.parameters() if p.is_floating_point()), x)
    with torch.no_grad(), undisturbed(model), as_far_as(model, {unit.layer for unit in units} - {IMAGE}) as run:
        for part in x.split(max(1, CELLS // max(1, x.shape[-1] * x.shape[-2]))):
            said.append(wanted.total(wanted.scores({**run(part.to(like)), IMAGE: part}, units)).cpu())
            tick(done := done + len(part))
    return torch.cat(said)


@contextmanager
def _looking(model: nn.Module, wanted: Objective, rule: Preprocessing, like: Tensor) -> Iterator[_Looking]:
    units = wanted.units(model)
    layers = {unit.layer for unit in units} - {IMAGE}
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(model), as_far_as(model, layers) as run:
        yield _Looking(run, wanted, units, rule, like)


def _uphill(looking: _Looking, images: Tensor, amplitudes: Tensor, let_through: bool) -> Tensor:
    """The gradient of what is wanted by the amplitudes. With `let_through`, where a rectifier would hand on nothing at
    all of an image, what asks it to be on passes: so an image finds out of where a unit is off and its gradient 0.
    """
    total = looking.wanted.total(looking.scores(images)).sum()
    if not total.isfinite():
        return torch.full_like(amplitudes, float("nan"))
    if let_through:
        for step in steps_back(total):
            if name_of(step) in RULES and not name_of(step).startswith("Native"):
                step.register_hook(_asked)
    found = torch.autograd.grad(total, amplitudes, allow_unused=True)[0] if total.requires_grad else None
    if found is None:
        raise no_gradient("imagine", looking.wanted)
    return found


def _asked(handed: tuple[Tensor | None, ...], given: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    if handed[0] is None or given[0] is None or not handed[0].ndim:
        return handed
    nothing = (handed[0] == 0).flatten(1).all(1).view(-1, *[1] * (handed[0].ndim - 1))
    return (torch.where(nothing, given[0].clamp(min=0), handed[0]), *handed[1:])


def _apart(wanted: Objective, step: int, steps: int, lr: float) -> Refusal:
    if not step:
        return Refusal(
            f"Cannot imagine {wanted}: its value, or its gradient, is not a number.",
            ways="The network's weights hold NaN or infinity, or what it computes overflows.",
        )
    return Refusal(
        f"Cannot go on imagining {wanted}: after {counted(step, 'step')} of {steps} it is not a number.",
        f"lr is {lr:g}.",
        f"A smaller lr: {min(0.1, lr / 10):g}.",
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
    if not (2 <= small <= large <= LARGEST and 1 <= count <= MOST // (height * width)):
        raise CannotMake(
            f"Cannot imagine {counted(count, 'image')} of {height}×{width}.",
            ways=f"Sides of 2 to {LARGEST:,}, {MOST:,} cells in all.",
        )
    return (height, width), count
