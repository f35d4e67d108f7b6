"""One image file to pixels, whatever a camera, a scanner or a stranger made of it."""

from __future__ import annotations

import os
import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate.blueprint import CannotRead, Refusal
from striate.data.preprocessing import Grid

MOST_PIXELS = 120_000_000  # beyond a good camera's; a "bomb" states more in a few bytes
MOST_BYTES = 1 << 28
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is empty
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
ORIENTATION = 0x0112  # in EXIF
START, MARKER = b"\xff\xd8\xff", 0xFF  # of a JPEG, and of what is marked in it
SCAN, APP1 = 0xDA, 0xE1
FRAMES = 0xC0, 0xC1, 0xC2  # as every decoder reads them
TURNED = (5, 6, 7, 8)  # values that exchange rows and columns
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif"))


class Header(NamedTuple):
    """What a file says of itself before it is decoded: the grid as it will be seen, upright."""

    channels: int
    grid: Grid


class Encoded(NamedTuple):
    """A picture's bytes, and the name it is spoken of by."""

    name: str
    content: bytes


def header(picture: Encoded) -> Header:
    """Raises CannotRead."""
    if plain := _plain(picture):
        return plain
    with _refusing(picture.name), _opened(*picture) as image:
        height, width = image.height, image.width
        turned = image.getexif().get(ORIENTATION) in TURNED
        return Header(1 if image.mode in GREY else 3, (width, height) if turned else (height, width))


def read_image(path: Path, channels: int = 3, least: Grid = (1 << 30, 1 << 30)) -> Tensor:
    """uint8 channels×H×W, upright; a JPEG is decoded at an eighth, a quarter or a half of its size where that is not
    below `least` (full size is the default).

    Only the first picture of several; 16 bits become 8; what is transparent lies on white. Raises CannotRead with the
    reason.
    """
    return decoded(contents(path), channels, least)


def contents(path: Path) -> Encoded:
    """A file's bytes, if it is no larger than a picture is. Raises CannotRead."""
    return Encoded(str(path), _bytes(str(path), path))


def part(name: str, path: Path, start: int, size: int) -> Encoded:
    """`size` bytes of a file, from `start`. Raises CannotRead."""
    content = _bytes(name, path, start, size)
    if len(content) < size:
        raise CannotRead(f"Cannot read {name}: {path.name} has become shorter since it was listed.")
    return Encoded(name, content)


def _bytes(name: str, path: Path, start: int = 0, size: int | None = None) -> bytes:
    with _refusing(name):
        file = os.open(path, READING)
        try:
            size = os.fstat(file).st_size if size is None else size
            if size > MOST_BYTES:
                raise CannotRead(f"Cannot read {name}: {size:,} bytes, at most {MOST_BYTES:,} for one image.")
            if start:
                os.lseek(file, start, os.SEEK_SET)
            return os.read(file, size)
        finally:
            os.close(file)


def decoded(
    picture: Encoded, channels: int = 3, least: Grid = (1 << 30, 1 << 30), room: np.ndarray | None = None
) -> Tensor:
    """As `read_image`, from bytes; into `room` (bytes), if it is large enough, which is the caller's to use again."""
    name, content = picture
    with _refusing(name):
        if (plain := _plain_jpeg(picture, channels, least, room)) is not None:
            return torch.from_numpy(plain.transpose(2, 0, 1))
        from PIL import Image

        with _opened(name, content) as image:
            turn = image.getexif().get(ORIENTATION, 1)
            if image.format == "JPEG" and image.mode in ("L", "RGB"):
                pixels = _jpeg(content, channels, image.size[::-1], least[::-1] if turn in TURNED else least)
                if pixels is not None and turn == 1:
                    return torch.from_numpy(pixels).permute(2, 0, 1)
                if pixels is not None:
                    image = Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels)
                    image.getexif()[ORIENTATION] = turn
            return upright(image, channels)


def upright(image: Any, channels: int) -> Tensor:
    """A PIL image as uint8 channels×H×W, turned as its camera says."""
    from PIL import ImageOps

    return _tensor(_eight_bits(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB"))


class _refusing:
    """Whatever a decoder has against a picture, as a CannotRead with the reason (no generator: it would cost as much as
    reading a header).
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, Refusal):
            return
        from PIL import Image, UnidentifiedImageError

        if isinstance(error, UnidentifiedImageError):
            raise CannotRead(f"Cannot read {self.name}: it is not an image.") from None
        if isinstance(error, Image.DecompressionBombError):
            raise CannotRead(f"Cannot read {self.name}: it states more than {MOST_PIXELS:,} pixels.") from None
        if isinstance(error, OSError | ValueError | SyntaxError | EOFError | MemoryError | struct.error):
            raise CannotRead(f"Cannot read {self.name}: {_reason(error)}.") from None


def _opened(name: str, content: bytes) -> Any:
    """A picture's header read by Pillow (a PIL image), its size within bounds."""
    from PIL import Image

    if not content:
        raise CannotRead(f"Cannot read {name}: the file is empty.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns where it comes near to our own bound
        image = Image.open(BytesIO(content))
    try:
        _within_bounds(name, image.width, image.height)
    except CannotRead:
        image.close()
        raise
    return image


def _within_bounds(name: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        stated = f"{width:,}×{height:,}"
        raise CannotRead(f"Cannot read {name}: it states {stated} pixels, at most {MOST_PIXELS:,} are read.")


def _plain_jpeg(picture: Encoded, channels: int, least: Grid, room: np.ndarray | None) -> np.ndarray | None:
    """Rows × columns × channels of what most pictures are, a JPEG in grey or colour that no camera marked as turned;
    of all else None. Pillow, which holds the other threads up, is not asked.
    """
    plain = _plain(picture)
    return None if plain is None else _jpeg(picture.content, channels, plain.grid, least, room)


def _plain(picture: Encoded) -> Header | None:
    """Of a JPEG in grey or colour none of whose segments before the picture itself is a camera's. Raises CannotRead."""
    name, content = picture
    if not content.startswith(START):
        return None
    at, last, channels, height, width = 2, len(content) - 10, 0, 0, 0
    while at < last and content[at] == MARKER:
        marker = content[at + 1]
        if marker == SCAN:
            _within_bounds(name, width, height)
            return Header(channels, (height, width)) if channels in (1, 3) and height and width else None
        if marker == APP1 and content.startswith(b"Exif", at + 4):
            return None
        if marker in FRAMES:
            height, width = content[at + 5] << 8 | content[at + 6], content[at + 7] << 8 | content[at + 8]
            channels = content[at + 9]
        at += 2 + (content[at + 2] << 8 | content[at + 3])
    return None


def _jpeg(content: bytes, channels: int, grid: Grid, least: Grid, room: np.ndarray | None = None) -> np.ndarray | None:
    """Rows × columns × channels, or None where the fast decoder has something against the file: Pillow then decides."""
    import simplejpeg

    colours = "GRAY" if channels == 1 else "RGB"
    by = 8  # or 4, 2, 1: other parts of it are decoded without vector instructions, 5/8 in 1.5 times as long as all
    while by > 1 and (-(-grid[0] // by) < least[0] or -(-grid[1] // by) < least[1]):
        by //= 2
    height, width = -(-grid[0] // by), -(-grid[1] // by)
    # aligned rows are written past the cache, from where they would have to be fetched again
    room = None if room is None or room.size <= height * width * channels else room[1:]
    try:
        return simplejpeg.decode_jpeg(content, colours, min_height=height, min_width=width, buffer=room, strict=True)
    except ValueError:
        return None


def _eight_bits(image: Any, mode: str) -> Any:
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535 if image.mode != "F" or values.max() > 255 else 255 if values.max() > 1 else 1
        image = Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    elif image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert(mode)


def _tensor(image: Any) -> Tensor:
    pixels = torch.from_numpy(np.array(image))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    said = (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
    return said[:1].lower() + said[1:].rstrip(".")
