"""From any image to what the network reads: a small value that travels inside the model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint import CannotRead, Volume

Grid = tuple[int, int]
PHOTO: Grid = (224, 224)  # where neither network nor images say a size: what ImageNet's networks read
LITTLE = 1.25  # images up to this much smaller than the input get zeros around them, as LeCun's digits did (28 -> 32)
LUMA = (0.299, 0.587, 0.114)  # grey from red, green, blue (ITU-R BT.601), as every decoder does
LARGEST = 4096  # the side of what a network reads
MOST_SHORT = 4  # times the grid that is cut out of it; 256 for 224 is usual
IN_CACHE = 1 << 19  # numbers that stay close to the processor from one operation to the next
AT_A_STRETCH = 1 << 12  # numbers: images as small as this are scaled whole, others row by row
AT_ONCE = 1 << 26  # pixels changed at a time: memory stays bounded


@dataclass(frozen=True)
class Preprocessing:
    """Channels to `channels`; short side scaled to `short` (0: until the centre `grid` can just be cut out), that
    centre cut out; zeros around it to `size`; then (value/255 - mean)/std by channel. Heights come before widths.
    """

    channels: int
    grid: Grid
    size: Grid
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    short: int = 0

    @classmethod
    def fitting(cls, channels: int, native: Grid | None, size: Grid | None) -> Preprocessing:
        """The rule for images of the grid `native` (None: of many) to a network that reads `size` (None: whatever
        comes).
        """
        size = size or native or PHOTO
        little = native is not None and all(n <= s <= LITTLE * n for n, s in zip(native, size, strict=True))
        return cls(channels, native if native and little else size, size)

    @property
    def volume(self) -> Volume:
        """What the network reads."""
        return Volume(self.channels, *self.size)

    @cached_property
    def covered(self) -> Grid:
        """What an image must cover once it is scaled: no smaller than this need it be decoded."""
        return max(self.grid[0], self.short), max(self.grid[1], self.short)

    def told(self, native: Grid | None) -> str:
        """What is done to images of the grid `native`, in a line."""
        width = lambda grid: f"{grid[0]}×{grid[1]}"  # noqa: E731
        if native is None:
            done = f"short side scaled, centre {width(self.grid)}"
        elif native == self.grid:
            done = f"{width(native)} as they are"
        else:
            done = f"{width(native)} {'enlarged' if self.grid > native else 'reduced'} to {width(self.grid)}"
        return done + (f", zeros around them to {width(self.size)}" if self.size != self.grid else "")

    def prepare(self, pixels: Tensor) -> Tensor:
        """uint8 N×C×H×W of any C (1 or 3), H, W -> uint8 N×channels×size, the images that `normalise` takes."""
        step = max(1, AT_ONCE // max(1, pixels[0].numel(), self.volume.size)) if len(pixels) else 1
        parts = [self._prepare(part) for part in pixels.split(step)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _prepare(self, pixels: Tensor) -> Tensor:
        pixels = _cut(to_channels(pixels, self.channels), self.grid, self.covered)
        (height, width), (rows, columns) = self.size, self.grid
        top, left = (height - rows) // 2, (width - columns) // 2
        around = (left, width - columns - left, top, height - rows - top)
        return F.pad(pixels, around) if any(around) else pixels

    def place(self, pixels: Tensor, into: np.ndarray) -> None:
        """`prepare` of one image, uint8 C×H×W, into its place, one of `rows`: as bytes, or normalised."""
        channels, tall, wide = pixels.shape
        size, top, left = _centre((tall, wide), self.grid, self.covered)
        (height, width), (rows, columns) = self.size, self.grid
        if channels != self.channels or size != (tall, wide):
            pixels, top, left = _cut(to_channels(pixels.unsqueeze(0), self.channels), self.grid, self.covered)[0], 0, 0
        whole = pixels.numpy().transpose(1, 2, 0)  # whatever torch does lets others have the interpreter's lock, and to
        cut = whole[top : top + rows, left : left + columns]  # get it back takes as long as all this: numpy's views
        if self.size != self.grid:
            top, left = (height - rows) // 2, (width - columns) // 2
            cut = np.pad(cut, ((top, height - rows - top), (left, width - columns - left), (0, 0)))
        cut = cut.reshape(into.shape)
        if into.dtype == np.uint8:
            np.copyto(into, cut)
        else:
            self._standardise(torch.from_numpy(into).copy_(torch.from_numpy(cut)))  # quicker than numpy's cast

    def measured(self, pixels: Tensor) -> Preprocessing:
        """With mean and deviation of these prepared images (uint8 N×C×H×W), by channel, in 0..1, unless it has them."""
        if self.mean:
            return self
        counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in pixels.unbind(1)]).double()
        value, share = torch.arange(256, dtype=torch.double) / 255, counts / counts.sum(1, keepdim=True)
        mean = share @ value
        std = ((share @ value**2) - mean**2).clamp(min=0).sqrt()
        std = torch.where(std > 1e-6, std, 1.0)  # one flat colour: nothing to scale
        return replace(self, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def normalise(self, pixels: Tensor, device: torch.device | str = "cpu", into: Tensor | None = None) -> Tensor:
        """uint8 N×C×H×W -> float32 N×C×H×W, channels last: a new one, or what is given for it."""
        pixels = pixels.to(device)
        n, channels, height, width = pixels.shape
        if into is None:
            into = torch.empty((n, height, width, channels), device=device).permute(0, 3, 1, 2)
        alone = pixels.device.type == "cpu" and torch.get_num_threads() == 1  # several would meet too often
        few = max(1, IN_CACHE // max(1, channels * height * width) if alone else n)
        for part, x in zip(pixels.split(few), into.split(few), strict=True):
            self._standardise(self.rows(x.copy_(part)))
        return into

    def rows(self, x: Tensor) -> Tensor:
        """N×C×H×W, channels last, as it lies in memory: N × rows × their numbers. The longer, the quicker."""
        images = x.permute(0, 2, 3, 1)
        return images.flatten(1).unsqueeze(1) if x.shape[1:].numel() <= AT_A_STRETCH else images.flatten(2)

    def _standardise(self, rows: Tensor) -> None:
        """float32 of 0..255, in place: (x/255 - mean)/std."""
        scale, shift = _stretch(self.mean, self.std, rows.shape[-1] // self.channels, rows.device)
        torch.addcmul(shift, rows, scale, out=rows)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Back from a model file's metadata. Raises CannotRead."""
        try:
            grid, size, mean, std = (data[key] for key in ("grid", "size", "mean", "std"))
            short = int(data.get("short", 0))
            made = cls(int(data["channels"]), _pair(grid), _pair(size), _floats(mean), _floats(std), short)
            made.volume.checked()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            why = f'"{error.args[0]}" is missing' if isinstance(error, KeyError) else "not every value is of its kind"
            raise CannotRead(f"Cannot read how this model's images are prepared: {why}.", f"{data}") from None
        if (
            max(made.size) > LARGEST
            or not all(1 <= g <= s for g, s in zip(made.grid, made.size, strict=True))
            or not all(isfinite(v) for v in made.mean + made.std)
            or not all(v > 0 for v in made.std)
            or not made.channels == len(made.mean) == len(made.std)
            or made.channels not in (1, 3)
            or not 0 <= made.short <= MOST_SHORT * min(made.grid)
        ):
            raise CannotRead("Cannot read how this model's images are prepared: it does not fit together.", f"{data}")
        return made


def _pair(value: Any) -> Grid:
    rows, columns = (int(v) for v in value)
    return rows, columns


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in value)


@lru_cache(maxsize=16)
def _stretch(
    mean: tuple[float, ...], std: tuple[float, ...], cells: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """By what to multiply so many cells as they follow each other, and what to add: (value/255 - mean)/std."""
    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * s) for s in std], device=device)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)
        return scale.repeat(cells), shift.repeat(cells)


def to_channels(pixels: Tensor, channels: int) -> Tensor:
    """Grey to colour by repeating, colour to grey by luma."""
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA).view(1, 3, 1, 1)
    return (pixels * weights).sum(1, keepdim=True).round_().to(torch.uint8)


def scaled(pixels: Tensor, covered: Grid) -> Tensor:
    """Scaled until `covered` just is."""
    return resampled(pixels, _centre((pixels.shape[2], pixels.shape[3]), covered, covered)[0])


@lru_cache(maxsize=1 << 10)
def _centre(native: Grid, grid: Grid, covered: Grid) -> tuple[Grid, int, int]:
    """Of images of this grid: what they are scaled to, and where in that the centre `grid` begins."""
    (height, width), (rows, columns) = native, covered
    scale = max(rows / height, columns / width)
    size = max(rows, round(height * scale)), max(columns, round(width * scale))
    return size, (size[0] - grid[0]) // 2, (size[1] - grid[1]) // 2


def resampled(pixels: Tensor, size: Grid) -> Tensor:
    """Antialiased, bilinear: uint8 N×C×H×W -> N×C×size. Rows first where they become fewer: columns take longer."""
    height, width = pixels.shape[2:]
    if len(pixels) == 1:  # as decoders give it, rows × columns × channels: said so that torch takes its quick way
        pixels = pixels.permute(0, 2, 3, 1).contiguous()[0].unsqueeze(0).permute(0, 3, 1, 2)
    for step in ((size[0], width), size) if size[0] < height else (size,):
        if pixels.shape[2:] != step:
            pixels = F.interpolate(pixels, step, mode="bilinear", antialias=True)
    return pixels


def _cut(pixels: Tensor, grid: Grid, covered: Grid) -> Tensor:
    """Scaled until `covered` just is, then the centre `grid`."""
    (rows, columns), (height, width) = grid, pixels.shape[2:]
    size, top, left = _centre((height, width), grid, covered)
    if size[0] < height:  # columns only of the rows that are left
        pixels = resampled(pixels, (size[0], width))[:, :, top : top + rows]
        size, top = (rows, size[1]), 0
    return resampled(pixels, size)[:, :, top : top + rows, left : left + columns]
