"""How long does one epoch of LeNet-5 on MNIST take, its data path included, against torch's own MNIST example?

The peer is written as pytorch/examples/mnist is: a Dataset of uint8 images, for each sample a PIL image, ToTensor and
Normalize (torchvision's arithmetic, from torch and Pillow alone, since torchvision need not be there), a shuffling
DataLoader, Adadelta at 1.0. It trains the same network; it is tried with 0 and 2 workers, at the example's batch of 64
and at ours. Ours is `striate.training.train` on all 60,000 images, with none held out, as in the example. Both are
judged by the 10,000 test images after each round: equal accuracy is part of the result.

    python benchmarks/train_small.py ../shared/data/mnist [rounds]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import _harness
from striate import nn
from striate.data import Images, Splits, open_data
from striate.judging import evaluate
from striate.training import train

QUESTION = "one epoch of LeNet-5 on MNIST, data path included: striate.train against torch's MNIST example"
# Batch and rate are the best of twelve by a tenth of the training images, held out: 98.19 % (128 at 0.005: 98.02 %).
OURS = {"epochs": 1, "batch_size": 256, "lr": 1.4e-2, "precision": "bfloat16", "validation": 0.0}
PEERS = [(workers, batch) for batch in (64, 128) for workers in (0, 2)]


class Mnist(Dataset):  # type: ignore[type-arg]
    """torchvision.datasets.MNIST with Compose([ToTensor(), Normalize(mean, std)]); images already padded to 32×32."""

    def __init__(self, images: Images, mean: float, std: float) -> None:
        self.data, self.targets, self.mean, self.std = images.pixels.squeeze(1), images.labels, mean, std

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, target = Image.fromarray(self.data[index].numpy(), "L"), int(self.targets[index])
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(picture.size[1], picture.size[0], 1)
        pixels = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return pixels.sub_(self.mean).div_(self.std), target


def lenet5() -> torch.nn.Module:
    """The same network in torch's own words."""
    part = torch.nn
    return part.Sequential(
        *(part.Conv2d(1, 6, 5), part.ReLU(), part.MaxPool2d(2), part.Conv2d(6, 16, 5), part.ReLU(), part.MaxPool2d(2)),
        *(part.Flatten(), part.Linear(400, 120), part.ReLU(), part.Linear(120, 84), part.ReLU(), part.Linear(84, 10)),
    )


def example(data: Splits, workers: int, batch: int, seed: int) -> torch.nn.Module:
    """train() of the example: one epoch."""
    torch.manual_seed(seed)
    model = lenet5()
    [mean], [std] = data.preprocessing.mean, data.preprocessing.std
    loader = DataLoader(Mnist(data.train, mean, std), batch, shuffle=True, num_workers=workers)
    optimiser = torch.optim.Adadelta(model.parameters(), lr=1.0)
    model.train()
    for x, y in loader:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
    return model


def ours(data: Splits, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = nn.build("lenet5", data.preprocessing.volume)
    for _ in train(model, data, seed=seed, **OURS):
        pass
    return model


def main(folder: Path, rounds: int) -> None:
    data = open_data(folder, size=32)
    made: dict[str, Callable[[int], torch.nn.Module]] = {
        "striate": lambda seed: ours(data, seed),
        **{f"example, workers {w}, batch {b}": lambda seed, w=w, b=b: example(data, w, b, seed) for w, b in PEERS},
    }
    models: dict[str, list[torch.nn.Module]] = {name: [] for name in made}
    timed = _harness.rounds(
        {name: lambda name=name: models[name].append(made[name](len(models[name]))) for name in made}, rounds
    )
    for name, figures in timed.items():
        top1 = [evaluate(model, data).top1 for model in models[name]]
        figures |= {"top1_mean": statistics.mean(top1), "top1_least": min(top1), "judged": len(top1)}
        wall, cpu = figures["median_s"], figures["cpu_median_s"]
        print(f"{name:28} {wall:7.2f} s   processor {cpu:7.2f} s   test {figures['top1_mean']:.2%}")
    times = _harness.ratios(timed, "striate")
    fastest = min(times, key=times.__getitem__)
    print(f"the fastest example ({fastest}) takes {times[fastest]:.2f} times as long")
    result = {"network": "lenet5", "epochs": 1, "ours": OURS, "threads": torch.get_num_threads()}
    _harness.record("train_small", QUESTION, {**result, "timed": timed, "ratios": times}, "torch", "numpy", "Pillow")


if __name__ == "__main__":
    mnist = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/mnist")
    if mnist.is_dir():
        main(mnist, int((sys.argv[2:] or [3])[0]))
    else:
        print(f"MNIST is not in {mnist}: give its folder as an argument")
