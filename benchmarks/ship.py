"""What do the networks that come along reach, when their weights are rounded to halves? Makes them from their runs.

python benchmarks/ship.py lenet5-mnist runs/trained/lenet5-0 ../shared/data/mnist
python benchmarks/ship.py resnet20-cifar10 runs/trained/resnet20-0 CIFAR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import _harness
from striate import nn
from striate.blueprint.modelfile import SHIPPED
from striate.judging import evaluate, images_for
from striate.training.events import Done, from_line


def main(name: str, run: Path, folder: Path) -> None:
    network = nn.load(run)
    log = [from_line(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    done = next(event for event in reversed(log) if isinstance(event, Done))
    test = images_for(network, folder).test
    whole = evaluate(network, test).top1
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
    halves = evaluate(network, test).top1
    machine = _harness.machine()
    said = {
        **network.metadata["provenance"],
        "data": name.partition("-")[2],
        "top1_test": halves,
        "seconds": done.seconds,
        "machine": f"{machine['processor']}, {machine['cores']} cores, no GPU",
    }
    SHIPPED.mkdir(exist_ok=True)
    path = nn.save(network, SHIPPED / f"{name}.safetensors", torch.float16, provenance=said)
    print(json.dumps({"name": name, "float32": whole, "float16": halves, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
