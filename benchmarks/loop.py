"""What does the loop cost over a bare torch loop, and for how long do checkpoints hold training up?

The loop: LeNet-5 at batch 128 in float32, the same batches, network and fused optimiser on both sides, batches made
beforehand; with a folder (the log, a checkpoint every 30 seconds) and without. Then a network of one linear layer on
images of one pixel, where a step is hardly anything but the loop: what it costs in microseconds.
Checkpoints: the gap from step to step where one is begun and while it is written, against the median of the others.

    python benchmarks/loop.py [rounds] [seconds for each network's checkpoints]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from itertools import cycle, islice
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
CASES: dict[str, tuple[Blueprint, tuple[int, int, int], int, int]] = {  # network, image, batch, steps of a round
    "lenet5": (zoo.lenet5(), (1, 32, 32), 128, 50),
    "one linear layer": (Linear(10), (1, 1, 1), 8, 1000),
}
STALLS = {"lenet5": ((1, 32, 32), 0.5), "resnet18": ((3, 32, 32), 0.5)}  # image, seconds between checkpoints
BEGUN, ALL = "where one is begun, seconds more", "until it is there, seconds more"
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Deck:
    """Batches that are there already, over and over."""

    dealt: tuple[Batch, ...]
    skipped: Mapping[str, Skipped]

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
    recipe = Recipe(batch_size=size, validation=0.0, epochs=1, precision=precision, threads=threads, lr=1e-4)  # type: ignore[arg-type]
    whole = lesson(nn.build(draft(blueprint, rule.volume)), Splits(images, images, rule), recipe, CPU, saved=True)
    dealt = tuple(whole.batches.epoch(1))
    return Beforehand(**{f.name: getattr(whole, f.name) for f in fields(whole)}, deck=Deck(dealt, {}))


def bare(course: Beforehand) -> Iterator[None]:
    """The loop that one would write by hand: a step each time."""
    assert course.deck
    model, optimiser = course.model.train(), optimizer(course.model, course.recipe)
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


def overhead(name: str, n: int, threads: int) -> _harness.Json:
    """Seconds a step of each, and what ours takes longer."""
    *case, steps = CASES[name]
    with TemporaryDirectory() as made_here, on(threads):
        courses = [made(*case, "float32", threads) for _ in range(3)]  # type: ignore[arg-type]
        loops = {
            "bare": bare(courses[0]),
            "striate": ours(courses[1]),
            "striate, a folder": ours(courses[2], Path(made_here)),
        }
        timed = _harness.rounds(
            {name: lambda of=of: list(islice(of, steps)) for name, of in loops.items()}, n, at_least_s=0.0
        )
        for loop in loops.values():
            with closing(loop):  # type: ignore[type-var]
                pass
    result: _harness.Json = {"threads": threads, "batch": case[2], "steps a round": steps, "timed": timed}
    step = timed["bare"]["median_s"] / steps
    print(f"{name}, {threads} thread{'s' * (threads > 1)}: a bare step {step * 1e6:.1f} us")
    for loop in ("striate", "striate, a folder"):
        more = {what: (timed[loop][f"{what}_s"] - timed["bare"][f"{what}_s"]) / steps for what in ("median", "least")}
        processor = (timed[loop]["cpu_median_s"] - timed["bare"]["cpu_median_s"]) / steps
        result[loop] = {"step_s": step, "more_s": more, "cpu_more_s": processor, "share": more["median"] / step}
        print(
            f"  {loop:18} {more['median'] * 1e6:+7.1f} us a step ({more['median'] / step:+.2%}); least of the rounds "
            f"{more['least'] * 1e6:+.1f}, processor {processor * 1e6:+.1f}"
        )
    return result


def stalls(name: str, seconds: float) -> _harness.Json:
    """Steps that begin a checkpoint, steps while it is written, and others."""
    image, every = STALLS[name]
    threads = torch.get_num_threads()
    course = made(getattr(zoo, name)(classes=10), image, 128, "auto", threads)
    gaps: dict[int, float] = {}  # by the step that ends it
    written: list[tuple[int, int]] = []  # checkpoints: after which step begun, and known to be there
    last = end = step = 0
    with (
        TemporaryDirectory() as folder,
        closing(Run(course, Path(folder), Control(), every).recorded(lambda: begun(course))) as run,
    ):  # type: ignore[type-var]
        for event in run:
            now = time.perf_counter()
            if isinstance(event, Checkpoint):
                written.append((event.step, step))
            if isinstance(event, Step):
                if last:
                    gaps[event.step] = now - last
                last, step, end = now, event.step, end or now + seconds  # type: ignore[assignment]
                if now > end:
                    break
    return _told(name, every, gaps, written)


def _told(name: str, every: float, gaps: dict[int, float], written: list[tuple[int, int]]) -> _harness.Json:
    during = {step for start, there in written for step in range(start + 1, there + 1)}
    usual = statistics.median(gap for step, gap in gaps.items() if step not in during)
    begun = [gaps[start + 1] - usual for start, _ in written if start + 1 in gaps]
    whole = [sum(gaps[s] - usual for s in range(start + 1, there + 1) if s in gaps) for start, there in written[1:]]
    quiet = max(gap for step, gap in gaps.items() if step not in during)
    found: _harness.Json = {
        "seconds between": every,
        "checkpoints": len(written),
        "steps": len(gaps),
        "median_step_s": usual,
        "longest gap without, s": quiet,
        "longest gap, s": max(gaps.values()),
        BEGUN: {"median": statistics.median(begun), "most": max(begun)},
        ALL: {"median": statistics.median(whole), "most": max(whole)},
    }
    begins, all_of_it = ([of["median"] / usual, of["most"] / usual] for of in (found[BEGUN], found[ALL]))
    print(
        f"{name}: {len(written)} checkpoints in {len(gaps)} steps of {usual * 1e3:.1f} ms. Where one is begun a step "
        f"is {begins[0]:.2f} steps longer (most {begins[1]:.2f}); all in all one delays by {all_of_it[0]:.2f} steps "
        f"(most {all_of_it[1]:.2f}). Without one the longest step is {quiet / usual:.2f} long"
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
