"""From any image to what the network reads."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from striate.blueprint import CannotRead
from striate.data import Preprocessing, open_data


def test_a_little_smaller_gets_zeros_around_as_lecuns_did() -> None:
    rule = Preprocessing.fitting(1, (28, 28), (32, 32))
    pixels = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
    made = rule.prepare(pixels)
    assert made.shape == (3, 1, 32, 32)
    assert torch.equal(made[:, :, 2:-2, 2:-2], pixels)
    assert made.sum() == pixels.sum()
    assert rule.told((28, 28)) == "28×28 as they are, zeros around them to 32×32"


@pytest.mark.parametrize(
    ("native", "size", "grid", "told"),
    [
        ((26, 26), (32, 32), (26, 26), "26×26 as they are, zeros around them to 32×32"),
        ((25, 25), (32, 32), (32, 32), "25×25 enlarged to 32×32"),
        ((8, 8), (32, 32), (32, 32), "8×8 enlarged to 32×32"),
        ((33, 33), (32, 32), (32, 32), "33×33 reduced to 32×32"),
        (None, (64, 64), (64, 64), "short side scaled, centre 64×64"),
        (None, None, (224, 224), "short side scaled, centre 224×224"),
        ((28, 28), None, (28, 28), "28×28 as they are"),
    ],
)
def test_the_rule(
    native: tuple[int, int] | None, size: tuple[int, int] | None, grid: tuple[int, int], told: str
) -> None:
    rule = Preprocessing.fitting(1, native, size)
    assert rule.grid == grid
    assert rule.told(native) == told


def test_enlarging_is_torchs_bilinear_and_many_at_once_are_as_one_by_one() -> None:
    pixels = open_data("digits").test.pixels
    rule = Preprocessing.fitting(1, (8, 8), (32, 32))
    made = rule.prepare(pixels)
    exact = F.interpolate(pixels.float(), (32, 32), mode="bilinear", antialias=True)
    assert (made.float() - exact).abs().max() <= 1
    assert torch.equal(torch.cat([rule.prepare(pixels[i : i + 1]) for i in range(20)]), made[:20])


def test_a_photo_keeps_its_proportions_and_gives_its_centre() -> None:
    wide = torch.zeros(1, 3, 40, 100, dtype=torch.uint8)
    wide[..., 30:70] = 255  # the middle 40 of 100 columns
    made = Preprocessing.fitting(3, None, (20, 20)).prepare(wide)
    assert made.shape == (1, 3, 20, 20)
    assert made.float().mean() > 250
    tall = Preprocessing.fitting(3, None, (20, 20)).prepare(wide.transpose(2, 3).contiguous())
    assert tall.float().mean() > 250


def test_grey_and_colour_into_one_another() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert Preprocessing(1, (4, 4), (4, 4)).prepare(red).unique().tolist() == [76]  # 0.299·255
    grey = torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
    assert Preprocessing(3, (4, 4), (4, 4)).prepare(grey).unique().tolist() == [9]


def test_mean_and_deviation_are_those_of_the_pixels() -> None:
    pixels = torch.randint(256, (50, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rule = Preprocessing(3, (6, 6), (6, 6)).measured(pixels)
    shares = pixels.double() / 255
    assert rule.mean == pytest.approx(shares.mean((0, 2, 3)).tolist())
    assert rule.std == pytest.approx(shares.std((0, 2, 3), correction=0).tolist())
    x = rule.normalise(pixels)
    assert x.mean((0, 2, 3)).abs().max() < 1e-5


def test_flat_images_are_not_divided_by_nothing() -> None:
    flat = torch.full((4, 1, 2, 2), 7, dtype=torch.uint8)
    assert Preprocessing(1, (2, 2), (2, 2)).measured(flat).normalise(flat).abs().max() < 1e-6


def test_there_and_back_through_a_model_files_json() -> None:
    rule = open_data("digits", size=32).preprocessing
    assert Preprocessing.from_json(rule.to_json()) == rule


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.5]},
        {"grid": [40, 40]},
        {"grid": [0, 0]},
        {"grid": [-8, 8]},
        {"channels": 2},
        {"channels": "x"},
        {"size": [1]},
        {"size": None},
        {"size": [10**8, 10**8]},
        {"short": 10**9},
        {"std": "ab"},
        {"std": [0.1, 0.0, 0.3]},
        {"std": [0.1, -0.2, 0.3]},
        {"std": [0.1, float("inf"), 0.3]},
        {"mean": [0.1, float("nan"), 0.3]},
    ],
    ids=str,
)
def test_a_damaged_rule_is_refused(damage: dict[str, object]) -> None:
    said = Preprocessing(3, (32, 32), (32, 32), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3)).to_json()
    with pytest.raises(CannotRead, match="Cannot read how this model's images are prepared"):
        Preprocessing.from_json(said | damage)


@pytest.mark.parametrize("part", ["channels", "grid", "size", "mean", "std"])
def test_a_rule_without_a_part_says_which(part: str) -> None:
    said = Preprocessing(1, (8, 8), (8, 8), (0.1,), (0.1,)).to_json()
    del said[part]
    with pytest.raises(CannotRead, match=f'"{part}" is missing'):
        Preprocessing.from_json(said)
