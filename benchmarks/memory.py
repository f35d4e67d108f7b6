"""Will it fit? The peak memory of a training step, foretold and counted, beside torchinfo's estimate and MemTracker.

What is counted is every storage that torch makes in one step of SGD with momentum (tests/observed.py: on meta tensors,
where nothing is computed and the storages are the same; kernels' own workspaces are not among them). Foretold by
striate from the blueprint; by torchinfo from a forward pass ("Estimated Total Size", and, as it leaves these out, with
the gradients and the optimiser's state added); by torch.distributed's MemTracker, which looks on while the step runs on
fake tensors. Errors are relative to the count. On a GPU also against max_memory_allocated.

    python benchmarks/memory.py [NETWORK ...]
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]

import torch  # noqa: E402

import observed  # noqa: E402
from _harness import Json, record  # noqa: E402
from striate import build, ledger  # noqa: E402

NETWORKS = (
    *("lenet5", "alexnet", "alexnet_paper", "zfnet", "nin_imagenet", "overfeat_fast", "deepface", "vgg16", "vgg16_bn"),
    *("googlenet", "inception_v3", "inception_v4", "xception", "resnet18", "resnet50", "resnet152", "resnet110"),
    *("wide_resnet28_10", "resnext50_32x4d", "densenet121", "densenet_bc100_k12", "senet154", "squeezenet1_1"),
    *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "shufflenet_v2_x1_0", "efficientnet_b0", "nasnet_mobile"),
    "dqn_2015",
)
BATCHES = (4, 32, 128)
WAYS: dict[str, Json] = {
    "fp32": {},
    "fp32, checkpointing": {"checkpointing": True},
    "bf16": {"precision": "bf16"},
    "bf16, checkpointing": {"precision": "bf16", "checkpointing": True},
}


def counted(name: str, batch: int, precision: str = "fp32", checkpointing: bool = False) -> int:
    if precision == "fp32":
        module = build(name, device="meta")
        module.checkpointing = checkpointing
        return observed.training_peak(module, batch)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():  # autocast asks for a device, and meta is none that it knows
        module = build(name)
        module.checkpointing = checkpointing
        return observed.training_peak(module, batch, autocast=True, device="cpu")


def foretold(name: str, batch: int, **way: Any) -> int:
    training = ledger(name, batch=batch, training=True, **way).training
    assert training is not None
    return training.peak_bytes


def torchinfo(name: str, batch: int) -> int:
    from torchinfo import summary

    module = build(name, device="meta")
    said = summary(module, (batch, *module.graph.volume), device="meta", mode="train", verbose=0)
    return int(said.total_input + said.total_output_bytes + said.total_param_bytes)


def memtracker(name: str, batch: int) -> int:
    """At the best that it is shown for: the optimiser's state is there, and the second step counts."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    from striate.training.loop import loss_of
    from striate.training.recipe import Recipe

    with FakeTensorMode():
        module = build(name).train()
        optimizer = torch.optim.SGD(module.parameters(), 0.1, 0.9, foreach=False)
        x, labels = torch.zeros(batch, *module.graph.volume), torch.zeros(batch, dtype=torch.long)
        tracker = MemTracker()
        tracker.track_external(module, optimizer, x, labels)
        with tracker:
            for i in range(2):
                loss_of(module(x), labels, Recipe()).backward()
                optimizer.step()
                optimizer.zero_grad()
                if i == 0:
                    tracker.reset_mod_stats()
        found = tracker.get_tracker_snapshot("peak")
        return next(of["Total"] for device, of in found.items() if str(device) == "cpu")


def measure(name: str) -> list[Json]:
    lines = []
    for batch in BATCHES:
        line: Json = {"network": name, "batch": batch, "counted_bytes": counted(name, batch)}
        weights = 4 * ledger(name).totals.parameters
        seconds = {}
        for who, find in (("striate", foretold), ("torchinfo", torchinfo), ("MemTracker", memtracker)):
            start = time.perf_counter()
            line[who] = find(name, batch)
            seconds[who] = time.perf_counter() - start
        line["torchinfo + gradients + state"] = line["torchinfo"] + 2 * weights
        if torch.cuda.is_available():
            line["max_memory_allocated"] = observed.cuda_peak(build(name, device="cuda"), batch)
        lines.append(line | {"seconds": seconds})
        print(", ".join(f"{key} {_said(key, line)}" for key in line), flush=True)
    return lines


def _said(key: str, line: Json) -> str:
    if key in ("network", "batch"):
        return str(line[key])
    return (
        f"{line[key] / 2**20:,.1f} MiB" if key == "counted_bytes" else f"{line[key] / line['counted_bytes'] - 1:+.2%}"
    )


def errors(lines: list[Json], who: str, of: str = "counted_bytes") -> Json:
    """Relative errors; below 0: foretold less than there was."""
    found = [line[who] / line[of] - 1 for line in lines]
    wide = [abs(error) for error in found]
    return {
        "median": statistics.median(wide),
        "worst": max(wide),
        "least": min(found),
        "most": max(found),
        "n": len(found),
    }


def ways(names: tuple[str, ...], batch: int = 32) -> dict[str, Json]:
    """Ours alone, in every way to train; the others know only one."""
    found = {}
    for what, way in WAYS.items():
        lines = [{"ours": foretold(name, batch, **way), "counted_bytes": counted(name, batch, **way)} for name in names]
        found[what] = errors(lines, "ours")
        print(f"{what}: {found[what]}", flush=True)
    return found


def main(names: tuple[str, ...]) -> None:
    warnings.simplefilter("ignore")
    lines = [line for name in names for line in measure(name)]
    peers = ("striate", "torchinfo", "torchinfo + gradients + state", "MemTracker")
    found = {who: errors(lines, who) for who in peers}
    if torch.cuda.is_available():
        found["striate against max_memory_allocated"] = errors(lines, "striate", "max_memory_allocated")
    for who, error in found.items():
        print(f"{who:32}  median {error['median']:.3%}  worst {error['worst']:.2%}  n {error['n']}")
    took = {who: statistics.median(line["seconds"][who] for line in lines) for who in lines[0]["seconds"]}
    print("median seconds", took)
    result = {"errors": found, "median_seconds": took, "ways": ways(names), "networks": lines}
    if names == NETWORKS:
        print(record("memory", str(__doc__).splitlines()[0], result, "torch", "torchinfo"))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or NETWORKS)
