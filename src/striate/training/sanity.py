"""What is looked at before anybody trains for hours: the loss at chance, one batch learnt by heart, the learning rate,
and how values and gradients flow. All of it on a copy: weights, statistics and generators stay as they are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import isfinite, log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data import Splits, deal
from striate.training.curves import smoothed
from striate.training.events import LayerFlow
from striate.training.flow import Alarm, alarms, looking, measured, middle, weights
from striate.training.lesson import Lesson, lesson
from striate.training.loss import class_weights, loss_of
from striate.training.optimise import optimizer
from striate.training.prepare import SOURCES, frozen, prepared
from striate.training.ranks import device_here
from striate.training.recipe import Recipe, revised

FAR = 0.5, 1.5  # times chance: a loss outside is not that of a network that knows nothing
NEAR = 0.05  # of chance: what is left of the loss where a batch is known by heart
BATCH, STEPS, FLOW = 32, 100, 10  # images learnt by heart; steps for that and for the sweep; steps of the flow
LOWEST, HIGHEST, GONE = 1e-7, 10.0, 4.0  # learning rates swept; times the least loss, where the sweep ends
MOST = 1e3  # the highest rate that a recipe may have
FALL = 0.03  # of its first value, the smoothed loss falls by at least where a rate makes it fall
ASIDE: dict[str, Any] = {"augment": "", "mix": "", "dropout": 0.0, "drop_path": 0.0, "label_smoothing": 0.0}


@dataclass(frozen=True)
class Start:
    """The cross-entropy of a network that has learnt nothing, in nats, against that of guessing: ln(classes)."""

    loss: float
    chance: float
    logits: float  # their deviation
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class Overfit:
    """One batch, again and again, nothing of it changed by chance: the loss before each step, and whether it came near
    0.
    """

    images: int
    losses: tuple[float, ...]
    near: float  # what was wanted
    learnt: bool
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class Rates:
    """The loss at learning rates that rise from batch to batch. steepest: where it falls fastest, the one to try;
    largest: where it is least, beyond which it rises; gone: where it left, if it did. None: no rate made it fall.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    steepest: float | None
    largest: float | None
    gone: float | None
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class Flowed:
    """The flow by layer over the first steps of a training, the learning rate rising to the recipe's; medians."""

    steps: int
    layers: tuple[LayerFlow, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class Sanity:
    """All four; sane where there is no alarm."""

    start: Start
    overfit: Overfit
    rates: Rates
    flow: Flowed

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        return self.start.alarms + self.overfit.alarms + self.rates.alarms + self.flow.alarms

    def to_json(self) -> dict[str, Any]:
        """What is not a number is null."""
        return _finite({"sane": not self.alarms, **asdict(self), "alarms": [asdict(alarm) for alarm in self.alarms]})


def sanity(model: nn.Module, data: Splits, recipe: Recipe | None = None, steps: int = STEPS, **fields: Any) -> Sanity:
    """Every check, as `train(model, data, recipe, **fields)` would begin; `model` stays as it is. Raises as `train`."""
    recipe = revised(recipe, **fields)
    return Sanity(
        at_start(model, data, recipe),
        overfit(model, data, recipe, steps),
        find_rate(model, data, recipe, steps),
        first_flow(model, data, recipe),
    )


def at_start(model: nn.Module, data: Splits, recipe: Recipe | None = None) -> Start:
    """The loss before the first step: where nothing is known, every class is as likely, and it is ln(classes)."""
    recipe = revised(recipe)
    with aside(model, data, revised(recipe, **ASIDE)) as course:
        how = max(BATCH, course.recipe.batch_size), course.recipe.seed
        with closing(deal(course.learnt, course.preprocessing, *how, device=course.device).epoch(1)) as batches:  # type: ignore[type-var]
            x, y = next(batches)
        with torch.no_grad():
            outputs = _outputs(course, x)
        logits = (outputs["out"] if isinstance(outputs, dict) else outputs).float()
        loss, spread = F.cross_entropy(logits, y).item(), logits.std().item()
        chance, inputs = log(len(course.learnt.classes)), x.std().item()
    drawn = not any(getattr(model, "metadata", {}).get(source) for source in SOURCES)  # else it may know something
    text = ""
    if not loss <= FAR[1] * chance:
        text = f"the loss at the start is {loss:.3g}, chance is {chance:.3g}: it is sure of what it does not know"
        text += f" (its outputs deviate by {spread:.2g}, its inputs by {inputs:.2g})."
        text += " Smaller initial weights in the last layer (--set initialise=he), or inputs of deviation 1."
    elif loss < FAR[0] * chance and drawn:
        text = f"the loss at the start is {loss:.3g}, chance is {chance:.3g}: it knows what it was never told."
        text += " Does something in the images say their class? Is one class nearly all of them?"
    return Start(loss, chance, spread, (Alarm("start", "", text),) if text else ())


def overfit(model: nn.Module, data: Splits, recipe: Recipe | None = None, steps: int = STEPS) -> Overfit:
    """Learns one batch by heart, without augmentation, dropout, smoothing, decay, at the recipe's learning rate. What
    cannot do that cannot learn more.
    """
    recipe = revised(steady(revised(recipe))[0], batch_size=BATCH, weight_decay=0.0, **ASIDE)
    losses: list[float] = []
    with aside(model, data, recipe) as course, closing(_batches(course)) as batches:
        x, y = next(batches)
        near, optimiser = NEAR * log(len(course.learnt.classes)), optimizer(course.model, course.recipe)
        while len(losses) <= steps:
            losses.append(stepped(course, optimiser, x, y, recipe.lr))
            if losses[-1] <= near or not isfinite(losses[-1]):
                break
    learnt, text = losses[-1] <= near, ""
    if not learnt:
        text = f"one batch of {len(x)} images is not learnt by heart: after {len(losses) - 1} steps the loss is "
        text += f"{losses[-1]:.3g}, from {losses[0]:.3g}. Try the learning rate that the sweep finds, a flow without"
        text += " alarms, or more steps; or are the labels right?"
    return Overfit(len(x), tuple(losses), near, learnt, (Alarm("overfit", "", text),) if text else ())


def find_rate(model: nn.Module, data: Splits, recipe: Recipe | None = None, steps: int = STEPS) -> Rates:
    """The learning rate range test (Smith 2015, arXiv 1506.01186, section 3.3), the rate rising by the same factor from
    batch to batch, the loss smoothed; it ends where the loss leaves. What it finds is for the recipe's own batches.
    """
    wanted, rates, losses, smooth = revised(recipe), list[float](), list[float](), list[float]()
    (recipe, times), gone = steady(wanted), None
    with aside(model, data, recipe) as course, closing(_batches(course)) as batches:
        optimiser = optimizer(course.model, course.recipe)
        for step in range(steps):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / max(1, steps - 1))
            loss = stepped(course, optimiser, *next(batches), rate)
            if isfinite(loss):
                rates.append(rate / times)
                losses.append(loss)
                smooth = smoothed(losses, steps / 20)
            if not isfinite(loss) or smooth[-1] > GONE * min(smooth):
                gone = rate / times
                break
    steepest, largest = chosen(rates, smooth)
    text = ""
    if steepest is None:
        text = "no learning rate makes the loss fall. Is there a layer that nothing flows through?"
    elif gone and wanted.lr >= gone:
        text = f"at the learning rate {wanted.lr:.3g} the loss leaves: it does from {gone:.2g} on."
        text += f" --set lr={steepest:.1g}"
    alarm = (Alarm("rate", "", text),) if text else ()
    return Rates(tuple(rates), tuple(losses), tuple(smooth), steepest, largest, gone, alarm)


def chosen(rates: list[float], smooth: list[float]) -> tuple[float | None, float | None]:
    """Where the smoothed loss falls fastest (by the logarithm of the rate), and where it is least; None where it falls
    by less than noise does.
    """
    least = min(range(len(smooth)), key=smooth.__getitem__, default=0)
    if least < 2 or smooth[least] > (1 - FALL) * smooth[0]:
        return None, None
    reach = max(1, len(smooth) // 30)  # noise has steep slopes, too, from one batch to the next

    def slope(at: int) -> float:
        low, high = max(0, at - reach), min(least, at + reach)
        return (smooth[high] - smooth[low]) / log(rates[high] / rates[low])

    return rates[min(range(1, least), key=slope)], rates[least]


def first_flow(model: nn.Module, data: Splits, recipe: Recipe | None = None, steps: int = FLOW) -> Flowed:
    """The first steps of a training, measured; the learning rate goes straight up to the recipe's."""
    recipe, _ = steady(revised(recipe))
    found: list[tuple[LayerFlow, ...]] = []
    with aside(model, data, recipe) as course, closing(_batches(course)) as batches:
        optimiser = optimizer(course.model, course.recipe)
        for step in range(1, steps + 1):
            before, (x, y) = weights(course.model), next(batches)
            with looking(course.model) as look:
                loss = stepped(course, optimiser, x, y, recipe.lr * step / steps)
            found.append(measured(look, before))
            if not isfinite(loss):
                break
    layers = middle(found)
    return Flowed(len(found), layers, tuple(alarms(layers, recipe.freeze)))


def steady(recipe: Recipe) -> tuple[Recipe, float]:
    """The recipe, and by what its learning rate was multiplied: what it says of batches of a few images, such as 1, is
    looked at on BATCH of them, at as many times the rate where plain SGD makes the steps (Goyal et al. 2017, arXiv
    1706.02677, section 2.1); of so few, all would be chance.
    """
    if recipe.batch_size >= BATCH:
        return recipe, 1.0
    more = max(1.0, BATCH / (recipe.batch_size * recipe.accumulate))
    times = min(more, MOST / recipe.lr) if recipe.optimizer == "sgd" else 1.0
    return recipe.model_copy(update={"batch_size": BATCH, "accumulate": 1, "lr": times * recipe.lr}), times


@contextmanager
def aside(model: nn.Module, data: Splits, recipe: Recipe) -> Iterator[Lesson]:
    """What `train` would begin with, but a copy; torch's generators are put back afterwards."""
    device, graph = device_here(), getattr(model, "graph", None)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        copy = deepcopy(model, {id(graph): graph} if graph is not None else None)  # a graph never changes
        course = lesson(copy, data, recipe, device, saved=False)
        prepared(copy, course.recipe)
        frozen(copy, course.recipe)
        copy.train()
        yield course


def _batches(course: Lesson) -> Generator[tuple[Tensor, Tensor], None, None]:
    """One after another, epoch after epoch."""
    dealt, epoch = course.batches, 0
    while True:
        epoch += 1
        yield from dealt.epoch(epoch)


def _outputs(course: Lesson, x: Tensor) -> Any:
    with torch.autocast(course.device.type, course.dtype, enabled=course.dtype != torch.float32):
        return course.model(x)


def stepped(course: Lesson, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, lr: float) -> float:
    """One step, as `train` makes it; the loss before it. The gradients stay until the next."""
    counts = class_weights(course.learnt.labels, len(course.learnt.classes), course.recipe)
    for group in optimiser.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
    optimiser.zero_grad()
    loss = loss_of(_outputs(course, x), y, course.recipe, counts.to(course.device) if counts is not None else None)
    loss.backward()  # type: ignore[no-untyped-call]
    value = loss.item()
    if course.recipe.clip:
        nn.utils.clip_grad_norm_(course.model.parameters(), course.recipe.clip)
    if isfinite(value):
        optimiser.step()
    return value


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {name: _finite(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case float():
            return value if isfinite(value) else None
        case _:
            return value
