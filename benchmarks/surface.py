"""How many images a second goes a loss surface of ResNet-20 over CIFAR-10, against running the network and no more?

The network that comes along, 1,024 images of CIFAR-10 in batches of 128, each batch made beforehand, channels last; in
float32 and under bfloat16 autocast. Ours is `striate.visualize.surface.surface` on a grid, its rows kept in a folder:
weights moved at every point, losses taken, files on the disk. The peer is the same network run as often on the same
batches, its weights left alone and its answers thrown away. A grid of n×n is n² + 1 runs over the images: the weights'
own loss is one. The losses at the weights say that the work is the same.

    python benchmarks/surface.py [folder of CIFAR-10] [rounds] [points of a side, 5] [whole]

`whole` also computes one surface of 51×51 under bfloat16, draws it, and holds it against the plain runs before it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import _harness
import striate
from _sets import cifar10
from striate.data import open_data
from striate.judging.trained import preprocessing_of
from striate.visualize.surface import Objective, contour_picture, loss_at, objective, random_directions, surface

QUESTION = "a loss surface of ResNet-20 on 1,024 images of CIFAR-10: images/s as a share of plain inference"
IMAGES, BATCH, WHOLE = 1024, 128, 51


@torch.no_grad()
def plain(model: nn.Module, of: Objective, times: int) -> None:
    """The network on all batches, so many times."""
    for _ in range(times):
        for x, _ in of.batches:
            with torch.autocast("cpu", of.dtype, enabled=of.dtype is not torch.float32):
                model(x)


def walked(model: nn.Module, of: Objective, points: int) -> None:
    with TemporaryDirectory() as folder:
        surface(model, of, random_directions(model), points=points, folder=folder)


def measured(model: nn.Module, of: Objective, n: int, points: int) -> _harness.Json:
    runs = points**2 + 1
    contenders = {"surface": lambda: walked(model, of, points), "plain inference": lambda: plain(model, of, runs)}
    timed = _harness.rounds(contenders, n, at_least_s=0.0)
    for one in timed.values():
        one |= {"images_per_s": runs * of.images / one["median_s"]}
        one |= {"images_per_cpu_s": runs * of.images / one["cpu_median_s"]}
    share, of_cpu = (
        timed["surface"][what] / timed["plain inference"][what] for what in ("images_per_s", "images_per_cpu_s")
    )
    print(
        f"  {str(of.dtype).removeprefix('torch.'):9} surface {timed['surface']['images_per_s']:7.0f} images/s, plain "
        f"{timed['plain inference']['images_per_s']:7.0f}: {share:.1%} (by processor time {of_cpu:.1%})"
    )
    return {"timed": timed, "share": share, "share_by_cpu": of_cpu, "loss_at_the_weights": loss_at(model, of)}


def whole(model: nn.Module, of: Objective) -> _harness.Json:
    start, busy = time.perf_counter(), time.process_time()
    end = "\r" if sys.stdout.isatty() else "\n"

    def tick(done: int) -> None:
        print(f"  {done:,} of {WHOLE**2:,} points", end=end, flush=True)

    found = surface(model, of, random_directions(model), points=WHOLE, tick=tick)
    took, cpu = time.perf_counter() - start, time.process_time() - busy
    images = (WHOLE**2 + 1) * of.images
    picture = _harness.RESULTS / "surface.png"
    picture.write_bytes(contour_picture(found, "ResNet-20 on CIFAR-10"))
    print(f"  {WHOLE}×{WHOLE} points in {took:.0f} s, {images / took:.0f} images/s; {picture}")
    return {"seconds": took, "cpu_seconds": cpu, "images_per_s": images / took, "lowest": float(found.losses.min())}


def main(folder: Path, n: int, points: int, all_of_it: bool) -> None:
    model = striate.load("resnet20-cifar10")
    data = open_data(folder, preprocessing=preprocessing_of(model)).test[:IMAGES]
    print(f"ResNet-20, {IMAGES:,} images, {points}×{points} points, {torch.get_num_threads()} threads")
    cases = {}
    for dtype in (torch.float32, torch.bfloat16):
        of = objective(model, data, BATCH, dtype=dtype)
        cases[str(dtype).removeprefix("torch.")] = measured(model, of, n, points)
    result = {"images": IMAGES, "batch": BATCH, "points": points, "threads": torch.get_num_threads(), "cases": cases}
    if all_of_it:
        result["whole"] = walk = whole(model, objective(model, data, BATCH, dtype=torch.bfloat16))
        walk["share"] = walk["images_per_s"] / cases["bfloat16"]["timed"]["plain inference"]["images_per_s"]
    _harness.record("surface", QUESTION, result, "torch")


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "whole"]
    with cifar10(given[0] if given else None) as batches:
        main(batches, int((given[1:] or [7])[0]), int((given[2:] or [5])[0]), "whole" in sys.argv)
