"""What does the loop cost over a bare torch loop, and for how long do checkpoints hold training up?

The loop: LeNet-5 at batch 128 in float32, torch's own fused AdamW on the bare one, batches made beforehand; with a
folder (the log, a checkpoint every 30 seconds) and without. All of them train the very same network on the same
batches, in turns of a few steps, each time in another order: networks that lie elsewhere in memory differ by 2 %, more
than the loops do. The bare loop is there twice: how far the two differ is how far such figures go. Then a network of
one linear layer on images of one pixel, where a step is hardly anything but the loop: what it costs in microseconds.
Checkpoints: the gaps from step to step from where one is begun until it is there, against the mean of the others.

    python benchmarks/loop.py [rounds] [seconds for each network's checkpoints]
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

QUESTION = "what striate.train costs over a bare torch loop, and what a checkpoint costs it"
CPU, LONG = torch.device("cpu"), 1 << 30  # steps of an epoch: more than are made
CASES: dict[str, tuple[Blueprint, tuple[int, int, int], int, int]] = {  # network, image, batch, steps of a turn
    "lenet5": (zoo.lenet5(), (1, 32, 32), 128, 10),
    "one linear layer": (Linear(10), (1, 1, 1), 8, 200),
}
TURNS = 5  # of a round
STALLS = {"lenet5": ((1, 32, 32), 0.5), "resnet18": ((3, 32, 32), 1.0)}  # image, seconds between checkpoints
WARM = 3  # steps that are none of the others: the first ones ask for memory
BEGUN, ALL = "where one is begun, in steps", "until it is there, in steps"
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


def ours(course: Beforehand, folder: Path | None = None) -> Iterator[None]:
    for event in Run(course, folder, Control(), EVERY).recorded(lambda: begun(course)):
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
    """Seconds a step of each, and what ours takes longer."""
    *case, steps = CASES[name]
    with TemporaryDirectory() as here, on(threads):
        course = made(*case, "float32", threads)
        loops = {"bare": bare(course), "bare, again": bare(course)}
        loops |= {"striate": ours(course), "striate, a folder": ours(course, Path(here))}
        timed(loops, 1, steps)  # what is done once only is no part of it
        seconds = timed(loops, n * TURNS, steps)
        for loop in loops.values():
            with closing(loop):
                pass
    step = statistics.median(seconds["bare"] + seconds["bare, again"])
    result: _harness.Json = {"threads": threads, "batch": case[2], "steps": len(seconds["bare"]), "bare_step_s": step}
    print(f"{name}, {threads} thread{'s' * (threads > 1)}: a bare step {step * 1e6:.1f} us")
    for loop, times in seconds.items():
        low, middle, high = statistics.quantiles(times, n=4)
        share = middle / step - 1
        result[loop] = {"median_s": middle, "quartiles_s": [low, high], "more_s": middle - step, "share": share}
        print(f"  {loop:18} {(middle - step) * 1e6:+7.1f} us a step ({share:+.2%})", flush=True)
    return result


def gaps(name: str, seconds: float, folder: Path) -> tuple[list[float], list[tuple[int, int]]]:
    """Seconds from each step to the next; and checkpoints: after which step begun, after which known to be there."""
    image, every = STALLS[name]
    course = made(getattr(zoo, name)(classes=10), image, 128, "auto", torch.get_num_threads())
    steps, written = [], []
    with closing(Run(course, folder, Control(), every).recorded(lambda: begun(course))) as run:
        for event in run:
            if isinstance(event, Checkpoint):
                written.append((event.step, len(steps)))
            if isinstance(event, Step):
                steps.append(time.perf_counter())
                if len(written) > 1 and steps[-1] > steps[0] + seconds:
                    break
    return [later - sooner for sooner, later in pairwise(steps)], written[1:]  # the first is begun before any step


def stalls(name: str, seconds: float) -> _harness.Json:
    """What a checkpoint holds up: the step where it is begun, and all steps until it is there."""
    with TemporaryDirectory() as folder:
        steps, written = gaps(name, seconds, Path(folder))
    spans = [range(start - 1, max(start, there - 1)) for start, there in written]
    held = {i for span in spans for i in span}
    others = [gap for i, gap in enumerate(steps) if i not in held][WARM:]
    usual = statistics.mean(others)
    more = [[steps[i] - usual for i in span if i < len(steps)] for span in spans]
    found: _harness.Json = {"seconds between": STALLS[name][1], "checkpoints": len(written), "steps": len(steps)}
    found |= {"mean_step_s": usual, "median_step_s": statistics.median(others), "longest_other_s": max(others)}
    for what, delays in ((BEGUN, [each[0] for each in more if each]), (ALL, [sum(each) for each in more if each])):
        found[what] = {"median": statistics.median(delays) / usual, "most": max(delays) / usual}
    print(
        f"{name}: {len(written)} checkpoints in {len(steps)} steps of {usual * 1e3:.1f} ms. In steps, one holds up "
        f"where it is begun {found[BEGUN]['median']:.2f} (most {found[BEGUN]['most']:.2f}), until it is there "
        f"{found[ALL]['median']:.2f} (most {found[ALL]['most']:.2f}); the longest of the others took "
        f"{max(others) / usual:.2f}",
        flush=True,
    )
    return found


def main(n: int, seconds: float) -> None:
    everything = torch.get_num_threads()
    cases = [("one linear layer", 1), *(("lenet5", threads) for threads in sorted({1, everything}))]
    result: _harness.Json = {"overhead": [{"network": name, **overhead(name, n, on)} for name, on in cases]}
    result["checkpoints"] = {name: stalls(name, seconds) for name in STALLS}
    _harness.record("loop", QUESTION, result, "torch")


if __name__ == "__main__":
    main(int((sys.argv[1:] or [40])[0]), float((sys.argv[2:] or [30])[0]))
