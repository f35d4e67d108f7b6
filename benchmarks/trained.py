"""What do networks reach when they are trained here: top-1 on the test images, seed by seed, and in what time?

Each experiment is a network, images, a recipe and some of its fields. Every choice, the epoch's too, is made on images
held out of the training ones; `--choose` trains so and stops there. Else the test images are opened once, by the model
that each seed's run kept. plain20 … resnet56 are the degradation of plain networks with depth, and what shortcuts do
about it (He et al. 2015, Figures 1 and 6): their error on the very images they learnt from is what counts. At a small
scale it is six epochs on a processor; else 50, on a GPU, the paper's recipe in proportion.

    python benchmarks/trained.py                                    which experiments there are, and what they gave
    python benchmarks/trained.py resnet20 plain20                   two of them; what others gave stays
    python benchmarks/trained.py lenet5 --choose --set epochs=30    how good it would be, by images held out
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

import _harness
from _sets import cifar10, there
from striate import nn
from striate.cli.recipe import fields
from striate.data import stratified
from striate.judging import evaluate
from striate.training import Done, Epoch, Started, fit, read_recipe, revised, started, train

QUESTION = "top-1 of networks trained here, on test images that were opened once"


class Experiment(NamedTuple):
    network: str
    data: str  # mnist or cifar10
    recipe: str
    fields: dict[str, Any]
    seeds: int = 1


# By images held out: 99.35 % so, 99.27 % with crops of 1 cell.
LENET5 = {"epochs": 20, "batch_size": 256, "lr": 0.01, "precision": "bfloat16", "augment": "padded-crop(2)"}
WHOLE = {"validation": 0.0}
SMALL = {"epochs": 6}
DEPTH = {"epochs": 50, "precision": "float32"}
EXPERIMENTS = {
    "lenet5": Experiment("lenet5", "mnist", "default", LENET5 | WHOLE, seeds=5),
    "resnet20": Experiment("resnet20", "cifar10", "fast-cifar", {}),
    **{
        f"{name}, small scale": Experiment(name, "cifar10", "resnet-cifar-2015", SMALL)
        for name in ("plain20", "plain56", "resnet20", "resnet56")
    },
    **{
        f"{name}, depth": Experiment(name, "cifar10", "resnet-cifar-2015", DEPTH)
        for name in ("plain20", "plain56", "resnet20", "resnet56")
    },
}


def trained(about: Experiment, recipe: Any, folder: Path, out: Path, seed: int, choosing: bool) -> _harness.Json:
    """One seed's run: what it held out, what it kept, and, unless it is for choosing, how that does on the test."""
    start = time.perf_counter()
    fitted = fit(about.network, folder, seed=seed)
    model, _ = started(fitted, seed)
    epochs: list[Epoch] = []
    for event in train(model, fitted.data, recipe, out=out, seed=seed):
        if isinstance(event, Started):
            began = event
        elif isinstance(event, Epoch):
            epochs.append(event)
            held = f"{event.top1:.2%}" if event.top1 is not None else "none"
            print(
                f"  epoch {event.epoch:3}  loss {event.train_loss:.4f}  held out {held}  {event.seconds:.1f} s",
                flush=True,
            )
        elif isinstance(event, Done):
            done = event
    found = {
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "training_s": done.seconds,
        "precision": began.precision,
        "examples": began.examples,
        "held_out": began.validation,
        "kept_epoch": done.kept,
        "top1_held_out": done.top1,
        "epochs": [[e.train_loss, e.loss, e.top1] for e in epochs],
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if began.device.startswith("cuda") else "cpu",
    }
    kept = nn.load(began.out / "model.safetensors").to(began.device)
    rule, learnt = fitted.data.preprocessing, fitted.data.train
    if began.validation:
        learnt = learnt[stratified(learnt.labels, recipe.validation, seed)[0]]
    found["top1_learnt"] = evaluate(kept, learnt, rule).top1  # of the images it learnt from, as they are
    if not choosing:
        judged = evaluate(kept, fitted.data.test, rule)
        found |= {"top1": judged.top1, "top1_standard_error": judged.error, "loss": judged.loss}
    return found


def tried(name: str, asked: argparse.Namespace) -> None:
    """All seeds of an experiment, and its place in the results."""
    about = EXPERIMENTS[name]
    recipe = revised(read_recipe(about.recipe), **about.fields | fields(tuple(asked.set)))
    folder = cifar10(asked.data) if about.data == "cifar10" else nullcontext(there(asked.data, about.data))
    runs = []
    with folder as images:
        for seed in range(asked.seeds or about.seeds):
            print(f"{name}, seed {seed}, {recipe.name}", flush=True)
            out = asked.out / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            runs.append(trained(about, recipe, images, out, seed, asked.choose))
    top1 = [run["top1_held_out" if asked.choose else "top1"] for run in runs]
    if None in top1:
        return print(f"{name}: no images are held out to choose by")
    result = {
        "network": about.network,
        "data": about.data,
        "recipe": recipe.model_dump(mode="json"),
        "top1_mean": statistics.mean(top1),
        "top1_least": min(top1),
        "seeds": len(runs),
        "seconds_mean": statistics.mean(run["seconds"] for run in runs),
        "runs": runs,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _harness.machine(),
        "versions": _harness.versions("torch"),
    }
    where = "on images held out" if asked.choose else "on the test"
    print(said(name, result).replace("on the test", where), flush=True)
    if not asked.choose:
        _harness.record("trained", QUESTION, {"experiments": recorded() | {name: result}}, "torch")
    return None


def said(name: str, of: _harness.Json) -> str:
    seeds = f"{of['seeds']} seed{'s' * (of['seeds'] > 1)}"
    loss = statistics.mean(run["epochs"][-1][0] for run in of["runs"])
    learnt = [run["top1_learnt"] for run in of["runs"] if "top1_learnt" in run]
    known = f"{statistics.mean(learnt):.2%} of what it learnt from, " if learnt else ""
    return (
        f"{name}: {of['top1_mean']:.2%} on the test (mean of {seeds}, least {of['top1_least']:.2%}), {known}training "
        f"loss {loss:.4f}, {of['seconds_mean']:.0f} s each, {of['recipe']['name']}, {of['recipe']['epochs']} epochs"
    )


def recorded() -> dict[str, _harness.Json]:
    path = _harness.RESULTS / "trained.json"
    return json.loads(path.read_text(encoding="utf-8"))["experiments"] if path.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {'; '.join(EXPERIMENTS)}")
    parser.add_argument("--data", help="the images' folder; else that beside the project")
    parser.add_argument("--seeds", type=int, help="how many; else the experiment's")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the recipe")
    parser.add_argument("--choose", action="store_true", help="by images held out; nothing is recorded")
    parser.add_argument("--out", type=Path, default=Path("runs/trained"), help="the runs' folder")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in EXPERIMENTS]:
        parser.error(f"no experiment {unknown[0]!r}; there are: {'; '.join(EXPERIMENTS)}")
    for name in asked.names:
        tried(name, asked)
    if not asked.names:
        for name in EXPERIMENTS:
            print(said(name, found) if (found := recorded().get(name)) else f"{name}: not tried yet")


if __name__ == "__main__":
    main()
