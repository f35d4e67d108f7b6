"""Where numbers stopped being numbers, or are about to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import log

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain
from striate.data import Streamed
from striate.training.events import Step
from striate.training.lesson import Lesson

LEAP = 10.0  # times the usual loss
MANY = 16  # images, of which not all are hard ones by chance
NAMED = 3  # images of a batch


def diverged(course: Lesson, now: Step, place: int, x: Tensor | None, kept: str) -> CannotTrain:
    """The refusal for a step whose loss is not finite: the first layer whose output (or weight) is not, the batch at
    that `place` of its epoch (x, or as it is dealt again), what to try, what is safe.
    """
    x = next(iter(course.batches.epoch(now.epoch, place)))[0] if x is None else x
    layer, what, rows = first_not_finite(course.model, x)
    share = f" on {len(rows)} of {len(x)} images" if 0 < len(rows) < len(x) else ""
    why = f"{layer} is the first layer whose {what} is not finite{share}" if layer else "Every layer's output is finite"
    return CannotTrain(
        f"Cannot go on from step {now.step}: the loss is {now.loss}.",
        f"{why}; the learning rate was {now.lr:.3g}. {batch(course, now.epoch, place, rows)}",
        " ".join(filter(None, (f"A smaller learning rate may hold: --lr {now.lr / 10:.1g}.", kept))),
        where=layer,
    )


def leaps(loss: float, usual: float, classes: int, images: int) -> bool:
    """Whether the mean loss of so many images is many times what it was of late and says more wrong than guessing among
    `classes` would.
    """
    return images >= MANY and 0 < usual * LEAP < loss and loss > 2 * log(classes)


def leapt(course: Lesson, now: Step, place: int, usual: float, kept: str) -> CannotTrain:
    """The refusal for such a loss, with the layer whose gradient is the largest beside its weight, and the batch."""
    shares = {
        name: (p.grad.norm() / p.norm().clamp(min=1e-12)).item()
        for name, p in course.model.named_parameters()
        if p.grad is not None
    }
    worst = max(shares, key=shares.__getitem__, default="")
    layer = worst.rpartition(".")[0]
    large = f"{layer} has the largest gradient, {shares[worst]:.2g} times its weight; " if worst else ""
    smaller = f"A smaller learning rate may hold: --lr {now.lr / 10:.1g}; or clip the gradient: --set clip=1."
    return CannotTrain(
        f"Cannot go on from step {now.step}: the loss leapt to {now.loss:.3g}; it was {usual:.3g}.",
        f"{large}the learning rate was {now.lr:.3g}. {batch(course, now.epoch, place)}",
        " ".join(filter(None, (smaller, kept))),
        where=layer,
    )


def batch(course: Lesson, epoch: int, place: int, rows: Sequence[int] = ()) -> str:
    """Which batch that was, and some of its images, those of `rows` alone where there are such: files by their names,
    what is in memory by its place among the images that are learnt from.
    """
    batches, learnt = course.batches, course.learnt
    which = next(islice(batches.deck(epoch), place, None)).tolist()
    if isinstance(learnt, Streamed):  # what could not be read is not in the batch
        names = [learnt.pictures[i].name for i in which if learnt.pictures[i].name not in learnt.lost]
    else:
        names = [f"{i:,}" for i in which]
    names = [names[row] for row in rows if row < len(names)] or names
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    images = f"image{'s' * (len(names) > 1)} {', '.join(names[:NAMED])}{more}"
    return f"It was batch {place + 1:,} of {len(batches):,} in epoch {epoch}: {images}."


@torch.no_grad()
def first_not_finite(model: nn.Module, x: Tensor) -> tuple[str, str, list[int]]:
    """(name, "weight" or "output", the images on which it is not) of the first layer, in the order they run, that is
    not finite on `x`; ("", "", []) where all are. A weight spoils every image: none is named.
    """
    names = {module: name for name, module in model.named_modules() if not any(module.children())}
    found: list[tuple[str, str, list[int]]] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        if found:
            return
        if any(not p.isfinite().all() for p in module.parameters()):
            found.append((names[module], "weight", []))
        elif isinstance(output, Tensor) and not output.isfinite().all():
            found.append((names[module], "output", (~output.flatten(1).isfinite().all(1)).nonzero()[:, 0].tolist()))

    hooks = [module.register_forward_hook(look) for module in names]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ("", "", [])
