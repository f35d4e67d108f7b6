"""The loop, as a stream of events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint.modelfile import MODEL
from striate.data import Splits
from striate.training.diverged import diverged
from striate.training.events import Control, Done, Epoch, Event, Kept, Started, Step, Warning
from striate.training.exhausted import within_memory
from striate.training.lesson import Lesson, lesson, provenance
from striate.training.metrics import evaluate, main_way_out
from striate.training.optimise import optimizer, rate
from striate.training.recipe import Recipe, revised
from striate.training.run import claim, recorded


def train(
    model: nn.Module,
    data: Splits,
    recipe: Recipe | None = None,
    *,
    out: str | Path | None = None,
    control: Control | None = None,
    device: str | torch.device | None = None,
    **fields: Any,
) -> Iterator[Event]:
    """Trains `model` in place on `data.train`, giving events; `data.test` is never looked at.

    The network's outputs are logits (a last soft-max is left to the loss: `blueprint.without_softmax`). `fields` are
    the recipe's (epochs=, batch_size=, lr=, seed=, …). With `out`, a new folder holds the run: the model of the latest
    epoch that is as good as any on the images held out, the recipe, the log, the curves; the first event says which.
    The same seed gives the same weights, on the same machine with the same threads.

    Raises before the first step NotFound (a field of the recipe), CannotTrain (network, data and recipe do not go
    together), CannotWrite; while it goes on, CannotTrain where the loss is no longer a number or memory runs out (and
    which batch would fit).
    """
    wanted = revised(recipe, **fields)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    course = lesson(model, data, wanted, place, saved=out is not None)
    folder = claim(out) if out is not None else None
    events = within_memory(course, _events(course, folder, control or Control()))
    events = _on_threads(course.recipe.threads, events)
    return recorded(events, folder, course.recipe) if folder else events


def _events(course: Lesson, folder: Path | None, control: Control) -> Iterator[Event]:
    model, recipe, batches = course.model, course.recipe, course.batches
    assert recipe.epochs is not None
    torch.manual_seed(recipe.seed)  # what dropout draws
    model.metadata = {
        **getattr(model, "metadata", {}),
        "classes": list(course.learnt.classes),
        "preprocessing": course.preprocessing.to_json(),
    }
    steps, step, start = recipe.epochs * len(batches), 0, time.perf_counter()
    kept, highest, epoch = Epoch(0, 0, 0, None, None, 0, 0), 0.0, 0
    told = 0  # of the images that could not be read, so many have been named
    yield Started(
        examples=len(course.learnt),
        validation=len(course.held or ()),
        classes=course.learnt.classes,
        parameters=sum(p.numel() for p in model.parameters()),
        epochs=recipe.epochs,
        steps=steps,
        precision=recipe.precision,
        device=str(course.device),
        out=folder,
    )
    optimiser = optimizer(model, recipe)
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        losses, seen, begun, paused = 0.0, 0, time.perf_counter(), 0.0
        for x, y in batches.epoch(epoch):
            waiting = time.perf_counter()
            if not control.wait():
                break
            paused += time.perf_counter() - waiting
            lr = control.lr or rate(recipe, step + 1, steps)
            for group in optimiser.param_groups:
                group["lr"] = lr
            with torch.autocast(course.device.type, course.dtype, enabled=course.dtype != torch.float32):
                outputs = model(x)
            loss = loss_of(outputs, y, recipe)
            del outputs
            if not isfinite(value := loss.item()):
                refusal = diverged(model, x, value, step + 1, lr, _safe(folder, kept))
                yield Warning(str(refusal))
                raise refusal
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            step, losses, seen = step + 1, losses + value * len(y), seen + len(y)
            yield Step(step, epoch, value, lr, len(y))
        for lost in list(batches.skipped.values())[told:]:
            yield Warning(f"Left out: {lost.reason}")
        told = len(batches.skipped)
        if not seen:
            break
        seconds = time.perf_counter() - begun - paused
        judged = evaluate(model, course.held, course.preprocessing, course.dtype) if course.held else None
        loss_held, top1 = (judged.loss, judged.top1) if judged else (None, None)
        now = Epoch(epoch, step, losses / seen, loss_held, top1, seconds, seen / seconds)
        yield now
        highest = max(highest, top1 or 0.0)
        if _as_good(now, highest, len(course.held or ())):
            if odd := _not_finite(model):
                yield Warning(f"The model of epoch {epoch} is not kept: {odd} is not finite.")
            else:
                kept = now
                if folder:
                    yield _saved(course, folder / MODEL, now)
        if control.stopped:
            break
    yield Done(not control.stopped, epoch, step, kept.epoch, kept.top1, time.perf_counter() - start)


def _on_threads(threads: int | None, events: Iterator[Event]) -> Iterator[Event]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield from events
    finally:
        torch.set_num_threads(before)


def loss_of(outputs: Tensor | dict[str, Tensor], labels: Tensor, recipe: Recipe) -> Tensor:
    """Cross-entropy at the main way out, and a share of it at each further one of as many outputs (auxiliary heads)."""
    main = main_way_out(outputs)
    loss = F.cross_entropy(main.float(), labels, label_smoothing=recipe.label_smoothing)
    if isinstance(outputs, dict) and recipe.auxiliary:
        for tap, output in outputs.items():
            if tap != "out" and output.shape == main.shape:
                beside = F.cross_entropy(output.float(), labels, label_smoothing=recipe.label_smoothing)
                loss = loss + recipe.auxiliary * beside
    return loss


def _as_good(now: Epoch, highest: float, held: int) -> bool:
    """Whether `now` is within one standard error of the highest share of right answers seen (Breiman et al. 1984,
    section 3.4.3).

    So the latest epoch is kept unless it is worse by more than chance: on few images, the highest share is mostly luck.
    """
    return now.top1 is None or now.top1 >= highest - sqrt(highest * (1 - highest) / held)


def _not_finite(model: nn.Module) -> str:
    """The first weight or statistic that is no longer a number; "" where all are."""
    state = ((name, tensor) for name, tensor in model.state_dict().items() if tensor.is_floating_point())
    return next((name for name, tensor in state if not tensor.isfinite().all()), "")


def _saved(course: Lesson, path: Path, now: Epoch) -> Kept:
    from striate.nn import save

    save(course.model, path, provenance=provenance(course, now.epoch, now.top1))
    return Kept(path, now.epoch, now.top1)


def _safe(folder: Path | None, kept: Epoch) -> str:
    """What a run that fails still has."""
    if not folder or not kept.epoch:
        return ""
    right = f" ({kept.top1:.2%} right on the images held out)" if kept.top1 is not None else ""
    return f"{folder / MODEL} still holds epoch {kept.epoch}{right}."
