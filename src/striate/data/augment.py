"""Augmentation of whole batches: each a small frozen value, called with uint8 or float N×C×H×W (0..255) and chance.

What an image gets follows from the seed, the epoch and its index, never from the batch, worker or process it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import log
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint import CannotTrain
from striate.data.chance import Chance
from striate.data.preprocessing import LARGEST, Grid

SHAPES = 0.01, 100.0  # width to height
LARGE = 1 << 14  # numbers: images beyond it are flipped one by one, only those that are
TRIES = 10  # to find a box of the area and shape that were drawn, as GoogLeNet's authors' successors did


class Augmentation(Protocol):
    """N×C×H×W of 0..255 to the same type; one draw an image."""

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor: ...


class OutOfRange(CannotTrain):
    """An augmentation with a value beyond its range; `told` is the range: "share is from 0 to 1"."""

    def __init__(self, made: object, told: str) -> None:
        super().__init__(f"Cannot make {made}: {told}.")
        self.told = told


def bounded(made: object, ranges: Mapping[str, bool]) -> None:
    """Raises OutOfRange with the first of the ranges that does not hold."""
    if wrong := next((told for told, holds in ranges.items() if not holds), None):
        raise OutOfRange(made, wrong)


def agreed(chain: Sequence[Augmentation], grid: Grid) -> None:
    """Raises CannotTrain where an augmentation cannot be of images of that grid, which are the network's."""
    for one in chain:
        if isinstance(one, PaddedCrop) and one.pad >= min(grid):
            fact = f"Cannot move images of {grid[0]}×{grid[1]} by {one.pad:,} cells: nothing of some would be left."
            raise CannotTrain(fact, ways=f"At most {min(grid) - 1:,}.")
        if isinstance(one, Crop) and one.size not in (None, grid):
            fact = f"Cannot make crops of {one.size[0]}×{one.size[1]}: the network reads {grid[0]}×{grid[1]}."
            raise CannotTrain(fact, ways="Without size= they become as large as it reads.")


def augmented(pixels: Tensor, chain: tuple[Augmentation, ...], chance: Chance, first: int = 0) -> Tensor:
    """One after the other, each with its own stream of chance; those before the `first` are done."""
    away = pixels.device.type != "cpu"
    if away:
        chance = replace(chance, device=pixels.device)
    with pixels.device if away else nullcontext():  # what an augmentation makes itself is made beside the pixels
        for place in range(first, len(chain)):
            pixels = chain[place](pixels, chance.of(place))
    return pixels


@dataclass(frozen=True)
class Flip:
    """Left and right exchanged, for a share of the images."""

    share: float = 0.5

    def __post_init__(self) -> None:
        bounded(self, {"share is from 0 to 1": 0 <= self.share <= 1})

    def drawn(self, chance: Chance) -> Tensor:
        return chance.uniform(1)[0] < self.share

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        chosen = self.drawn(chance)  # whole images are chosen: by the cell it takes ten times as long
        if pixels.device.type == "cpu" and pixels.shape[1:].numel() > LARGE:
            flipped = pixels.clone()
            for i in chosen.nonzero()[:, 0].tolist():
                flipped[i] = pixels[i].flip(2)
            return flipped
        last = not pixels.is_contiguous() and pixels.is_contiguous(memory_format=torch.channels_last)
        rows = pixels.permute(0, 2, 3, 1) if last else pixels
        both = torch.cat((rows, rows.flip(2 if last else 3)))
        flipped = both.index_select(0, torch.arange(len(pixels)).add_(chosen, alpha=len(pixels)))
        return flipped.permute(0, 3, 1, 2) if last else flipped


@dataclass(frozen=True)
class AlternatingFlip(Flip):
    """Left and right exchanged for a share of the images in one epoch, for all the others in the next, and so on: each
    image is seen both ways as soon as can be (Jordan 2024, arXiv 2404.00498, section 3.6).
    """

    def drawn(self, chance: Chance) -> Tensor:
        return super().drawn(replace(chance, epoch=0)) ^ bool(chance.epoch % 2)


@dataclass(frozen=True)
class PaddedCrop:
    """Moved by up to `pad` cells along each axis, zeros coming in (He et al. 2015, section 4.2: 4 for CIFAR)."""

    pad: int = 4

    def __post_init__(self) -> None:
        bounded(self, {f"pad is from 0 to {LARGEST - 1:,}": 0 <= self.pad < LARGEST})

    def drawn(self, chance: Chance) -> Tensor:
        """Row and column of the padded image at which the crop begins, 2×N."""
        return chance.integers(2, 2 * self.pad + 1)

    def bordered(self, pixels: Tensor) -> Tensor:
        return F.pad(pixels, (self.pad,) * 4)

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        n, channels, height, width = pixels.shape
        top, left = self.drawn(chance).unsqueeze(2)
        wide, high = width + 2 * self.pad, height + 2 * self.pad
        size = n * channels * high * wide
        padded = pixels.new_empty(size + 2 * self.pad)  # as far as the last crop reaches
        padded[:size].view(n, channels, high, wide).copy_(self.bordered(pixels))
        planes = torch.arange(n * channels).view(n, channels) * (high * wide)
        runs = windows(padded, (planes + top * wide + left).flatten(), height, wide)
        return runs.view(n, channels, height, wide)[..., :width]


@dataclass(frozen=True)
class MirroredCrop(PaddedCrop):
    """The same, but that the image's own cells come in, as in a mirror at its border (Jordan 2024, section 3.1)."""

    pad: int = 2

    def bordered(self, pixels: Tensor) -> Tensor:
        rows, columns = (_mirrored(side, self.pad) for side in pixels.shape[2:])
        return pixels.index_select(2, rows.to(pixels.device)).index_select(3, columns.to(pixels.device))


def _mirrored(side: int, pad: int) -> Tensor:
    """Which cell of an axis stands at -pad … side + pad - 1: the border's own cell is not repeated."""
    if pad >= side:
        raise CannotTrain(
            f"Cannot mirror {pad} cells at the border of an image of {side}.", ways=f"At most {side - 1}."
        )
    places = torch.arange(-pad, side + pad).abs()
    return places.minimum(2 * (side - 1) - places)


def windows(padded: Tensor, starts: Tensor, rows: int, length: int) -> Tensor:
    """From each start, `rows` rows of `length` values as they lie in memory, M×(rows·length): one copy a window.

    A crop of a padded image is the first columns of such a run, whatever its place: nothing is looked up cell by cell.
    The last window reaches beyond the last image by less than a row; what is there is cut off by whoever asks.
    """
    run = rows * length
    flat = padded.view(-1)
    if not len(starts):
        return flat.new_empty(0, run)
    return flat.as_strided((flat.numel() - run + 1, run), (1, 1)).index_select(0, starts)


class Crop:
    """A box of each image, scaled to `size` (None: the image's own), antialiased."""

    size: Grid | None = None

    def drawn(self, chance: Chance, height: int | Tensor, width: int | Tensor) -> Tensor:
        """top, left, rows, columns of the box, 4×N, of images of that grid or (int64 N) each of its own."""
        raise NotImplementedError

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        height, width = pixels.shape[2:]
        return resized(pixels, self.drawn(chance, height, width), self.size or (height, width))


@dataclass(frozen=True)
class ResizedCrop(Crop):
    """A box of random area and shape, scaled to `size` (None: the image's own), antialiased (Szegedy et al. 2014,
    section 6: 8 to 100 % of the area, aspect from 3/4 to 4/3).
    """

    size: Grid | None = None
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        sides = {f"sides of size are from 1 to {LARGEST:,}": all(1 <= side <= LARGEST for side in self.size or ())}
        bounded(self, sides | _box_ranges(self.area, self.aspect))

    def drawn(self, chance: Chance, height: int | Tensor, width: int | Tensor) -> Tensor:
        """As `Crop`; where no try fits, the largest centre box of a permitted shape."""
        height, width = torch.as_tensor(height), torch.as_tensor(width)
        rows, columns, fits = _boxes(chance, height, width, self.area, self.aspect)
        shape = (width.double() / height).clamp(*self.aspect)
        whole = (height.minimum((width / shape).round().long()), width.minimum((height * shape).round().long()))
        first = fits.int().argmax(0, keepdim=True)
        found = fits.any(0)
        rows, columns = (
            torch.where(found, drawn.gather(0, first)[0], all_of)
            for drawn, all_of in zip((rows, columns), whole, strict=True)
        )
        down, right = chance.of(1).uniform(2)
        top = torch.where(found, (down * (height - rows + 1)).long(), (height - rows) // 2)
        left = torch.where(found, (right * (width - columns + 1)).long(), (width - columns) // 2)
        return torch.stack((top, left, rows, columns))


@dataclass(frozen=True)
class ScaleJitter(Crop):
    """The short side scaled to a whole number from `least` to `most`, a square of side `crop` cut out anywhere, all of
    it scaled to what the network reads: 256 to 512 and 224 (Simonyan & Zisserman 2014, section 3.1).
    """

    least: int = 256
    most: int = 512
    crop: int = 224

    def __post_init__(self) -> None:
        rising = 1 <= self.crop <= self.least <= self.most <= 4 * LARGEST
        said = f"crop, least and most rise, from 1 to {4 * LARGEST:,}"
        bounded(self, {said: rising})

    def drawn(self, chance: Chance, height: int | Tensor, width: int | Tensor) -> Tensor:
        """top, left, rows, columns of the square, 4×N."""
        height, width = torch.as_tensor(height), torch.as_tensor(width)
        short = self.least + chance.integers(1, self.most - self.least + 1)[0]
        side = (height.minimum(width) * self.crop / short).round().long().clamp(min=1)
        down, right = chance.of(1).uniform(2)
        return torch.stack(((down * (height - side + 1)).long(), (right * (width - side + 1)).long(), side, side))


def resized(pixels: Tensor, boxes: Tensor, size: Grid) -> Tensor:
    """Each image's box (top, left, rows, columns: 4×N) scaled to `size`: a product with the weights of each axis."""
    top, left, rows, columns = boxes
    down = _triangles(top, rows, pixels.shape[2], size[0]).unsqueeze(1)
    right = _triangles(left, columns, pixels.shape[3], size[1]).unsqueeze(1)
    return as_was(down @ pixels.float() @ right.mT, pixels)


def _triangles(start: Tensor, length: Tensor, cells: int, size: int) -> Tensor:
    """Weights N×size×cells of the antialiased bilinear filter, from `length` cells at `start` to `size`."""
    scale = (length / size).view(-1, 1, 1)
    centre = (torch.arange(size).view(1, -1, 1) + 0.5) * scale
    offset = torch.arange(cells).view(1, 1, -1) - start.view(-1, 1, 1)
    weights = (1 - (offset + 0.5 - centre).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights *= (offset >= 0) & (offset < length.view(-1, 1, 1))
    return weights / weights.sum(2, keepdim=True)


@dataclass(frozen=True)
class Erasing:
    """A box of a share of the images filled with `value` (Zhong et al. 2017, "Random Erasing Data Augmentation")."""

    share: float = 0.5
    area: tuple[float, float] = (0.02, 0.33)
    aspect: tuple[float, float] = (0.3, 3.3)
    value: int = 0

    def __post_init__(self) -> None:
        ranges = {"share is from 0 to 1": 0 <= self.share <= 1, "value is from 0 to 255": 0 <= self.value <= 255}
        bounded(self, ranges | _box_ranges(self.area, self.aspect))

    def drawn(self, chance: Chance, height: int, width: int) -> Tensor:
        """top, left, rows, columns of the box, 4×N; of no rows where nothing is erased."""
        rows, columns, fits = _boxes(chance, height, width, self.area, self.aspect, strict=True)
        first = fits.int().argmax(0, keepdim=True)
        chosen = fits.any(0) & (chance.of(2).uniform(1)[0] < self.share)
        rows, columns = (drawn.gather(0, first)[0] * chosen for drawn in (rows, columns))
        down, right = chance.of(1).uniform(2)
        return torch.stack(((down * (height - rows + 1)).long(), (right * (width - columns + 1)).long(), rows, columns))

    def __call__(self, pixels: Tensor, chance: Chance) -> Tensor:
        inside = within(self.drawn(chance, *pixels.shape[2:]), *pixels.shape[2:])
        return pixels.masked_fill(inside, self.value)


def _box_ranges(area: tuple[float, float], aspect: tuple[float, float]) -> dict[str, bool]:
    least, most = SHAPES
    return {
        "area rises, from 0 to 1": 0 <= area[0] <= area[1] <= 1 and area[1] > 0,
        f"aspect rises, from {least:g} to {most:g}": least <= aspect[0] <= aspect[1] <= most,
    }


def _boxes(
    chance: Chance,
    height: int | Tensor,
    width: int | Tensor,
    area: tuple[float, float],
    aspect: tuple[float, float],
    strict: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of boxes, TRIES×N, aspects even on a logarithmic scale, and which of them are in the image."""
    draws = chance.uniform(2 * TRIES).view(2, TRIES, -1)
    wanted = height * width * (area[0] + (area[1] - area[0]) * draws[0])
    shape = (log(aspect[0]) + (log(aspect[1]) - log(aspect[0])) * draws[1]).exp()
    rows, columns = (wanted / shape).sqrt().round().long(), (wanted * shape).sqrt().round().long()
    most = (height - int(strict), width - int(strict))
    return rows, columns, (rows >= 1) & (columns >= 1) & (rows <= most[0]) & (columns <= most[1])


def within(boxes: Tensor, height: int, width: int) -> Tensor:
    """bool N×1×H×W: the cells of each image that are in its box (top, left, rows, columns: 4×N)."""
    top, left, rows, columns = boxes.unsqueeze(2)
    row, column = torch.arange(height), torch.arange(width)
    down, right = (row >= top) & (row < top + rows), (column >= left) & (column < left + columns)
    return (down.unsqueeze(2) & right.unsqueeze(1)).unsqueeze(1)


def as_was(values: Tensor, pixels: Tensor) -> Tensor:
    """Values 0..255 in the type of `pixels`: whole ones are rounded, and nothing leaves the range."""
    values = values.clamp(0, 255)
    return values.round_().to(torch.uint8) if pixels.dtype == torch.uint8 else values.to(pixels.dtype)
