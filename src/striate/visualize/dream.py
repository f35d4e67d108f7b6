"""DeepDream: a photo changed towards what a layer sees in it (Mordvintsev, Olah & Tyka 2015, "Inceptionism")."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import CannotMake
from striate.data.preprocessing import Preprocessing
from striate.visualize.images import rule_of
from striate.visualize.imagine.ascent import SIDE, looking, uphill
from striate.visualize.imagine.objectives import Objective, objective
from striate.visualize.units import map_layer

SMALLEST = 64  # the short side of an octave: on less most layers have no map left
JITTER = 32  # cells at most
STEP = 1.5 / 255  # the mean change of a pixel in a step


@torch.inference_mode(False)
def dream(
    model: nn.Module,
    photo: Tensor,
    wanted: str | Objective | None = None,
    *,
    octaves: int = 4,
    scale: float = 1.4,
    steps: int = 10,
    strength: float = 1.0,
    seed: int = 0,
    rule: Preprocessing | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """The photo, uint8 C×H×W, with more of what is wanted in it: uint8 C×H×W.

    By gradient ascent on the pixels, `steps` in each of `octaves` sizes from small to the photo's own, `scale` apart;
    what came about in one is carried to the next. Before each step the image is shifted at random (jitter); a step is
    its gradient over the gradient's mean size, times `strength`. Wanted is a whole layer unless told, that which
    `map_layer` chooses. `tick` is told of steps done. Raises NotFound, CannotRead, CannotTrain, CannotMake, Refusal.
    """
    rule = rule or rule_of(model)
    sizes = _octaves(photo, octaves, scale, steps, strength)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    draws, done = torch.Generator().manual_seed(seed), 0
    base = photo[None].to(like.device, torch.float32, copy=True) / 255
    base = base.expand(1, rule.channels, -1, -1) if len(photo) == 1 else base
    if wanted is None:
        wanted = map_layer(model, torch.zeros(1, *rule.volume, device=like.device, dtype=like.dtype))
    with looking(model, objective(wanted, model), rule, like, photo[0].numel(), framed=False) as looks:
        gained = torch.zeros_like(base[:, :, :1, :1])
        for size in sizes:
            octave = F.interpolate(base, size, mode="bilinear", antialias=True)
            image = (octave + F.interpolate(gained, size, mode="bilinear")).clamp(0, 1)
            for _ in range(steps):
                most = min(JITTER, min(size) // 4)
                down, across = torch.randint(-most, most + 1, (2,), generator=draws).tolist()
                image = image.roll((down, across), (2, 3)).detach().requires_grad_()
                gradient = uphill(looks, image, image, (done, steps * len(sizes)))
                step = STEP * strength * gradient / gradient.abs().mean().clamp(min=1e-12)
                image = (image.detach() + step).clamp(0, 1).roll((-down, -across), (2, 3))
                tick(done := done + 1)
            gained = image.detach() - octave
    return (image.detach()[0] * 255).round().to(torch.uint8).cpu()


def _octaves(photo: Tensor, octaves: int, scale: float, steps: int, strength: float) -> list[tuple[int, int]]:
    """Heights and widths, the photo's own last; none smaller than `SMALLEST` but that. Raises CannotMake."""
    if photo.dtype != torch.uint8 or photo.ndim != 3 or len(photo) not in (1, 3):
        raise CannotMake(
            f"Cannot dream on {photo.dtype} {'×'.join(map(str, photo.shape))}: a photo, uint8 C×H×W, is wanted."
        )
    height, width = photo.shape[1:]
    if not 8 <= min(height, width) <= max(height, width) <= SIDE:
        raise CannotMake(f"Cannot dream on a photo of {height}×{width}.", ways=f"Sides of 8 to {SIDE:,}.")
    if not (1 <= octaves <= 20 and 1 < scale <= 4 and 1 <= steps <= 1000 and 0 < strength <= 100):
        raise CannotMake(
            f"Cannot dream in {octaves} octaves {scale:g} apart, {steps} steps each, of strength {strength:g}.",
            ways="1 to 20 octaves, above 1 and to 4 apart, 1 to 1,000 steps, a strength above 0 and to 100.",
        )
    sizes = [(round(height / scale**i), round(width / scale**i)) for i in reversed(range(octaves))]
    return [size for size in sizes[:-1] if min(size) >= SMALLEST] + [(height, width)]
