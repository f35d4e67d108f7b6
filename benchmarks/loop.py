"""What does the loop cost over a bare torch loop, and for how long do checkpoints hold training up?

The loop: LeNet-5 at batch 128 in float32, batches made beforehand, without a folder and with one, where it keeps its
log; a checkpoint falls into none of these steps. Two bare loops: with torch's own fused AdamW and zero_grad, which one
would write, and with the optimiser that ours has, so that nothing but the loop is left to differ. All of them train the
very same network on the same batches, in turns of a few steps, each time in another order: networks that lie elsewhere
in memory differ by 2 %, more than the loops do. The first bare loop is there twice: how far the two differ is how far
such figures go. Then a network of one linear layer on images of one pixel, where a step is hardly anything but the
loop: what it costs in microseconds.
Checkpoints: a run with a folder and one without, in turns of some seconds, on the same network. How much longer the
gaps from step to step are from where one is begun until it is there, than the mean of the run without, which no
checkpoint slows down; and, beside it, than the mean of the same run's other steps.

    python benchmarks/loop.py [rounds] [seconds for each network with checkpoints, and as many without]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from itertools import cycle, islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import _harness
from striate import nn, zoo
from striate.blueprint import Blueprint, Linear, draft
from striate.data import Images, Preprocessing, Skipped, Splits
from striate.training import Checkpoint, Control, Recipe, Step
from striate.training.lesson import Lesson, lesson
from striate.training.loop import EVERY, Run, begun
from striate.training.optimise import optimizer
from striate.training.state import State

QUESTION = "what striate.train costs over a bare torch loop, and what a checkpoint costs it"
CPU, LONG = torch.device("cpu"), 1 << 30  # steps of an epoch, and seconds: more than are made
CASES: dict[str, tuple[Blueprint, tuple[int, int, int], int, int]] = {  # network, image, batch, steps of a turn
    "lenet5": (zoo.lenet5(), (1, 32, 32), 128, 10),
    "one linear layer": (Linear(10), (1, 1, 1), 8, 200),
}
TURNS = 5  # of a round
STALLS = {"lenet5": ((1, 32, 32), 0.5), "resnet18": ((3, 32, 32), 1.0)}  # image, seconds between checkpoints
SWAPS = 3  # turns of a run without a folder and of one with
WARM = 3  # steps of a turn that do not count: the first ones ask for memory
TORCHS, OURS = "against torch's optimiser", "against our optimiser"
BEGUN, ALL = "where one is begun", "until it is there"
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Deck:
    """Batches that are there already, over and over."""

    dealt: tuple[Batch, ...]
    skipped: Mapping[str, Skipped]
    undealt: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return LONG

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        return islice(cycle(self.dealt), LONG)


@dataclass(frozen=True, eq=False)
class Beforehand(Lesson):
    """A lesson whose batches cost nothing."""

    deck: Deck | None = None

    @property
    def batches(self) -> Any:
        return self.deck


def made(blueprint: Blueprint, image: tuple[int, int, int], size: int, precision: str, threads: int) -> Beforehand:
    """Random images: a step takes as long on them as on others."""
    torch.manual_seed(0)
    pixels, labels = torch.randint(256, (16 * size, *image), dtype=torch.uint8), torch.arange(16 * size) % 10
    images = Images(pixels, labels, tuple("0123456789"), "")
    rule = Preprocessing(image[0], image[1:], image[1:], (0.5,) * image[0], (0.25,) * image[0])
    recipe = Recipe(batch_size=size, validation=0.0, epochs=1, precision=precision, threads=threads, lr=1e-4)
    whole = lesson(nn.build(draft(blueprint, rule.volume)), Splits(images, images, rule), recipe, CPU, saved=True)
    dealt = tuple(whole.batches.epoch(1))
    return Beforehand(**{f.name: getattr(whole, f.name) for f in fields(whole)}, deck=Deck(dealt, {}))


def bare(course: Beforehand) -> Iterator[None]:
    """The loop that one would write by hand: a step each time."""
    assert course.deck
    model, groups = course.model.train(), optimizer(course.model, course.recipe).param_groups
    optimiser = torch.optim.AdamW(
        [{name: group[name] for name in ("params", "weight_decay")} for group in groups], course.recipe.lr, fused=True
    )
    for x, y in course.deck.epoch():
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        yield


def bare_with_ours(course: Beforehand) -> Iterator[None]:
    """The same, but with the optimiser that `ours` has, and gradients dropped as there."""
    assert course.deck
    model, optimiser = course.model.train(), optimizer(course.model, course.recipe)
    trained = [p for group in optimiser.param_groups for p in group["params"]]
    for x, y in course.deck.epoch():
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        for parameter in trained:
            parameter.grad = None
        yield


def ours(course: Beforehand, folder: Path | None = None) -> Iterator[None]:
    """With a folder it keeps its log there; the one checkpoint, from before any step, is there when the first comes."""
    with closing(Run(course, folder, Control(), LONG).recorded(lambda: begun(course))) as events:
        if folder:
            next(event for event in events if isinstance(event, Checkpoint))
        for event in events:
            if isinstance(event, Step):
                yield


@contextmanager
def on(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def timed(loops: Mapping[str, Iterator[None]], turns: int, steps: int) -> dict[str, list[float]]:
    """Seconds of each step, so many in a turn."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    order, chance = list(loops), random.Random(0)
    for _ in range(turns):
        chance.shuffle(order)
        for name in order:
            next(loops[name])  # the first finds the caches as another left them
            times = [time.perf_counter(), *(time.perf_counter() for _ in islice(loops[name], steps))]
            seconds[name] += [later - sooner for sooner, later in pairwise(times)]
    return seconds


def overhead(name: str, n: int, threads: int) -> _harness.Json:
    """Seconds a step of each, and what it takes longer than either bare loop."""
    *case, steps = CASES[name]
    with TemporaryDirectory() as here, on(threads):
        course = made(*case, "float32", threads)
        loops = {"bare": bare(course), "bare, again": bare(course), "bare, our optimiser": bare_with_ours(course)}
        loops |= {"striate": ours(course), "striate, a log": ours(course, Path(here))}
        timed(loops, 1, steps)  # what is done once only is no part of it
        seconds = timed(loops, n * TURNS, steps)
        for loop in loops.values():
            with closing(loop):
                pass
    steps_s = {
        TORCHS: statistics.median(seconds["bare"] + seconds["bare, again"]),
        OURS: statistics.median(seconds["bare, our optimiser"]),
    }
    result: _harness.Json = {
        "threads": threads,
        "batch": case[2],
        "steps": len(seconds["bare"]),
        "bare_step_s": steps_s,
    }
    print(f"{name}, {threads} thread{'s' * (threads > 1)}: a bare step {steps_s[TORCHS] * 1e6:.1f} us")
    for way, times in seconds.items():
        low, middle, high = statistics.quantiles(times, n=4)
        result[way] = {"median_s": middle, "quartiles_s": [low, high]}
        for what, step in steps_s.items():
            result[way][what] = {"more_s": middle - step, "share": middle / step - 1}
        told = (
            f"{what} {of['more_s'] * 1e6:+7.1f} us ({of['share']:+.2%})"
            for what in steps_s
            if (of := result[way][what])
        )
        print(f"  {way:20} {', '.join(told)}", flush=True)
    return result


def plain(course: Beforehand, state: State, seconds: float) -> list[float]:
    """Seconds from each step to the next, without a folder."""
    steps: list[float] = []
    with closing(Run(course, None, Control(), LONG).recorded(lambda: state)) as run:
        for event in run:
            if isinstance(event, Step):
                steps.append(time.perf_counter())
                if len(steps) > WARM + 1 and steps[-1] > steps[0] + seconds:
                    break
    return [later - sooner for sooner, later in pairwise(steps)][WARM:]


def gaps(course: Beforehand, state: State, every: float, seconds: float) -> tuple[list[float], list[list[float]]]:
    """Seconds from each step to the next, of those that no checkpoint was under way in; and of those from where one was
    begun until it was there, for each checkpoint. It ends with a checkpoint, so that none is begun and unknown.
    """
    steps, spans, before = [], [], state.step
    with (
        TemporaryDirectory() as folder,
        closing(Run(course, Path(folder), Control(), every).recorded(lambda: state)) as run,
    ):
        for event in run:
            if isinstance(event, Step):
                steps.append(time.perf_counter())
            if isinstance(event, Checkpoint):
                spans.append(range(event.step - before - 1, len(steps) - 1))
                if len(spans) > 1 and steps[-1] > steps[0] + seconds:
                    break
    times = [later - sooner for sooner, later in pairwise(steps)]
    first, *counted = spans  # the first is begun before any step
    busy = {i for span in spans for i in span} | set(range(max(WARM, first.stop)))
    return [gap for i, gap in enumerate(times) if i not in busy], [[times[i] for i in span] for span in counted]


def stalls(name: str, seconds: float) -> _harness.Json:
    """What a checkpoint holds up: the step where it is begun, and all steps until it is there."""
    image, every = STALLS[name]
    course = made(getattr(zoo, name)(classes=10), image, 128, "auto", torch.get_num_threads())
    state = begun(course)  # one for all turns: its tensors stay where they are
    without, others, spans = [], [], []
    plain(course, state, 0)
    for _ in range(SWAPS):
        without += plain(course, state, seconds / SWAPS)
        free, held = gaps(course, state, every, seconds / SWAPS)
        others, spans = others + free, spans + held
    usual = statistics.mean(without)
    found: _harness.Json = {"seconds between": every, "checkpoints": len(spans), "turns": SWAPS}
    found |= {
        "without": {**_about(without), **_held(spans, usual)},
        "the same run's others": {**_about(others), **_held(spans, statistics.mean(others))} if others else None,
    }
    mean = statistics.mean(sum(span) - usual * len(span) for span in spans)
    found[f"share, one every {EVERY:.0f} s"] = mean / EVERY
    of, beside = found["without"], found["the same run's others"]
    print(
        f"{name}: {len(spans)} checkpoints; {len(without)} steps of {usual * 1e3:.2f} ms without any. In steps, one "
        f"holds up where it is begun {of[BEGUN]['median']:.2f} (most {of[BEGUN]['most']:.2f}), until it is there "
        f"{of[ALL]['median']:.2f} (most {of[ALL]['most']:.2f}); one every {EVERY:.0f} s costs {mean / EVERY:.3%}"
    )
    if beside:
        print(
            f"  against the same run's {beside['steps']} other steps of {beside['mean_s'] * 1e3:.2f} ms: "
            f"{beside[BEGUN]['median']:.2f} and {beside[ALL]['median']:.2f}; the longest of them took "
            f"{beside['longest_s'] / usual:.2f}",
            flush=True,
        )
    return found


def _about(times: list[float]) -> _harness.Json:
    middle = statistics.median(times)
    return {"steps": len(times), "mean_s": statistics.mean(times), "median_s": middle, "longest_s": max(times)}


def _held(spans: list[list[float]], usual: float) -> _harness.Json:
    """By how many usual steps each checkpoint held training up."""
    delays = {BEGUN: [span[0] / usual - 1 for span in spans], ALL: [sum(span) / usual - len(span) for span in spans]}
    return {
        what: {"median": statistics.median(of), "mean": statistics.mean(of), "most": max(of)}
        for what, of in delays.items()
    }


def main(n: int, seconds: float) -> None:
    everything = torch.get_num_threads()
    cases = [("one linear layer", 1), *(("lenet5", threads) for threads in sorted({1, everything}))]
    result: _harness.Json = {"overhead": [{"network": name, **overhead(name, n, on)} for name, on in cases]}
    result["checkpoints"] = {name: stalls(name, seconds) for name in STALLS}
    _harness.record("loop", QUESTION, result, "torch")


if __name__ == "__main__":
    main(int((sys.argv[1:] or [40])[0]), float((sys.argv[2:] or [30])[0]))
