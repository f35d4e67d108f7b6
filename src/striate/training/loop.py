"""The loop, as a stream of events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import BatchNorm, CannotTrain
from striate.data import Batches, Images, Preprocessing, Splits, stratified
from striate.training.diverged import diverged
from striate.training.events import Checkpoint, Control, Done, Epoch, Event, Started, Step, Warning
from striate.training.metrics import evaluate, main_way_out
from striate.training.optimise import optimizer, rate
from striate.training.precision import chosen
from striate.training.recipe import Recipe, revised
from striate.training.run import MODEL, claim, recorded


class Lesson(NamedTuple):
    """What is learnt from, and what the best epoch is chosen by."""

    learnt: Images
    held: Images | None
    preprocessing: Preprocessing


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
    The same seed gives the same weights, on the same machine with the same threads. Raises before the first step:
    CannotTrain (data, network and recipe do not go together), NotFound, CannotWrite; while it goes on: CannotTrain
    where the loss is no longer a number.
    """
    wanted = revised(recipe, **fields)
    lesson = _lesson(data, wanted)
    wanted = wanted.resolved(len(lesson.learnt))
    _check(model, data, lesson, wanted, saved=out is not None)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = chosen(wanted.precision, getattr(model, "graph", None), place)
    threads = wanted.threads or torch.get_num_threads()
    wanted = wanted.model_copy(update={"precision": str(dtype).removeprefix("torch."), "threads": threads})
    folder = claim(out) if out is not None else None
    events = _on_threads(threads, _events(model, lesson, wanted, folder, control or Control(), place, dtype))
    return recorded(events, folder, wanted) if folder else events


def _lesson(data: Splits, recipe: Recipe) -> Lesson:
    if data.validation is not None or not recipe.validation:
        return Lesson(data.train, data.validation, data.preprocessing)
    kept, held = stratified(data.train.labels, recipe.validation, recipe.seed)
    return Lesson(data.train[kept], data.train[held], data.preprocessing)


def _check(model: nn.Module, data: Splits, lesson: Lesson, recipe: Recipe, saved: bool) -> None:
    """Whether network, data and recipe go together. Raises CannotTrain."""
    graph, volume, classes = getattr(model, "graph", None), data.preprocessing.volume, len(data.classes)
    if graph is None:
        if saved:
            raise CannotTrain(
                "Cannot save this network: it was not built from a blueprint, so its file could not describe it.",
                "",
                "Build it with striate.build; or train without out=.",
            )
        return
    if graph.volume != volume:
        raise CannotTrain(
            f"Cannot train on {data.train.source}: the network reads {graph.volume}, the images are {volume}.",
            "",
            f'Build it for them: build(network, "{volume}").',
        )
    if graph.output != (classes, 1, 1):
        raise CannotTrain(
            f"Cannot train on {data.train.source}: the network gives {graph.output}, the data has {classes} classes.",
            "",
            "Give it a head: replace_head(graph, classes).",
        )
    least = len(lesson.learnt) // len(Batches(lesson.learnt, lesson.preprocessing, recipe.batch_size))
    if least == 1 and (
        norm := next((n.name for n in graph if isinstance(n.op, BatchNorm) and n.output.is_vector), None)
    ):
        raise CannotTrain(
            f"Cannot train with batches of one image: {norm} normalises over the batch.", "", "batch_size=2 or more."
        )


def _events(
    model: nn.Module,
    lesson: Lesson,
    recipe: Recipe,
    folder: Path | None,
    control: Control,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Event]:
    assert recipe.epochs is not None
    torch.manual_seed(recipe.seed)  # what dropout draws
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learnt, held = (
        images and replace(images, pixels=images.pixels.to(device)) for images in (lesson.learnt, lesson.held)
    )
    assert learnt is not None
    batches = Batches(learnt, lesson.preprocessing, recipe.batch_size, recipe.seed, recipe.shift, recipe.flip)
    steps, step, start = recipe.epochs * len(batches), 0, time.perf_counter()
    kept, highest = Epoch(0, 0, 0, None, None, 0, 0), 0.0
    parameters = sum(p.numel() for p in model.parameters())
    yield Started(
        len(learnt),
        len(held or ()),
        learnt.classes,
        parameters,
        recipe.epochs,
        steps,
        recipe.precision,
        str(device),
        folder,
    )
    optimiser = optimizer(model, recipe)
    epoch = 0
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        losses, seen, begun, paused = 0.0, 0, time.perf_counter(), 0.0
        for x, y in batches.epoch(epoch):
            waited = time.perf_counter()
            if not control.wait():
                break
            paused += time.perf_counter() - waited
            lr = control.lr or rate(recipe, step + 1, steps)
            for group in optimiser.param_groups:
                group["lr"] = lr
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = loss_of(model(x), y, recipe)
            if not isfinite(value := loss.item()):
                refusal = diverged(model, x, value, step + 1, lr, _safe(folder, kept))
                yield Warning(refusal.fact)
                raise refusal
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            step, losses, seen = step + 1, losses + value * len(y), seen + len(y)
            yield Step(step, epoch, value, lr, len(y))
        if not seen:
            break
        seconds = time.perf_counter() - begun - paused
        judged = evaluate(model, held, lesson.preprocessing) if held else None
        now = Epoch(
            epoch,
            step,
            losses / seen,
            judged.loss if judged else None,
            judged.top1 if judged else None,
            seconds,
            seen / seconds,
        )
        yield now
        highest = max(highest, now.top1 or 0.0)
        if _as_good(now, highest, len(held or ())) and _whole(model):
            kept = now
            if folder:
                yield _saved(model, folder / MODEL, lesson, recipe, now)
        if control.stopped:
            break
    yield Done(not control.stopped, epoch, step, kept.epoch, kept.top1, time.perf_counter() - start)


def _on_threads(threads: int, events: Iterator[Event]) -> Iterator[Event]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield from events
    finally:
        torch.set_num_threads(before)


def loss_of(outputs: Tensor | dict[str, Tensor], labels: Tensor, recipe: Recipe) -> Tensor:
    """Cross-entropy at the main way out, and a share of it at each further one that has as many outputs (GoogLeNet's
    auxiliary heads).
    """
    main = main_way_out(outputs)
    loss = F.cross_entropy(main.float(), labels, label_smoothing=recipe.label_smoothing)
    if isinstance(outputs, dict) and recipe.auxiliary:
        for tap, output in outputs.items():
            if tap != "out" and output.shape == main.shape:
                loss = loss + recipe.auxiliary * F.cross_entropy(
                    output.float(), labels, label_smoothing=recipe.label_smoothing
                )
    return loss


def _as_good(now: Epoch, highest: float, held: int) -> bool:
    """Whether `now` is within one standard error of the highest share of right answers seen (Breiman et al. 1984,
    section 3.4.3).

    So the latest epoch is kept unless it is worse by more than chance: on few images, the highest share is mostly luck.
    """
    return now.top1 is None or now.top1 >= highest - sqrt(highest * (1 - highest) / held)


def _whole(model: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values() if tensor.is_floating_point())


def _saved(model: nn.Module, path: Path, lesson: Lesson, recipe: Recipe, now: Epoch) -> Checkpoint:
    from striate.nn import save

    provenance = {
        "data": lesson.learnt.source,
        "examples": len(lesson.learnt),
        "held_out": len(lesson.held or ()),
        "epoch": now.epoch,
        "top1_held_out": now.top1,
        "recipe": recipe.model_dump(),
        "torch": torch.__version__,
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    save(
        model,
        path,
        classes=list(lesson.learnt.classes),
        preprocessing=lesson.preprocessing.to_json(),
        provenance=provenance,
    )  # type: ignore[arg-type]
    return Checkpoint(path, now.epoch, now.top1)


def _safe(folder: Path | None, kept: Epoch) -> str:
    if not folder or not kept.epoch:
        return ""
    right = f", {kept.top1:.2%} of the images held out" if kept.top1 is not None else ""
    return f"{folder / MODEL} still holds epoch {kept.epoch}{right}."
