"""Pictures held against those that are kept: by their blocks, of which each must look the same."""

from __future__ import annotations

import numpy as np
from PIL import Image

BLOCK = 12  # pixels: a line of a chart is a third of one, the rounding of another processor nothing
NEAR = 16.0  # of 255, a block's mean colour


def apart(one: Image.Image, other: Image.Image) -> float:
    """How far the two blocks that differ most are apart, in one of red, green and blue, 0..255. A picture as a whole is
    mostly white paper, in whose mean a missing line is lost.
    """
    assert one.size == other.size
    return float(np.abs(_blocks(one) - _blocks(other)).max())


def _blocks(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    down, across = (-side % BLOCK for side in pixels.shape[:2])
    pixels = np.pad(pixels, ((0, down), (0, across), (0, 0)), mode="edge")
    rows, columns = (side // BLOCK for side in pixels.shape[:2])
    return pixels.reshape(rows, BLOCK, columns, BLOCK, 3).mean((1, 3))
