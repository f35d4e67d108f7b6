"""What excites units most, as a picture: patches side by side, the strongest first, each channel in a row; of one unit
alone the whole images, too, with what it saw framed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.data.drawn import BLUE
from striate.visualize.exciting import Patch
from striate.visualize.figures import WIDE, canvas, headed, image, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 9  # patches in a row, at most
ALONE = 5  # of one unit alone
SHEET = 0.93  # grey around a patch that the border has cut


def draw_exciting(found: Mapping[str, Sequence[Patch]], title: str = "") -> bytes:
    """A PNG of patches by what they are of ("conv2:17"). Where a border cuts a field, the patch is smaller."""
    if len(found) == 1:
        [(name, patches)] = found.items()
        return _alone(patches, title or f"{name}: what excites it most")
    across = min(ACROSS, max(map(len, found.values())))
    talls = [_tall(patches[:across]) * WIDE / across + 0.3 for patches in found.values()]
    figure = canvas(WIDE, sum(talls), title)
    parts = figure.subfigures(len(found), squeeze=False, height_ratios=talls).flat
    for part, (name, patches) in zip(parts, found.items(), strict=True):
        patches = patches[:across]
        said = f"{name}: {patches[0].value:.3g}" + (f" to {patches[-1].value:.3g}" if len(patches) > 1 else "")
        headed(part, said)
        for place, axes in enumerate(part.subplots(1, across, squeeze=False)[0]):
            axes.axis("off")
            if place < len(patches):
                image(axes, _whole(patches[place], patches))
    return png(figure)


def _alone(patches: Sequence[Patch], title: str) -> bytes:
    """Patches above the images that they are of."""
    across = min(ALONE, len(patches))
    patches = patches[:across]
    talls = [_tall(patches) * WIDE / across, _ratio(patches[0].around) * WIDE / across]
    figure = canvas(WIDE, sum(talls) + 0.6, title)
    rows = figure.subplots(2, across, squeeze=False, height_ratios=talls)
    for axes, patch in zip(rows[0], patches, strict=True):
        image(axes, _whole(patch, patches), f"{patch.value:.3g}")
    for axes, patch in zip(rows[1], patches, strict=True):
        _around(axes, patch)
    return png(figure)


def _whole(patch: Patch, row: Sequence[Patch]) -> Tensor:
    """A patch in the middle of a sheet that holds the largest of its row: one scale for all."""
    height, width = (max(other.pixels.shape[axis] for other in row) for axis in (1, 2))
    _, rows, columns = patch.pixels.shape
    sheet = torch.full((patch.pixels.shape[0], height, width), SHEET)
    top, left = (height - rows) // 2, (width - columns) // 2
    sheet[:, top : top + rows, left : left + columns] = patch.pixels
    return sheet


def _tall(patches: Sequence[Patch]) -> float:
    return max(patch.pixels.shape[1] for patch in patches) / max(patch.pixels.shape[2] for patch in patches)


def _ratio(pixels: Tensor) -> float:
    return pixels.shape[-2] / pixels.shape[-1]


def _around(axes: Axes, patch: Patch) -> None:
    from matplotlib.patches import Rectangle

    image(axes, patch.around, f"image {patch.image:,}")
    (top, bottom), (left, right) = patch.rows, patch.columns
    for line, width in (("white", 2.4), (BLUE, 1.4)):
        size = right - left + 1, bottom - top + 1
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, ec=line, lw=width, clip_on=False))
