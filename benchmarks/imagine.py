"""How long does it take to imagine an image, and what do waves, colours and changes cost beside the network itself?

A channel of SqueezeNet v1.0 with ImageNet's weights at 128×128 and 224×224, and one of ResNet-20 at 32×32. Beside it
the bare work, in the same rounds: as many runs of the whole network forward and back to the pixels, and as many of the
network cut behind the layer.

    python benchmarks/imagine.py [rounds]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

import striate
from _harness import Json, ratios, record, rounds
from striate.visualize.imagine import imagine
from striate.visualize.watching import OUT, as_far_as, undisturbed

WEIGHTS = Path(__file__).parents[2] / "shared" / "data" / "weights" / "squeezenet1_0_deepcompression"
STEPS, USUAL = 16, 256


def bare(model: nn.Module, layer: str, side: int) -> None:
    """STEPS runs as far as a layer, forward, and back to the pixels."""
    x = torch.zeros(1, 3, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    with undisturbed(model), as_far_as(model, [layer]) as run:
        for _ in range(STEPS):
            torch.autograd.grad(run(x)[layer].sum(), x)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.set_num_threads(1)
    squeezenet = striate.load("squeezenet1_0", weights=WEIGHTS / "squeezenet1_0.npz")
    resnet = striate.load("resnet20-cifar10")
    cases = {
        "SqueezeNet body.8.expand:300, 128×128": (squeezenet, "body.8.expand", 300, 128),
        "SqueezeNet body.8.expand:300, 224×224": (squeezenet, "body.8.expand", 300, 224),
        "ResNet-20 stage2.2.act:6, 32×32": (resnet, "stage2.2.act", 6, 32),
    }
    result: dict[str, Json] = {}
    for name, (model, layer, channel, side) in cases.items():
        contenders: dict[str, Callable[[], object]] = {
            "imagine": partial(imagine, model, f"{layer}:{channel}", side, steps=STEPS),
            "the network as far as the layer": partial(bare, model, layer, side),
            "the whole network": partial(bare, model, OUT, side),
        }
        timed = rounds(contenders, n)
        whole = timed["imagine"]["cpu_median_s"] / STEPS * USUAL
        result[name] = {
            "of 16 steps": timed,
            "processor's time, of imagine's": ratios(timed, "imagine", "cpu_median_s"),
            "256 steps, processor's seconds": whole,
        }
        print(f"{name}: {whole:.1f} s for {USUAL} steps;", result[name]["processor's time, of imagine's"], flush=True)
    print(record("imagine", (__doc__ or "").splitlines()[0], result, "torch"))


if __name__ == "__main__":
    main()
