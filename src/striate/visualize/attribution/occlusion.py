"""Attribution by covering the image: how much of the score is lost without each part of it. Needs no gradient."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import Refusal
from striate.visualize.attribution.asked import MOST, Asked, Heat, Target, Tick, answered, ask, at_a_time, each
from striate.visualize.attribution.incremental import Box, changed, known
from striate.visualize.attribution.steps import FAILURES, folded, narrowed, near, program, widened
from striate.visualize.watching import undisturbed

SHARE = 7  # a window is a seventh of the image's side
BOXES = 4  # times as many windows at once as whole images
WORTH = 1 << 17  # cells of all windows' images; of fewer, whole images take less time than finding what changes
Sides = int | tuple[int, int]
Scores = Callable[[Tensor], Tensor]  # of windows, by their corners


class Windows(NamedTuple):
    """What is covered, one after another: `size` rows and columns, every `stride`; the last may reach over the edge."""

    image: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int]:
        sides = zip(self.image, self.size, self.stride, strict=True)
        return tuple(ceil((side - size) / stride) + 1 for side, size, stride in sides)  # type: ignore[return-value]

    @property
    def corners(self) -> Tensor:
        """Where each begins: int64, rows and columns."""
        down, across = (torch.arange(n) * stride for n, stride in zip(self.counts, self.stride, strict=True))
        return torch.cartesian_prod(down, across)

    def spread(self, lost: Tensor) -> Tensor:
        """From what each window of N images cost, N×windows, to N×H×W: the mean of the windows over each place."""
        grid = lost.view(-1, 1, *self.counts)
        ones = lost.new_ones(1, 1, *self.size)
        over = F.conv_transpose2d(torch.cat([grid, torch.ones_like(grid[:1])]), ones, stride=self.stride)
        height, width = self.image
        total = over[:, 0, :height, :width]
        return total[:-1] / total[-1]


def occlusion(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    window: Sides | None = None,
    stride: Sides | None = None,
    fill: float = 0.0,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """What the score loses while a window of the image is `fill` (0, the mean colour); for each place the mean of the
    windows over it (Zeiler and Fergus 2013, arXiv 1311.2901, section 4.2, of the score). Windows are a seventh of the
    image's side, every half of one, where not said. `tick` is told of images.
    """
    windows = _windows(x, window, stride)

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        with torch.inference_mode(), undisturbed(model):
            asked = ask(model, x, targets)
            covered = _covered(model, x, asked, windows, fill, at_once)
            lost = asked.of - covered
            return asked.heat("occlusion", windows.spread(lost[None]))

    return each(model, x, target, look, 1, tick, hooked=False)  # it is taken apart


def _windows(x: Tensor, window: Sides | None, stride: Sides | None) -> Windows:
    image = (x.shape[-2], x.shape[-1])
    size = _two(window) if window is not None else tuple(max(1, round(side / SHARE)) for side in image)
    step = _two(stride) if stride is not None else tuple(max(1, side // 2) for side in size)
    fits = all(1 <= s <= w <= side for s, w, side in zip(step, size, image, strict=True))
    if not fits:
        raise Refusal(
            f"Cannot cover an image of {image[0]}×{image[1]} with windows of {size[0]}×{size[1]} every "
            f"{step[0]}×{step[1]}.",
            ways="1 ≤ stride ≤ window ≤ image, so that every place is covered.",
        )
    return Windows(image, size, step)  # type: ignore[arg-type]


def _two(sides: Sides) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides


def _covered(model: nn.Module, x: Tensor, asked: Asked, windows: Windows, fill: float, at_once: int | None) -> Tensor:
    """The score of one image, 1×C×H×W, with each window covered: one number a window."""
    corners = windows.corners.to(x.device)
    few = at_a_time(x.shape[2] * x.shape[3], at_once)

    def whole(corners: Tensor) -> Tensor:
        images = x.expand(len(corners), -1, -1, -1).clone(memory_format=torch.channels_last)
        for image, (top, left) in zip(images, corners.tolist(), strict=True):
            image[:, top : top + windows.size[0], left : left + windows.size[1]] = fill
        return answered(model, model(images), asked.targets.expand(len(corners))).of

    worth = len(corners) * x.shape[2] * x.shape[3] > WORTH
    if worth and (part := _part(model, x, asked, windows, fill)) is not None:
        runs = corners.tensor_split(-(-len(corners) // (at_once or min(MOST, BOXES * few))))
        middle = len(runs) // 2
        tried = _tried(part, runs[middle], whole, asked.scores.abs().max())
        if tried is not None:
            return torch.cat([tried if i == middle else part(run) for i, run in enumerate(runs)])
    return torch.cat([whole(some) for some in corners.split(few)])


def _part(model: nn.Module, x: Tensor, asked: Asked, windows: Windows, fill: float) -> Scores | None:
    """How to work out only what a window changes; None where the network's steps cannot be known."""
    if torch.finfo(x.dtype).eps > torch.finfo(torch.float32).eps or (steps := program(model)) is None:
        return None
    only = narrowed(steps, int(asked.targets))
    targets = torch.zeros_like(asked.targets) if only else asked.targets
    try:
        of_image = known(widened(folded(steps)), x)
    except FAILURES:
        return None

    def part(corners: Tensor) -> Tensor:
        out = changed(of_image, _box(x, windows, corners, fill))
        return answered(model, out, targets.expand(len(corners))).of

    return part


def _tried(part: Scores, corners: Tensor, whole: Scores, top: Tensor) -> Tensor | None:
    """What it gives for these windows; None where it fails, or does not give for the one in their middle what a whole
    run gives (what is far from the largest score is told apart no better).
    """
    try:
        found = part(corners)
    except FAILURES:
        return None
    middle = len(corners) // 2
    pair = [torch.stack([score, top]) for score in (found[middle], whole(corners[middle][None])[0])]
    return found if near(*pair) else None


def _box(x: Tensor, windows: Windows, corners: Tensor, fill: float) -> Box:
    """What covering changes in copies of an image, each in its window; at the edges, with what is beside the window."""
    starts, covered = [], []
    for corner, side, size in zip(corners.unbind(1), windows.image, windows.size, strict=True):
        starts.append(corner.clamp(max=side - size))
        covered.append(starts[-1][:, None] + torch.arange(size, device=x.device))
    rows, columns = covered
    there = (rows >= corners[:, :1])[:, :, None] & (columns >= corners[:, 1:])[:, None]
    beside = x[0].movedim(0, -1)[rows[:, :, None], columns[:, None]].movedim(-1, 1)
    return Box(beside.masked_fill(there[:, None], fill), *starts)
