"""What holds a picture against the one that is kept notices whatever a reader would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import BLOCK, NEAR, apart

KEPT = sorted((Path(__file__).parents[1] / "golden" / "pictures").glob("*.png"))
COLOURFUL = 40  # of 255, how far red, green and blue are apart in what is no grey


def no_marks(pixels: np.ndarray) -> np.ndarray:
    return np.where(coloured(pixels)[..., None], 255, pixels)


def no_colour(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def upper_half(pixels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(pixels))[:, None, None] < len(pixels) // 2, pixels, 255)


def left_half(pixels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(pixels.shape[1])[:, None] < pixels.shape[1] // 2, pixels, 255)


def coloured(pixels: np.ndarray) -> np.ndarray:
    return pixels.max(2).astype(int) - pixels.min(2) > COLOURFUL


@pytest.mark.parametrize("harm", [no_marks, no_colour, upper_half, left_half])
@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_picture_that_is_harmed_is_another(path: Path, harm: Callable[[np.ndarray], np.ndarray]) -> None:
    kept = Image.open(path).convert("RGB")
    pixels = np.asarray(kept)
    if harm in (no_marks, no_colour) and not coloured(pixels).any():
        return  # digits are grey, and so are they on paper
    assert apart(kept, Image.fromarray(harm(pixels).astype(np.uint8))) > 1.5 * NEAR


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_same_picture_is_the_same(path: Path) -> None:
    """As it was, and with each value a little off, as another processor might round it."""
    kept = Image.open(path).convert("RGB")
    pixels = np.asarray(kept).astype(int)
    off = np.random.default_rng(0).integers(-3, 4, pixels.shape)
    assert apart(kept, kept) == 0
    assert apart(kept, Image.fromarray((pixels + off).clip(0, 255).astype(np.uint8))) < NEAR / 4


def test_a_word_that_is_missing_at_the_edge_is_missed() -> None:
    whole = Image.new("RGB", (5 * BLOCK + 3, 5 * BLOCK + 3), "white")
    part = whole.copy()
    whole.paste("black", (5 * BLOCK, 5 * BLOCK, 5 * BLOCK + 3, 5 * BLOCK + 3))
    assert apart(whole, part) > NEAR
