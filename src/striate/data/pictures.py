"""Where a picture can be: in a file of its own, in a tar archive, in somebody's torch Dataset, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate.blueprint import CannotRead, Refusal
from striate.data.decode import Encoded, Header, contents, decoded, header, part, upright
from striate.data.images import FULL
from striate.data.preprocessing import Grid, to_channels


class Held(NamedTuple):
    """A picture whose file is in memory."""

    encoded: Encoded

    @property
    def name(self) -> str:
        return self.encoded.name

    @property
    def size(self) -> int:
        return len(self.encoded.content)

    def held(self) -> Held:
        return self

    def header(self) -> Header:
        return header(self.encoded)

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        return decoded(self.encoded, channels, least, room)


class File(NamedTuple):
    """A picture in a file of its own."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def held(self) -> Held:
        return Held(contents(self.path))

    def header(self) -> Header:
        return self.held().header()

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        return self.held().read(channels, least, room)


class Member(NamedTuple):
    """A picture in a tar archive, which is read where it is: nothing is ever unpacked."""

    archive: Path
    inside: str
    start: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.archive}:{self.inside}"

    def held(self) -> Held:
        return Held(part(self.name, self.archive, self.start, self.size))

    def header(self) -> Header:
        return self.held().header()

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        return self.held().read(channels, least, room)


class Pixels(NamedTuple):
    """A picture that is in memory as it is seen: uint8 1×H×W or 3×H×W."""

    name: str
    pixels: Tensor

    @property
    def size(self) -> int:
        return self.pixels.numel()

    def held(self) -> Pixels:
        return self

    def header(self) -> Header:
        channels, height, width = self.pixels.shape
        return Header(channels, (height, width))

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        return to_channels(self.pixels.unsqueeze(0), channels)[0]


class Item(NamedTuple):
    """An item of a torch Dataset: a PIL image, an array H×W or H×W×C, or a tensor C×H×W; bytes, or floats of 0..1."""

    dataset: Any
    place: int

    @property
    def name(self) -> str:
        return f"item {self.place} of {type(self.dataset).__name__}"

    def held(self) -> Pixels:
        return Pixels(self.name, self._pixels(self._image()))

    def header(self) -> Header:
        return self.held().header()

    def read(self, channels: int, least: Grid = FULL, room: np.ndarray | None = None) -> Tensor:
        return self.held().read(channels, least, room)

    def _image(self) -> Any:
        try:
            item = self.dataset[self.place]
        except Exception as error:  # whatever somebody's code has against it
            raise CannotRead(f"Cannot read {self.name}: {type(error).__name__}: {error}") from None
        return item[0] if isinstance(item, tuple | list) else item

    def _pixels(self, image: Any) -> Tensor:
        """uint8 1×H×W or 3×H×W."""
        if hasattr(image, "getexif"):  # PIL's
            try:
                return upright(image, 1 if image.mode in ("1", "L", "I", "F") else 3)
            except (OSError, ValueError, Refusal) as error:
                raise CannotRead(f"Cannot read {self.name}: {error}") from None
        if isinstance(image, np.ndarray):
            image = torch.from_numpy(np.ascontiguousarray(image))
            image = image.permute(2, 0, 1) if image.ndim == 3 else image
        if not isinstance(image, Tensor) or image.ndim not in (2, 3) or not image.numel():
            what = f"{type(image).__name__} {'×'.join(map(str, getattr(image, 'shape', ())))}".strip()
            raise CannotRead(f"Cannot read {self.name}: it is {what}, not an image.")
        image = image if image.ndim == 3 else image.unsqueeze(0)
        if len(image) not in (1, 3):
            raise CannotRead(f"Cannot read {self.name}: it has {len(image)} channels; 1 is grey, 3 colour.")
        if image.is_floating_point():
            if image.numel() and not (image.min() >= 0 and image.max() <= 1):
                ways = "Normalise after it: what is trained takes mean and deviation itself."
                raise CannotRead(
                    f"Cannot read {self.name}: its values go from {image.min():.3g} to {image.max():.3g}, "
                    "floats of 0 to 1 are read.",
                    ways=ways,
                )
            image = (image * 255).round()
        return image.to(torch.uint8)
