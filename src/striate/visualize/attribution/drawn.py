"""Several methods over one photo, to be compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.data.drawn import INK, ORANGE
from striate.visualize import figures
from striate.visualize.attribution import METHODS, Heat

ACROSS = 3
TOP = 0.995  # of a map's cells are within its scale: a few very large ones would leave the rest dark


def draw_attribution(
    pixels: Tensor, heats: Sequence[Heat], classes: Sequence[str] = (), index: int = 0, marked: Collection[str] = ()
) -> bytes:
    """A PNG: one image, uint8 C×H×W, and over it what each of the heats has for image `index`, each in its own size of
    numbers. `marked` are methods whose maps do not change with random weights (`trust.randomised`).
    """
    if not heats:
        raise Refusal("Cannot draw attribution: no map is given.", ways="attribution.attribute makes one.")
    down = -(-(len(heats) + 1) // ACROSS)
    wide = figures.WIDE / ACROSS
    figure = figures.canvas(figures.WIDE, down * (wide * pixels.shape[1] / pixels.shape[2] + 0.42) + 0.75)
    figure.suptitle(_said(heats[0], classes, index), color=INK, fontweight="bold", fontsize=10, parse_math=False)
    axes = figure.subplots(down, ACROSS, squeeze=False)
    figures.image(axes.flat[0], pixels, "the image\n")
    scales = {}
    for place, heat in zip(axes.flat[1:], heats, strict=False):
        signed = bool((heat.values[index] < 0).any())
        scales[signed] = figures.heat(place, within(heat.values[index]), pixels)
        place.set_title(f"{heat.method}\n", color=INK, fontsize=8)
        note = "the same with random weights" if heat.method in marked else METHODS[heat.method].meaning
        place.text(
            0.5, 1.025, note, transform=place.transAxes, ha="center", fontsize=6.5,
            color=ORANGE if heat.method in marked else INK,
        )  # fmt: skip
    for place in axes.flat[len(heats) + 1 :]:
        place.axis("off")
    for signed, drawn in sorted(scales.items()):
        bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, aspect=40, pad=0.01)
        bar.set_ticks([-1, 0, 1] if signed else [0, 1])
        bar.ax.set_xticklabels(["against it", "nothing", "for the class"] if signed else ["nothing", "most"])
        bar.ax.tick_params(labelsize=7, colors=INK)
        if bar.solids is not None:
            bar.solids.set_alpha(1)
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
