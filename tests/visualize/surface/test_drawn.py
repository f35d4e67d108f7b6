"""Surfaces as pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from striate.blueprint import Refusal
from striate.visualize.surface import (
    Curvature,
    Sharpness,
    Surface,
    compared_picture,
    contour_picture,
    line_picture,
    relief_picture,
    sharpness_picture,
)
from striate.visualize.surface.drawn import _cut, _scale, lowest

Golden = Callable[[str, bytes], None]
AT = torch.linspace(-1, 1, 21, dtype=torch.float64)


def bowl(steep: float = 4.0, x: float = 0.3, y: float = -0.1) -> Surface:
    """Lowest at (x, y)."""
    losses = 0.05 * torch.exp(steep * ((AT[:, None] - x) ** 2 + 2 * (AT - y) ** 2).sqrt())
    return Surface(losses, AT, AT, torch.ones(21, dtype=torch.bool), float(losses[10, 10]), 100)


def line_of(found: Surface) -> Surface:
    return found._replace(losses=found.losses[:, 9:10], y=torch.zeros(1).double())


def test_the_lowest_point_is_where_it_is() -> None:
    x, y, loss = lowest(bowl())
    assert (round(x, 6), round(y, 6), loss) == (0.3, -0.1, pytest.approx(0.05))
    holes = bowl()
    holes.losses[13, 9], holes.losses[2, 3] = torch.nan, torch.nan
    assert lowest(holes)[2] > 0.05


def test_levels_follow_the_logarithm_of_a_wide_range_and_are_shared() -> None:
    steep, flat = bowl(), bowl(0.5)
    assert _scale([steep], torch.inf).logarithmic
    assert not _scale([flat], torch.inf).logarithmic
    both = _scale([flat, steep], torch.inf)
    assert both.levels[0] == pytest.approx(0.05)
    assert both.levels[-1] == pytest.approx(float(steep.losses.max()))
    assert _scale([steep], 2.0).levels[-1] == pytest.approx(2.0)
    assert _cut(steep, 2.0) == ["losses above 2 are drawn as 2"]
    assert _cut(steep, 1e9) == _cut(steep, torch.inf) == []
    below = steep._replace(losses=steep.losses - 1)
    assert not _scale([below], torch.inf).logarithmic  # no logarithm of what is below 0
    with pytest.raises(Refusal, match="no point is a number"):
        _scale([steep._replace(losses=steep.losses * torch.nan)], torch.inf)


def test_contours_with_a_training_s_way(golden_picture: Golden) -> None:
    way = torch.tensor([[-0.9, 0.8], [-0.5, 0.5], [-0.1, 0.2], [0.1, 0.05], [0.0, 0.0]])
    golden_picture("surface-contours", contour_picture(bowl(), "A bowl", way))


def test_a_training_s_way_in_its_own_plane(golden_picture: Golden) -> None:
    """As `--show trajectory` draws it, of a network with a long name."""
    turn = torch.linspace(0, 3, 12)
    way = torch.stack([0.9 * torch.cos(turn), 0.7 * torch.sin(turn)], 1) * torch.linspace(1, 0, 12)[:, None]
    along = ("first direction, 83% of the variance", "second direction, 9% of the variance")
    name = "resnet20-cifar10-trained-on-very-many-photos-for-a-very-long-time"
    golden_picture("surface-trajectory", contour_picture(bowl(), f"{name}: the way of its training", way, along, 5.0))


def test_a_relief(golden_picture: Golden) -> None:
    golden_picture("surface-relief", relief_picture(bowl(), "A bowl"))


def test_two_beside_each_other(golden_picture: Golden) -> None:
    found = {"with": bowl(2.0, 0.0, 0.0), "without": bowl(5.0)}
    golden_picture("surface-compared", compared_picture(found, "Skip connections"))


def test_lines(golden_picture: Golden) -> None:
    golden_picture("surface-lines", line_picture({"one": line_of(bowl()), "other": line_of(bowl(2))}, "Two lines"))


def test_sharpness(golden_picture: Golden) -> None:
    losses = torch.stack([0.1 + k * AT**2 for k in (1, 2, 4)])
    found, curved = Sharpness(losses, AT, 0.1, 3.6, 2.1), Curvature(8.0, 0.05, {}, 12)
    golden_picture("surface-sharpness", sharpness_picture(found, "Three directions", curved))


def test_what_is_missing_or_no_number_is_left_blank() -> None:
    torn = bowl()
    torn.done[3:5] = False
    torn.losses[3:5], torn.losses[0, 0], torn.losses[1, 1] = torch.nan, torch.inf, torch.nan
    whole = contour_picture(bowl(), "$x_")
    assert contour_picture(torn, "$x_") != whole
    for draw in (contour_picture, relief_picture):
        assert draw(torn, "$x_").startswith(b"\x89PNG")
    flat = bowl()._replace(losses=torch.full((21, 21), 0.3, dtype=torch.float64))
    assert contour_picture(flat, "flat").startswith(b"\x89PNG")


def test_a_line_is_no_surface_and_a_surface_no_line() -> None:
    with pytest.raises(Refusal, match="line as a surface"):
        contour_picture(line_of(bowl()), "")
    with pytest.raises(Refusal, match="Cannot draw 1 surfaces as lines: one to 4 lines"):
        line_picture({"": bowl()}, "")
