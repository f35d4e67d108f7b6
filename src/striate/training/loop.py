"""The loop, as a stream of events."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from math import isfinite, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from striate.blueprint import CannotTrain, graph_to_json
from striate.blueprint.modelfile import MODEL
from striate.data import Splits
from striate.data.memory import keep_freed
from striate.judging.metrics import evaluate
from striate.training.average import Average
from striate.training.captured import BEHIND, Late, captured, unasked
from striate.training.checkpoint import Writer, forget, often
from striate.training.diverged import diverged, leaps, leapt
from striate.training.events import Control, Done, Epoch, Event, Flow, Kept, Started, Step, Warning
from striate.training.exhausted import within_memory
from striate.training.flow import alarms, glance, news, weights
from striate.training.lesson import Lesson, lesson, provenance
from striate.training.logs import checked
from striate.training.loss import class_weights, loss_of
from striate.training.optimise import cuts, optimizer, put, rate
from striate.training.prepare import drawn_here, frozen, prepared
from striate.training.ranks import Ranks, alone_until, device_here, here, synced, together
from striate.training.recipe import Recipe, revised
from striate.training.run import claim, recorded
from striate.training.state import State
from striate.training.whiten import whitened

EVERY = 30.0  # seconds from checkpoint to checkpoint
FLOW_EVERY = 200  # steps at least from one look at the flow to the next


def train(
    model: nn.Module,
    data: Splits,
    recipe: Recipe | None = None,
    *,
    out: str | Path | None = None,
    control: Control | None = None,
    device: str | torch.device | None = None,
    checkpoint_every: float = EVERY,
    logs: Sequence[str] = (),
    **fields: Any,
) -> Iterator[Event]:
    """Trains `model` in place on `data.train`, giving events; `data.test` is never looked at.

    The network's outputs are logits (a last soft-max is left to the loss: `blueprint.without_softmax`). `fields` are
    the recipe's (epochs=, batch_size=, lr=, seed=, …).
    With `out`, a new folder holds the run: the model of the latest epoch that is as good as any on the images held out,
    the recipe, the log, the curves, and until it is done a checkpoint every so many seconds, from which
    `striate.resume` goes on to the same bits; the first event says which folder. `logs`, "csv" or "tensorboard" or
    both, are written beside log.jsonl. The same seed gives the same weights, on the same machine with the same threads;
    on a GPU nearly so, since it adds up in any order. There steps are captured as one CUDA graph (`step`), losses come
    a step or two after they were, and who stops it stops it so much later.
    Started by torchrun, the processes share every batch.

    Raises before the first step NotFound (a field of the recipe, a log), CannotTrain (network, data and recipe do not
    go together), CannotWrite; while it goes on, CannotTrain where the loss is no longer a number or leaps, memory runs
    out (and which batch would fit), or another process is gone.
    """
    checked(logs)
    often(checkpoint_every)
    wanted, ranks = revised(recipe, **fields), here()
    place = torch.device(device) if device else device_here()
    course = lesson(model, data, wanted, place, saved=out is not None, ranks=ranks)
    prepared(model, course.recipe)
    if wanted.whiten and drawn_here(model):
        whitened(model, wanted.whiten, course.learnt, course.preprocessing, wanted.seed)
    folder = claim(out) if out is not None and ranks.first else None
    run = Run(course, folder, control or Control(), checkpoint_every, tuple(logs))
    return run.recorded(lambda: begun(course))


def begun(course: Lesson) -> State:
    """Nothing learnt yet."""
    average = Average(course.model, course.recipe.ema) if course.recipe.ema is not None else None
    return State(course.model, optimizer(course.model, course.recipe), average)


class Run(NamedTuple):
    """A lesson, where it is written down (or nowhere), who steers it, and the seconds between checkpoints."""

    course: Lesson
    folder: Path | None
    control: Control
    every: float
    logs: tuple[str, ...] = ()  # besides log.jsonl and what the folder has already

    def recorded(self, beginning: Callable[[], State], after: tuple[int, int] | None = None) -> Iterator[Event]:
        """Its events, from `beginning` on; where that is `after` a step and an epoch, the log goes on behind them."""
        held = within_memory(self.course, _events(self, beginning))
        events = _on_threads(self.course.recipe.threads, held)
        return recorded(events, self.folder, self.course.recipe, after, self.logs) if self.folder else events

    def said(self, state: State) -> dict[str, Any]:
        """What a checkpoint says beside its tensors."""
        course, model = self.course, self.course.model
        return {
            "graph": graph_to_json(model.graph),
            "metadata": {name: value for name, value in model.metadata.items() if name != "provenance"},
            "recipe": course.recipe.model_dump(mode="json"),
            "origin": course.origin,
            **course.known,
            "every": self.every,
            "state": state.numbers(),
        }


def _events(run: Run, beginning: Callable[[], State]) -> Iterator[Event]:
    course, folder = run.course, run.folder
    model, recipe, device, ranks = course.model, course.recipe, course.device, course.ranks
    model.metadata = {
        **getattr(model, "metadata", {}),
        "classes": list(course.learnt.classes),
        "preprocessing": course.preprocessing.to_json(),
    }
    start = time.perf_counter()
    keep_freed()
    with together(ranks, device, folder):
        frozen(model, recipe)
        state = beginning()
        assert recipe.epochs is not None
        epochs, steps = recipe.epochs, recipe.epochs * course.steps
        yield Started(
            examples=len(course.learnt),
            validation=len(course.held or ()),
            classes=course.learnt.classes,
            parameters=sum(p.numel() for p in model.parameters()),
            epochs=epochs,
            steps=steps,
            precision=recipe.precision,
            device=str(device),
            out=folder,
            step=state.step,
        )
        learning = _learning(run, state, ranks.joined(synced(model) if recipe.sync_norm else model, device), steps)
        yield from _written(run, state, learning) if folder else learning
        if state.average:
            model.load_state_dict(state.average.model.state_dict())
    finished = state.epoch > epochs
    if folder and finished:
        forget(folder)
    kept = state.stopgap or state.kept
    yield Done(finished, state.epoch - (not state.seen), state.step, kept.epoch, kept.top1, time.perf_counter() - start)


def _written(run: Run, state: State, events: Iterator[Event]) -> Iterator[Event]:
    """The same events, with checkpoints between steps: the first before anything is learnt, the last where it stops."""
    assert run.folder is not None
    writer, last, saved = Writer(run.folder), time.monotonic(), -1

    def begin() -> list[Event]:
        nonlocal last, saved
        last, saved, run.control.wanted, state.settling = time.monotonic(), state.step, False, False
        return [*writer.begin(state.step, state.tensors(), lambda: run.said(state))]

    with closing(writer):
        yield from begin()
        for event in events:
            yield event
            if isinstance(event, Step):  # only there is everything learnt, and nothing half learnt
                yield from writer.done()
                due = time.monotonic() - last >= run.every and (run.every == 0 or not writer.busy)
                state.settling = due or run.control.wanted
                if state.settling and not state.late:
                    yield from begin()
        if run.control.stopped and saved != state.step:
            yield from begin()
        yield from writer.finish()


def _learning(run: Run, state: State, joined: nn.Module, steps: int) -> Iterator[Event]:
    """Step by step, epoch by epoch, from wherever `state` is to the end, or to where it is stopped."""
    course, control, recipe, ranks = run.course, run.control, run.course.recipe, run.course.ranks
    batches, counts = course.batches, class_weights(course.learnt.labels, len(course.learnt.classes), recipe)
    counts = counts.to(course.device) if counts is not None else None
    trained = [p for group in state.optimiser.param_groups for p in group["params"]]
    mixed = torch.autocast(course.device.type, course.dtype, enabled=course.dtype != torch.float32)
    alarmed: set[tuple[str, str]] = set()
    quick = captured(course, joined, state.optimiser, counts)
    if not quick and (text := unasked(course)):
        yield Warning(text)
    if recipe.sync_norm and ranks.count == 1:
        yield Warning("sync_norm changes nothing: one process has the whole of every batch.")
    told, halts = 0, 0.0
    for epoch in range(state.epoch, course.recipe.epochs + 1):  # type: ignore[operator]
        course.model.train()
        frozen(course.model, recipe)
        begun, paused, fewer = time.perf_counter(), 0.0, state.seen
        held = [past.loss for past in state.epochs if past.loss is not None]
        flow, due = None, ranks.first and epoch % -(-FLOW_EVERY // course.steps) == 0
        first, taken = state.dealt, 0
        for parts in _together(batches.epoch(epoch, state.dealt), recipe.accumulate):
            waiting = time.perf_counter()
            halt = not control.wait()
            paused += time.perf_counter() - waiting
            if halts or (halt and ranks.count == 1):  # several stop together, a step after the first was told
                yield from _read(run, state)
                yield from _stopgap(run, state)
                return
            lr = float(control.lr or rate(recipe, state.step + 1, steps, cuts(recipe, held)))
            put(state.optimiser, lr)
            _draw(recipe.seed, state.step, ranks)
            looked = due and state.dealt + len(parts) >= len(batches)
            if quick and not looked:
                x, y = parts[0]
                state.late.append(Late.sent(state.step + 1, epoch, lr, len(x), quick(x, y)))
                state.step, state.dealt, taken = state.step + 1, state.dealt + 1, taken + 1
                if state.average:
                    state.average.update(course.model, state.step)
                yield from map(Warning, quick.news())
                yield from _read(run, state, 0 if state.settling else BEHIND)
                continue
            if state.late:
                yield from _read(run, state)
            value, seen = 0.0, 0
            for place, (x, y) in enumerate(parts):
                n = len(x)
                if not n:  # of several processes one whose share could not be read: it weighs nothing, but takes part
                    x, y = x.new_zeros(2, *x.shape[1:]), y.new_zeros(2, *y.shape[1:])
                with mixed:
                    outputs = joined(x)
                loss = loss_of(outputs, y, recipe, counts)
                del outputs
                total, count, halts = ranks.sums(loss.item() * n, n, halt, device=course.device)
                if not isfinite(total):
                    raise _apart(run, state, Step(state.step + 1, epoch, loss.item(), lr, n), state.dealt + place, x)
                value, seen = value + total, seen + int(count)
                with alone_until(place == len(parts) - 1, joined):
                    share = n * ranks.count / max(count, 1) / len(parts)  # 1 for who is alone: then nothing is to do
                    (loss if share == 1 else loss * share).backward()
            now = Step(state.step + 1, epoch, value / max(seen, 1), lr, seen)
            if not _sound(run, state, now):
                raise _apart(run, state, now, state.dealt)
            if recipe.clip:
                nn.utils.clip_grad_norm_(trained, recipe.clip)
            before = weights(course.model) if looked else {}
            state.optimiser.step()
            if looked:
                flow = Flow(epoch, state.step + 1, glance(course.model, x, before, course.dtype))
            for parameter in trained:
                parameter.grad = None  # as zero_grad does, which takes longer
            state.step, taken = state.step + 1, taken + len(parts)
            state.dealt = first + taken + sum(of == epoch for of, _ in batches.undealt)
            state.counted(now.loss, seen)
            if state.average:
                state.average.update(course.model, state.step)
            yield now
        yield from _read(run, state)
        if flow:
            yield flow
            found = alarms(flow.layers, recipe.freeze, beginning=False)
            yield from (Warning(f"Epoch {epoch}, {text}") for text in news(found, alarmed))
        for lost in list(batches.skipped.values())[told:]:
            yield Warning(f"Left out: {lost.reason}")
        told = len(batches.skipped)
        seconds = time.perf_counter() - begun - paused
        yield from _judging(run, state, epoch, seconds, (state.seen - fewer) / seconds)
        state.begin(epoch + 1)
        if halts or (control.stopped and ranks.count == 1):
            return


def _judging(run: Run, state: State, epoch: int, seconds: float, speed: float) -> Iterator[Event]:
    """What the epoch came to; its model is kept where it is as good as any."""
    loss, top1 = _judged(run.course, state.judged)
    whole = Epoch(epoch, state.step, state.losses / state.seen, loss, top1, seconds, speed)
    state.epochs.append(whole)
    yield whole
    if not _as_good(whole, state.highest, len(run.course.held or ())):
        return
    if odd := _not_finite(state.judged):
        yield Warning(f"The model of epoch {epoch} is not kept: {odd} is not finite.")
        return
    state.kept = whole
    if run.folder:
        yield _saved(run, state.judged, whole)


def _read(run: Run, state: State, leave: int = 0) -> Iterator[Event]:
    """The steps whose loss is late, but for so many; the network has learnt from them already."""
    while len(state.late) > leave:
        late = state.late.popleft()
        now = Step(late.step, late.epoch, late.read(), late.lr, late.seen)
        if not _sound(run, state, now):
            raise _apart(run, state, now, (now.step - 1) % run.course.steps)  # none of its batches is left out
        state.counted(now.loss, now.examples)
        yield now


def _sound(run: Run, state: State, now: Step) -> bool:
    """Whether the loss of a step is a number, and no leap."""
    return isfinite(now.loss) and not leaps(now.loss, state.usual, len(run.course.learnt.classes), now.examples)


def _apart(run: Run, state: State, now: Step, place: int, x: torch.Tensor | None = None) -> CannotTrain:
    """The refusal for a step that is not, on the batch at that place of its epoch: x, or as it is dealt again."""
    kept = _safe(run.folder, state.kept)
    if isfinite(now.loss):
        return leapt(run.course, now, place, state.usual, kept)
    return diverged(run.course, now, place, x, kept)


def _together(batches: Iterator[Any], count: int) -> Iterator[list[Any]]:
    """So many at a time; the last ones may be fewer."""
    while parts := list(islice(batches, count)):
        yield parts


def _stopgap(run: Run, state: State) -> Iterator[Event]:
    """Who stops in the first epoch gets a model of what it has learnt; the state knows nothing of it."""
    if run.folder and not state.epochs and state.seen and not _not_finite(state.judged):
        loss, top1 = _judged(run.course, state.judged)
        state.stopgap = Epoch(state.epoch, state.step, state.losses / state.seen, loss, top1, 0, 0)
        yield _saved(run, state.judged, state.stopgap)


def _draw(seed: int, step: int, ranks: Ranks) -> None:
    """What dropout and stochastic depth draw follows from the seed and the step: no generator has to be kept."""
    text = f"{seed} {step} {ranks.rank}"
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")
    torch.default_generator.manual_seed(number)  # torch.manual_seed would ask for every kind of device: 0.3 ms
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(number)


def _judged(course: Lesson, model: nn.Module) -> tuple[float | None, float | None]:
    """Loss and share of right answers on the images held out; each process judges a share of them."""
    if not course.held:
        return None, None
    ranks, share = course.ranks, course.held
    if len(share) >= ranks.count > 1:
        share = share[torch.arange(ranks.rank, len(share), ranks.count)]
    found = evaluate(model, share, course.preprocessing, course.dtype)
    n = found.examples
    loss, right, count = ranks.sums(found.loss * n, found.top1 * n, n, device=course.device)
    return loss / count, right / count


def _on_threads(threads: int | None, events: Iterator[Event]) -> Generator[Event, None, None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield from events
    finally:
        torch.set_num_threads(before)


def _as_good(now: Epoch, highest: float, held: int) -> bool:
    """Whether `now` is within one standard error of the highest share of right answers seen (Breiman et al. 1984,
    section 3.4.3).

    So the latest epoch is kept unless it is worse by more than chance: on few images, the highest share is mostly luck.
    """
    return now.top1 is None or now.top1 >= highest - sqrt(highest * (1 - highest) / held)


def _not_finite(model: nn.Module) -> str:
    """The first weight or statistic that is no longer a number; "" where all are."""
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    finite = torch.stack([tensor.isfinite().all() for tensor in state.values()]).tolist() if state else []  # asked once
    return next((name for name, fine in zip(state, finite, strict=True) if not fine), "")


def _saved(run: Run, model: nn.Module, now: Epoch) -> Kept:
    from striate.nn import save

    assert run.folder is not None
    save(model, run.folder / MODEL, provenance=provenance(run.course, now.epoch, now.top1))  # type: ignore[arg-type]
    return Kept(run.folder / MODEL, now.epoch, now.top1)


def _safe(folder: Path | None, kept: Epoch) -> str:
    """What a run that fails still has."""
    if not folder or not kept.epoch:
        return ""
    right = f" ({kept.top1:.2%} right on the images held out)" if kept.top1 is not None else ""
    return f"{folder / MODEL} still holds epoch {kept.epoch}{right}."
