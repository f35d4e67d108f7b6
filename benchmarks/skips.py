"""Do skip connections smooth the loss of a deep network (Li et al. 2018, arXiv 1712.09913, figure 1)?

Two model files of networks of one depth, trained alike, with and without skip connections (a ResNet-56 and its plain
twin), on 1,024 training images of CIFAR-10: both surfaces over filter-normalised random directions of the same seed,
drawn beside each other at the same scale, and how sharp each minimum is. Rows are kept in runs/skips: stopped at any
time, it goes on where it was.

    python benchmarks/skips.py WITH.safetensors WITHOUT.safetensors [folder of CIFAR-10] [points of a side, 51]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import _harness
import striate
from _sets import cifar10
from striate.blueprint.files import write_atomically
from striate.data import open_data
from striate.judging.trained import preprocessing_of
from striate.visualize.surface import (
    Surface,
    compared_picture,
    curvature,
    objective,
    random_directions,
    sharpness,
    sharpness_picture,
    surface,
)  # fmt: skip

QUESTION = "the loss around two deep networks on CIFAR-10, with and without skip connections"
IMAGES, BATCH, SEED = 1024, 128, 0
MOST = 30.0  # the loss from which on one colour is drawn
KEPT = Path(__file__).parents[1] / "runs" / "skips"  # rows that are done
END = "\r" if sys.stdout.isatty() else "\n"
NAMES = ("with skip connections", "without")


def walked(name: str, path: Path, folder: Path, points: int) -> tuple[Surface, _harness.Json]:
    model = striate.load(path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = open_data(folder, preprocessing=preprocessing_of(model)).train[:IMAGES]
    model = model.to(device)
    of = objective(model, data, BATCH)
    found = surface(
        model, of, random_directions(model, SEED), points=points, folder=KEPT,
        tick=lambda done: print(f"  {name}: {done:,} of {points**2:,} points", end=END, flush=True),
    )  # fmt: skip
    sharp, curved = sharpness(model, of), curvature(model, of, steps=30)
    picture = _harness.RESULTS / f"skips-sharpness-{path.stem}.png"
    write_atomically(picture, sharpness_picture(sharp, f"{path.stem}, {name}", curved))
    told = {
        "file": path.name, "provenance": model.metadata.get("provenance"), "loss": found.here,
        "highest": float(found.losses.max()), "sharpness": sharp.worst, "sharpness_average": sharp.average,
        "curvature": curved.eigenvalue, "curvature_error": curved.error,
    }  # fmt: skip
    print(f"  {name}: " + ", ".join(f"{key} {told[key]}" for key in told if key != "provenance"))
    return found, told


def main(paths: list[Path], folder: Path, points: int) -> None:
    found = {name: walked(name, path, folder, points) for name, path in zip(NAMES, paths, strict=True)}
    picture = compared_picture({name: one for name, (one, _) in found.items()}, "Skip connections, CIFAR-10", MOST)
    print(write_atomically(_harness.RESULTS / "skips.png", picture))
    networks = {name: told for name, (_, told) in found.items()}
    _harness.record(
        "skips", QUESTION, {"points": points, "images": IMAGES, "seed": SEED, "networks": networks}, "torch"
    )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with cifar10(sys.argv[3] if len(sys.argv) > 3 else None) as batches:
        main([Path(sys.argv[1]), Path(sys.argv[2])], batches, int((sys.argv[4:] or [51])[0]))
