"""CIFAR-10 to 94 % on one GPU: how long, against airbench94_muon on the same card, in turns?

Ours: `striate.train` of the zoo's airbench94 by the recipe airbench-2024, then `evaluate` by moved and mirrored views;
one clock around both, with the images in the GPU's memory; its steps captured, and captured and compiled. The peer:
airbench94_muon.py as its author published it (github.com/KellerJordan/cifar10-airbench), whose file is given; its own
clock counts its training and its last evaluation, not its initialisation, nor its evaluations in between.

Cold: a fresh process with empty caches of compiled kernels, from its start to the accuracy of its first training,
imports and reading of the images included. Warm: one process for all, kernels compiled before, the first training of
each thrown away; then each in turn, seed after seed. The test images choose nothing.

    python benchmarks/airbench.py airbench94_muon.py [--data DIR] [--n 20] [--cold 1] [--set FIELD=VALUE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import _harness
from _sets import cifar10

QUESTION = "CIFAR-10 to a mean of 94 % on one GPU: striate.train of airbench94 against airbench94_muon, in turns"
NETWORK, RECIPE = "airbench94", "airbench-2024"
CONTENDERS = ("peer", "compiled", "captured")
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
Run = Callable[[int], _harness.Json]


def ours(folder: Path, said: list[str], step: str) -> Run:
    """One training of a network that is new but for its compiled kernels: seconds, and top-1 on the test."""
    from striate.cli.recipe import fields
    from striate.judging import evaluate
    from striate.training import fit, read_recipe, revised, started, train

    recipe = revised(read_recipe(RECIPE), **fields(tuple(said)) | {"step": step})
    fitted = fit(NETWORK, folder)
    splits = fitted.data
    data = splits.__class__(splits.train.to("cuda"), splits.test.to("cuda"), splits.preprocessing)
    model, _ = started(fitted, 0)
    model.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def run(seed: int) -> _harness.Json:
        seed = seed % 10_000
        model.load_state_dict(fresh)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in train(model, data, recipe, seed=seed):
            pass
        trained = time.perf_counter()
        judged = evaluate(model, data.test, data.preprocessing, torch.bfloat16, views="shifted")
        end = time.perf_counter()
        return {"seed": seed, "top1": judged.top1, "seconds": end - start, "training_s": trained - start}

    return run


def peer(file: Path, folder: Path) -> Run:
    """One run of the peer's `main`: its own clock's seconds, and its accuracy. The network is compiled as it does."""
    sys.argv[0] = str(file)  # it reads itself
    spec = importlib.util.spec_from_file_location("airbench94_muon", file)
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    place = Path(tempfile.mkdtemp())
    _as_it_reads(folder, place / "cifar10")
    seen: dict[str, Any] = {}
    module.print_training_details = lambda variables, is_final_entry: seen.update(variables)
    model = module.CifarNet().cuda().to(memory_format=torch.channels_last)
    model.compile(mode="max-autotune")

    def run(seed: int) -> _harness.Json:
        torch.manual_seed(seed)
        before = Path.cwd()
        os.chdir(place)
        try:
            start = time.perf_counter()
            top1 = module.main("warmup" if seed < 0 else seed, model)
            wall = time.perf_counter() - start
        finally:
            os.chdir(before)
        return {"seed": seed, "top1": top1, "seconds": seen["time_seconds"], "whole_s": wall}

    return run


def _as_it_reads(folder: Path, to: Path) -> None:
    """The files that its loader makes of torchvision's, made of the same images."""
    from striate.data import open_data

    to.mkdir()
    splits = open_data(folder)
    for name, images in (("train", splits.train), ("test", splits.test)):
        pixels = images.pixels.permute(0, 2, 3, 1).contiguous()  # type: ignore[union-attr]
        said = {"images": pixels, "labels": images.labels}
        torch.save({**said, "classes": list(images.classes)}, to / f"{name}.pt")


def cold(who: str, asked: argparse.Namespace, folder: Path, caches: str) -> _harness.Json:
    """A fresh process that trains once, seconds from its start on; what it compiles stays in `caches`."""
    words = [sys.executable, __file__, str(asked.peer), "--data", str(folder), "--alone", who]
    words += [word for text in asked.set for word in ("--set", text)]
    places = {name: f"{caches}/{name}" for name in CACHES}
    start = time.perf_counter()
    done = subprocess.run(words, env=os.environ | places, stdout=subprocess.PIPE, check=True, text=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "whole_s": time.perf_counter() - start}


def summary(runs: list[_harness.Json]) -> _harness.Json:
    top1, seconds = ([run[name] for run in runs] for name in ("top1", "seconds"))
    deviation = statistics.stdev(top1) if len(runs) > 1 else 0.0
    return {
        "n": len(runs),
        "top1_mean": statistics.mean(top1),
        "top1_deviation": deviation,
        "top1_standard_error": deviation / len(runs) ** 0.5,
        "seconds_mean": statistics.mean(seconds),
        "seconds_median": statistics.median(seconds),
        "seconds_least": min(seconds),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=Path, help="airbench94_muon.py")
    parser.add_argument("--data", help="a folder of CIFAR-10's binary batches; else the images beside the project")
    parser.add_argument("--n", type=int, default=20, help="trainings of each, in turns")
    parser.add_argument("--cold", type=int, default=1, help="fresh processes of each")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the recipe")
    parser.add_argument("--alone", choices=CONTENDERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU here")
    asked.peer = asked.peer.resolve()
    with cifar10(asked.data) as folder, tempfile.TemporaryDirectory() as caches:
        makes: dict[str, Callable[[], Run]] = {
            "peer": lambda: peer(asked.peer, folder),
            "compiled": lambda: ours(folder, asked.set, "compiled"),
            "captured": lambda: ours(folder, asked.set, "captured"),
        }
        if asked.alone:
            print(json.dumps(makes[asked.alone]()(0)))
            return
        colds: dict[str, list[_harness.Json]] = {}
        for who in CONTENDERS:
            colds[who] = []
            for number in range(asked.cold):
                colds[who].append(cold(who, asked, folder, f"{caches}/{number}"))
                print(f"cold {who}: {colds[who][-1]['whole_s']:.1f} s", flush=True)
        os.environ.update({name: f"{caches}/0/{name}" for name in CACHES})
        runs = {who: make() for who, make in makes.items()}
        first = {who: run(-1) for who, run in runs.items()}
        warm: dict[str, list[_harness.Json]] = {who: [] for who in runs}
        for seed in range(asked.n):
            for who, run in runs.items():
                warm[who].append(run(seed))
                print(f"{seed} {who}: {warm[who][-1]['top1']:.2%} {warm[who][-1]['seconds']:.3f} s", flush=True)
    recorded(asked, warm, first, colds)


def recorded(
    asked: argparse.Namespace,
    warm: dict[str, list[_harness.Json]],
    first: dict[str, _harness.Json],
    colds: dict[str, list[_harness.Json]],
) -> None:
    from striate.cli.recipe import fields
    from striate.training import read_recipe, revised

    found = {who: summary(runs) for who, runs in warm.items()}
    took = {who: of["seconds_median"] for who, of in found.items()}
    result = {
        "gpu": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "network": NETWORK,
        "recipe": revised(read_recipe(RECIPE), **fields(tuple(asked.set))).model_dump(mode="json"),
        "peer_over_ours": {who: took["peer"] / took[who] for who in took},
        "warm": found,
        "first_in_process": first,
        "cold": colds,
    }
    _harness.record("airbench", QUESTION, result, "torch", "triton")
    for who, of in found.items():
        print(
            f"{who}: {of['top1_mean']:.2%} ± {of['top1_standard_error']:.2%} (n={of['n']}), median "
            f"{of['seconds_median']:.3f} s, cold {[round(run['whole_s'], 1) for run in colds[who]]} s"
        )


if __name__ == "__main__":
    main()
