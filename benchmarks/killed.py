"""Is a run that was killed, again and again, at any moment, in the end the run that nobody touched, to the bit?

Processes that train are killed by SIGKILL at random moments of their life: while they open the data, read a checkpoint,
learn, write. Each time another goes on (or begins again, where there was no checkpoint yet). When a run is done, the
hash of its weights and the losses in its log are held against those of the uninterrupted run; each checkpoint that is
found is held against the digest in its name. Images in memory and images that are streamed, augmented; averages of
weights; Muon and the others. The processes are forked from one that has torch imported but has not used it.

    python benchmarks/killed.py [kills]
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import matplotlib.figure  # noqa: F401  # what training imports on its way is imported here, once, not in each process
import sklearn.datasets  # noqa: F401
import torch
import torch._dynamo
from safetensors.numpy import load_file
from xxhash import xxh3_64

import _harness
import striate.data.memory
import striate.training.lesson
from _sets import SHARED
from striate import nn
from striate.blueprint import BatchNorm, Conv, Dropout, Linear, MaxPool, Relu, Seq, draft
from striate.data import open_data
from striate.training import resume, train
from striate.training.checkpoint import listed

QUESTION = "runs killed at random moments and gone on with, against the uninterrupted ones"
SHARE = 0.5  # the longest life, of the time that the whole run takes alone
NET = Seq(Conv(8, 3), BatchNorm(), Relu, MaxPool(2), Conv(16, 3, padding=1), Relu, Dropout(0.3), Linear(10))
PHOTOS = Seq(Conv(8, 3, 2, 1), BatchNorm(), Relu, Conv(16, 3, 2, 1), Relu, Dropout(0.2), Linear(2))
EACH: dict[str, Any] = {"threads": 1, "seed": 3, "ema": 0.99}


class Case(NamedTuple):
    blueprint: Seq
    source: str
    size: int | None
    fields: dict[str, Any]


def _digits(**fields: Any) -> Case:
    return Case(NET, "digits", None, {**EACH, "epochs": 100, "batch_size": 128, "augment": "padded-crop(1)", **fields})


def _photos(**fields: Any) -> Case:
    fields = {**EACH, "epochs": 8, "batch_size": 32, "augment": "resized-crop, flip", **fields}
    return Case(PHOTOS, str(SHARED / "data" / "hymenoptera"), 32, fields)


CASES = {
    "in memory, Muon": _digits(optimizer="muon", lr=0.02),
    "in memory, AdamW, mixup, accumulated": _digits(mix="mixup(0.2)", accumulate=2, batch_size=64),
    "in memory, SGD, bfloat16, mean of all": _digits(optimizer="sgd", lr=0.05, precision="bfloat16", ema="polyak"),
    "in memory, RMSprop, plateau": _digits(optimizer="rmsprop", lr=1e-3, schedule="plateau", patience=0, clip=1.0),
    "streamed, Muon": _photos(optimizer="muon", lr=0.02),
    "streamed, SGD, mixup": _photos(optimizer="sgd", lr=0.05, mix="mixup(0.2)"),
}


def forked(work: Callable[[], None]) -> int:
    """A process of its own that does it; its number."""
    if child := os.fork():
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # whatever it was, this process ends here
        traceback.print_exc()
        os._exit(1)


def life(case: Case, run: Path, goes_on: bool, every: float) -> None:
    """What a process does, if it may."""
    torch.set_num_threads(1)
    if case.source != "digits":  # streamed, as if there were no room for so many
        striate.data.memory.free = lambda: 1000
        striate.training.lesson.free = lambda: 1 << 40
    if goes_on:
        events = resume(run)
    else:
        data = open_data(case.source, case.size)
        assert (case.source == "digits") != ("streamed" in data.told)
        torch.manual_seed(0)
        network = nn.build(draft(case.blueprint, data.preprocessing.volume))
        events = train(network, data, out=run, checkpoint_every=every, **case.fields)
    for _ in events:
        pass


def waited(child: int) -> bool:
    """Whether it came to its end by itself. One that failed ends everything."""
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a process failed: its words are above"
    return not os.WIFSIGNALED(status)


def killed_after(child: int, seconds: float) -> bool:
    """Whether it was killed; else it was done before."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return not waited(child)
        time.sleep(min(left, 0.005))
    os.kill(child, signal.SIGKILL)
    return not waited(child)


def fingerprint(run: Path) -> tuple[str, list[tuple[Any, ...]]]:
    """The hash of the weights; what the log says of each step and epoch."""
    digest = hashlib.sha256()
    for name, array in sorted(load_file(run / "model.safetensors").items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return digest.hexdigest(), [(line["step"], line["loss"], line.get("top1")) for line in lines if "loss" in line]


def damaged(run: Path) -> int:
    return sum(xxh3_64(path.read_bytes()).hexdigest() != path.stem.partition("-")[2] for path in listed(run))


def tried(name: str, case: Case, kills: int, folder: Path, chance: random.Random) -> _harness.Json:
    """Run after run, until so many were killed; the last one is left to its end."""
    begun = time.perf_counter()
    waited(forked(lambda: life(case, folder / "whole", False, 30.0)))
    alone, whole = time.perf_counter() - begun, fingerprint(folder / "whole")
    counts = dict.fromkeys(("kills", "resumes", "begun again", "in mid-write", "checkpoints", "damaged", "runs"), 0)
    equal = logs = True
    while counts["kills"] < kills or not counts["runs"]:
        run, done, before = folder / f"run-{counts['runs']}", False, False
        while not done:
            goes_on = bool(listed(run))
            every = chance.choice((0.0, 0.05))
            counts["resumes"] += goes_on
            counts["begun again"] += before and not goes_on
            run = run if goes_on else folder / f"run-{counts['runs']}-{counts['kills']}"
            child = forked(lambda run=run, goes_on=goes_on, every=every: life(case, run, goes_on, every))
            done = (
                waited(child) if counts["kills"] >= kills else not killed_after(child, chance.random() * SHARE * alone)
            )
            before = True
            counts["kills"] += not done
            counts["in mid-write"] += any(True for _ in run.rglob(".*.part")) and not done
            counts["checkpoints"] += len(listed(run))
            counts["damaged"] += damaged(run)
        weights, losses = fingerprint(run)
        equal, logs = equal and weights == whole[0], logs and losses == whole[1]
        counts["runs"] += 1
    told = ", ".join(f"{n} {what}" for what, n in counts.items())
    print(f"{name}, {alone:.1f} s alone: {told}; equal weights {equal}, logs {logs}", flush=True)
    return {**counts, "equal": equal, "equal logs": logs, "alone_s": alone, "weights": whole[0], "steps": len(whole[1])}


def main(kills: int) -> None:
    here = {name: case for name, case in CASES.items() if case.source == "digits" or Path(case.source).is_dir()}
    chance, begun, cases = random.Random(0), time.perf_counter(), {}
    for number, (name, case) in enumerate(here.items()):
        with TemporaryDirectory() as folder:
            share = kills * (number + 1) // len(here) - kills * number // len(here)
            cases[name] = tried(name, case, share, Path(folder), chance)
    totals = {what: sum(case[what] for case in cases.values()) for what in ("kills", "resumes", "damaged", "runs")}
    equal = all(case["equal"] and case["equal logs"] for case in cases.values())
    print(f"{totals['kills']} kills, {totals['damaged']} damaged checkpoints, {'equal' if equal else 'NOT equal'}")
    result = {**totals, "equal": equal, "seconds": time.perf_counter() - begun, "cases": cases}
    _harness.record("killed", QUESTION, result, "torch", "safetensors")


if __name__ == "__main__":
    main(int((sys.argv[1:] or [100])[0]))
