"""Several methods over one photo, to be compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.data.drawn import INK, ORANGE
from striate.visualize import figures
from striate.visualize.attribution import METHODS, Heat
from striate.visualize.where import HOW, Trust, called

ACROSS = 3
TOP = 0.995  # of a map's cells are within its scale: a few very large ones would leave the rest dark
BARS = (("0: nothing", "1: its most"), ("−1: against the class", "0: nothing", "1: for it"))
SCALED = f"Each map has a scale of its own: 1 is what only {1 - TOP:.1%} of its cells exceed."


def draw_attribution(
    pixels: Tensor,
    heats: Sequence[Heat],
    classes: Sequence[str] = (),
    index: int = 0,
    trusts: Sequence[Trust | None] = (),
) -> bytes:
    """A PNG: one image, uint8 C×H×W, and over it what each of the heats has for image `index`, each in its own size of
    numbers; below it what these mean, and how it stood its tests where it was tried (`where.tried`).
    """
    if not heats:
        raise Refusal("Cannot draw attribution: no map is given.", ways="attribution.attribute makes one.")
    across = min(ACROSS, 1 + len(heats))
    down, inch = -(-(len(heats) + 1) // across), figures.WIDE / across
    tall = 0.95 * inch * pixels.shape[1] / pixels.shape[2] + (0.7 if any(trusts) else 0.42)
    bars = {bool((heat.values[index] < 0).any()) for heat in heats}
    figure = figures.canvas(figures.WIDE, down * tall + 0.35 * len(bars), _said(heats[0], classes, index))
    axes = figure.subplots(down, across, squeeze=False)
    figures.image(axes.flat[0], pixels, "The image")
    scales = {}
    for place, heat, trust in zip(axes.flat[1:], heats, [*trusts, *[None] * len(heats)], strict=False):
        signed = bool((heat.values[index] < 0).any())
        scales[signed] = figures.heat(place, within(heat.values[index]), pixels)
        figures.titled(place, figures.fitted(called(heat.method), inch, bold=True, lines=1), bold=True)
        tests = [(line, ORANGE if failed else INK) for line, failed in (trust.brief() if trust else ())]
        figures.lined(place, [(METHODS[heat.method].meaning, INK), *tests])
    for place in axes.flat[len(heats) + 1 :]:
        place.axis("off")
    for signed, drawn in sorted(scales.items()):
        figures.shares(figure, drawn, axes, BARS[signed])
    figures.below(figure, f"{SCALED} In brackets: by chance. {HOW}" if any(trusts) else SCALED)
    return figures.png(figure)


def _said(heat: Heat, classes: Sequence[str], index: int) -> str:
    which = int(heat.targets[index])
    return f"{classes[which] if classes else f'class {which}'}, {float(heat.shares[index]):.0%}"


def within(values: Tensor) -> Tensor:
    """A map as shares of its largest, -1 to 1, but for the few beyond the scale, which are cut off."""
    magnitudes = values.abs().flatten()
    top = magnitudes.sort().values[round(TOP * (len(magnitudes) - 1))]
    top = top if top > 0 else magnitudes.max()
    return (values / (top if top > 0 else torch.ones(()))).clamp(-1, 1)
