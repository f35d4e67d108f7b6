"""How long does a training step of ResNet-18 at 32×32 take, batch 128, against eager torch, and what share of a GEMM?

Two networks: with the stem that 32×32 wants (a 3×3 and no pooling: 0.56 GMACs an image), and as published. The peer is
the same network in torch's own words with the same initial weights, batches and SGD: out of the box (float32), with
channels_last, and at its best (channels_last, bfloat16 by autocast, a fused optimiser). Its batches are made
beforehand. Ours is `striate.training.train`, its data path included, which decides for itself how to go about it.
The losses of the same steps say that the work is the same. The ceilings are products of matrices in the same rounds, by
the quicker of two ways;
operations are the ledger's, forward and backward.

    python benchmarks/resnet18_step.py [folder of CIFAR-10] [rounds]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import _harness
from _sets import cifar10
from striate import nn, zoo
from striate.blueprint import GlobalPool, Graph, Linear, Seq, Volume, basic_block, conv_norm_act, draft
from striate.cost import ledger
from striate.data import Splits, deal, open_data
from striate.training import Step, train

QUESTION = "a training step of ResNet-18 at 32×32, batch 128: striate.train against eager torch"
BATCH, SIDE = 128, 2048  # images of a step; of the matrices
SGD = {"lr": 0.01, "momentum": 0.9}
OURS = {**SGD, "optimizer": "sgd", "nesterov": False, "weight_decay": 0.0, "schedule": "constant", "warm_up": 0.0}
WAYS = {  # of torch: channels last, bfloat16, a fused optimiser
    "torch": (False, False, None),
    "torch, channels_last": (True, False, None),
    "torch, channels_last, bfloat16, fused": (True, True, True),
}
PRECISIONS = ("float32", "bfloat16")
Batch = tuple[Tensor, Tensor]


def for_small_images() -> Seq:
    """The stages of ResNet-18 behind a 3×3 of stride 1."""
    stages = {f"layer{i + 1}": Seq(basic_block(64 * 2**i, 2 if i else 1), basic_block(64 * 2**i, 1)) for i in range(4)}
    return Seq(stem=conv_norm_act(64, 3), **stages, mean=GlobalPool(), fc=Linear(10))


class Block(torch.nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        part = torch.nn
        self.conv1, self.bn1 = part.Conv2d(into, width, 3, stride, 1, bias=False), part.BatchNorm2d(width)
        self.conv2, self.bn2 = part.Conv2d(width, width, 3, 1, 1, bias=False), part.BatchNorm2d(width)
        self.relu = part.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or into != width:
            project = part.Conv2d(into, width, 1, stride, bias=False)
            self.downsample = part.Sequential(project, part.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + kept)


def in_torchs_words(small: bool) -> torch.nn.Module:
    part = torch.nn
    stem = [part.Conv2d(3, 64, 3, 1, 1, bias=False) if small else part.Conv2d(3, 64, 7, 2, 3, bias=False)]
    stem += [part.BatchNorm2d(64), part.ReLU(inplace=True), *([] if small else [part.MaxPool2d(3, 2, 1)])]
    blocks = [
        Block(width // (1 + (first and width > 64)), width, 1 + (first and width > 64))
        for width in (64, 128, 256, 512)
        for first in (True, False)
    ]
    return part.Sequential(*stem, *blocks, part.AdaptiveAvgPool2d(1), part.Flatten(), part.Linear(512, 10))


def same_weights(model: torch.nn.Module, other: torch.nn.Module) -> torch.nn.Module:
    """`model` with the other's weights; both name theirs in the order in which they are used."""
    with torch.no_grad():
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            mine.copy_(its)
    return model


def plain_loop(
    model: torch.nn.Module, batches: list[Batch], way: tuple[Any, ...], losses: list[float]
) -> Iterator[None]:
    """A step each time."""
    last, bfloat16, fused = way
    layout = torch.channels_last if last else torch.contiguous_format
    model = model.to(memory_format=layout).train()
    optimiser = torch.optim.SGD(model.parameters(), **SGD, fused=fused)
    for x, y in [(x.contiguous(memory_format=layout), y) for x, y in batches]:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        yield


def ours(model: torch.nn.Module, data: Splits, losses: list[float]) -> Iterator[None]:
    for event in train(model, data, batch_size=BATCH, validation=0.0, **OURS):
        if isinstance(event, Step):
            losses.append(event.loss)
            yield


def gemms() -> dict[tuple[str, str], Callable[[], object]]:
    """The ceilings: a product of square matrices, as torch multiplies and as a 1×1 convolution; the quicker counts,
    for the two go through different libraries.
    """
    found: dict[tuple[str, str], Callable[[], object]] = {}
    for name in PRECISIONS:
        a, b = (torch.randn(SIDE, SIDE).to(getattr(torch, name)) for _ in "ab")
        x = a.t().reshape(1, SIDE, 32, SIDE // 32).contiguous(memory_format=torch.channels_last)
        found[name, "matmul"] = lambda a=a, b=b: a @ b
        found[name, "convolution"] = lambda x=x, b=b: F.conv2d(x, b[..., None, None])
    return found


def measured(graph: Graph, small: bool, data: Splits, n: int) -> _harness.Json:
    torch.manual_seed(0)
    model, losses = nn.build(graph), {name: [] for name in ("striate", *WAYS)}
    batches = list(islice(deal(data.train, data.preprocessing, BATCH, 0).epoch(1), n + 1))
    steps = {
        name: plain_loop(same_weights(in_torchs_words(small), model), batches, way, losses[name])
        for name, way in WAYS.items()
    }
    steps["striate"] = ours(model, data, losses["striate"])
    with closing(steps["striate"]):
        contenders = {name: lambda of=of: next(of) for name, of in steps.items()}
        products = {" ".join(name): of for name, of in gemms().items()}
        timed = _harness.rounds(contenders | products, n, at_least_s=0.0)
    times = {name: timed.pop(name)["median_s"] for name in products}
    found = {of: 2 * SIDE**3 / min(time for name, time in times.items() if name.startswith(of)) for of in PRECISIONS}
    flops = _flops(graph)
    for name, of in timed.items():
        precision = "bfloat16" if name == "striate" or "bfloat16" in name else "float32"
        of |= {"images_per_s": BATCH / of["median_s"], "precision": precision}
        of["share_of_gemm"] = flops / of["median_s"] / found[precision]
        of["losses"] = {"first": losses[name][0], "last five": statistics.mean(losses[name][-5:])}
        print(
            f"  {name:38}{of['median_s'] * 1e3:8.1f} ms {of['images_per_s']:7.1f} images/s, {of['share_of_gemm']:.0%} "
            f"of {precision} GEMM; loss {of['losses']['first']:.3f} to {of['losses']['last five']:.3f}"
        )
    return {"flops": flops, "gemm_flops_per_s": found, "timed": timed, "ratios": _harness.ratios(timed, "striate")}


def _flops(graph: Graph) -> int:
    totals = ledger(graph, batch=BATCH, training=True).totals
    return 2 * (totals.macs + totals.backward_macs)


def main(folder: Path, n: int) -> None:
    data = open_data(folder)
    graphs = {"3×3 stem": draft(for_small_images(), Volume(3, 32, 32))}
    graphs["as published"] = draft(zoo.resnet18(classes=10), Volume(3, 32, 32))
    cases = {}
    for name, graph in graphs.items():
        print(f"ResNet-18, {name}, {graph.macs / 1e6:.0f} MMACs an image")
        cases[name] = measured(graph, name == "3×3 stem", data, n)
        print(f"  eager torch takes {cases[name]['ratios']['torch']:.2f} times as long as striate")
    result = {"batch": BATCH, "threads": torch.get_num_threads(), "ours": OURS, "cases": cases}
    _harness.record("resnet18_step", QUESTION, result, "torch")


if __name__ == "__main__":
    with cifar10(sys.argv[1] if len(sys.argv) > 1 else None) as batches:
        main(batches, int((sys.argv[2:] or [15])[0]))
