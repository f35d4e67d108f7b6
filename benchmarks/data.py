"""How fast are batches made, from memory and from JPEGs, beside a DataLoader at its best and beside bare decoding?

Resident: images like CIFAR's and MNIST's flipped, padded, cropped and normalised, against torch's DataLoader, which
does the same to one image after the other, with 0 and with 2 workers: in the fewest operations, and as torchvision's
tutorials do.
Streamed: photographs of short side 256, and micrographs of 640×480, their 224×224 centre normalised, against both cores
doing nothing but reading and decoding the same files with the same decoder (a ceiling), and against a DataLoader with 2
workers and Pillow. "Bytes" are batches for a device that normalises them itself; "crops" are random ones, flipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from _harness import Json, ratios, record, rounds
from striate.data import Batches, Flip, Images, PaddedCrop, Preprocessing, ResizedCrop, Stream, Streamed
from striate.data.pictures import File

SHARED = Path(__file__).parents[2] / "shared" / "data"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH, ROUNDS = 128, 7
TIMES = 4  # so often are the same files read in an epoch, as long as a data set's is: it begins and ends but once
SHORT, SIDE = 256, 224  # of a photograph before its centre is cut out, and of that
COUNT = 4096  # resident images: what a peer does in a few tenths of a second
CORES = os.cpu_count() or 1
OPEN: list[torch.library.Library] = []


class OneByOne(Dataset[tuple[Tensor, int]]):
    """The same work, an image at a time, in the fewest torch operations: indexing, padding, cropping, flipping."""

    def __init__(self, images: Images) -> None:
        self.pixels, self.labels = images.pixels, images.labels.tolist()
        self.mean, self.std = (torch.tensor(v[: images.volume.channels]).view(-1, 1, 1) for v in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        side = self.pixels.shape[2]
        top, left, turned = torch.randint(9, (3,)).tolist()
        x = F.pad(self.pixels[i], (4, 4, 4, 4))[:, top : top + side, left : left + side]
        x = x.flip(2) if turned < 4 else x
        return x.float().div_(255).sub_(self.mean).div_(self.std), self.labels[i]


class AsTutorialsDo(Dataset[tuple[Tensor, int]]):
    """torchvision's own: a PIL image, RandomCrop(side, padding=4), RandomHorizontalFlip, ToTensor, Normalize."""

    def __init__(self, images: Images) -> None:
        from torchvision import transforms

        channels, side, _ = images.volume
        self.pixels, self.labels = images.pixels.permute(0, 2, 3, 1).squeeze(3).numpy().copy(), images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(side, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN[:channels], STD[:channels]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.pixels[i])), self.labels[i]


class Bytes(Preprocessing):
    """A rule whose batches are left as bytes: the device that they go to normalises them."""

    def normalise(self, pixels: Tensor, device: torch.device | str = "cpu", into: Tensor | None = None) -> Tensor:
        return pixels


class Photos(Dataset[tuple[Tensor, int]]):
    """Decoded by Pillow, its own scaled decoding on, scaled to the short side, the centre cut out and normalised."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        from PIL import Image

        with Image.open(self.paths[i]) as image:
            image.draft("RGB", (SHORT, SHORT))
            seen: Image.Image = image
            if (short := min(image.size)) != SHORT:
                size = round(image.width * SHORT / short), round(image.height * SHORT / short)
                seen = image.resize(size, Image.Resampling.BILINEAR)
            left, top = (seen.width - SIDE) // 2, (seen.height - SIDE) // 2
            cut = np.array(seen.convert("RGB").crop((left, top, left + SIDE, top + SIDE)))
        x = torch.from_numpy(cut).permute(2, 0, 1)
        return x.float().div_(255).sub_(self.mean).div_(self.std), 0


def loader(dataset: Dataset[Any], workers: int, size: int) -> Callable[[], int]:
    """An epoch of a DataLoader whose workers stay from one to the next: what starting costs is no part of it."""
    made = DataLoader(dataset, size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda: sum(len(y) for _, y in made)


def epoch(batches: Batches | Stream) -> Callable[[], int]:
    return lambda: sum(len(y) for _, y in batches.epoch(1))


def resident(channels: int, side: int) -> Json:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (COUNT, channels, side, side), dtype=torch.uint8, generator=random)
    images = Images(pixels, torch.arange(COUNT) % 10, tuple("0123456789"), "")
    rule = Preprocessing(channels, (side, side), (side, side), MEAN[:channels], STD[:channels])
    one = OneByOne(images)
    contenders = {
        "striate": epoch(Batches(images, rule, BATCH, augment=(Flip(), PaddedCrop(4)))),
        "DataLoader, 0 workers": loader(one, 0, BATCH),
        "DataLoader, 2 workers": loader(one, 2, BATCH),
    }
    if torchvision_imports():
        theirs = AsTutorialsDo(images)
        contenders["DataLoader, torchvision, 0 workers"] = loader(theirs, 0, BATCH)
        contenders["DataLoader, torchvision, 2 workers"] = loader(theirs, 2, BATCH)
    return said(f"Resident, {images.volume}", rounds(contenders, ROUNDS, at_least_s=0.2), COUNT)


def streamed(title: str, paths: list[Path]) -> Json:
    rule = Preprocessing(3, (SIDE, SIDE), (SIDE, SIDE), MEAN, STD, short=SHORT)
    pictures = Streamed(tuple(map(File, paths)), torch.zeros(len(paths), dtype=torch.long), ("a",), "", rule)
    runs = [paths[at : at + 8] for at in range(0, len(paths), 8)]

    def decode(short: int) -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(decoded, runs, repeat(short)))

    contenders = {
        "striate": epoch(Stream(pictures, rule, BATCH, threads=CORES)),
        "striate, bytes": epoch(Stream(pictures, Bytes.from_json(rule.to_json()), BATCH, device="meta", threads=CORES)),
        "striate, crops": epoch(Stream(pictures, rule, BATCH, augment=(ResizedCrop(), Flip()), threads=CORES)),
        "decoding alone": partial(decode, SHORT),
        "decoding alone, whole": partial(decode, 0),
        "DataLoader, 2 workers, Pillow": loader(Photos(paths), 2, BATCH),
    }
    return said(f"Streamed, {title}", rounds(contenders, ROUNDS, at_least_s=0.2), len(paths))


def decoded(paths: list[Path], short: int) -> None:
    """Files read and decoded, as small as `short` permits (0: whole: five eighths take longer), and that is all."""
    import simplejpeg

    for path in paths:
        simplejpeg.decode_jpeg(path.read_bytes(), "RGB", min_height=short, min_width=short)


def torchvision_imports() -> bool:
    """Beside a torch that it was not compiled for it does, once the operators that it misses have names."""
    if "torchvision.transforms" in sys.modules:
        return True
    library = torch.library.Library("torchvision", "DEF")
    OPEN.append(library)  # it would go with its last reader
    try:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision.transforms  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


def _covers(path: Path) -> bool:
    """Photographs as they are in large sets: the short side is 256."""
    from PIL import Image

    with Image.open(path) as image:
        return min(image.size) == SHORT


def said(title: str, timed: dict[str, Json], count: int) -> Json:
    """Printed, and as it is recorded. The processor's time says what busy neighbours do not change."""
    own = {name: of for name, of in timed.items() if "2 workers" not in name}  # workers' time is told when they end
    busy = {name: of["cpu_median_s"] / timed["striate"]["cpu_median_s"] for name, of in own.items()}
    print(f"{title}, {count} images: {timed['striate']['median_s'] / count * 1e6:.2f} us an image")
    for name, times in ratios(timed, "striate").items():
        processor = f", {busy[name]:.2f} times the processor's time" if name in busy else ""
        print(f"  {name}: {times:.2f} times as long{processor}")
    rates = {name: count / of["median_s"] for name, of in timed.items()}
    return {"times": timed, "images_per_s": rates, "wall_ratio": ratios(timed, "striate"), "cpu_ratio": busy}


if __name__ == "__main__":
    torch.ones(31 << 18).sum()  # 31 MiB taken and given back: from then on, as in training, memory is kept for reuse
    wanted = sys.argv[1:] or ["resident", "streamed"]
    result: Json = {}
    if "resident" in wanted:
        result |= {"resident": resident(3, 32), "resident_grey": resident(1, 28)}
    if "streamed" in wanted and SHARED.is_dir():
        photographs = [path for path in sorted((SHARED / "hymenoptera").rglob("*.jpg")) if _covers(path)]
        micrographs = sorted((SHARED / "bccd").rglob("*.jpg"))
        result["streamed"] = streamed("short side 256", photographs[:256] * TIMES)
        result["streamed_large"] = streamed("640×480", micrographs[:256] * TIMES)
    record("data", str(__doc__).splitlines()[0], result, "torch", "torchvision", "simplejpeg", "pillow", "numpy")
