"""Style transfer: a photo painted as another picture is, by the features of a network that tells things apart (Gatys,
Ecker & Bethge 2015, arXiv 1508.06576).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from striate.blueprint import CannotMake
from striate.data.preprocessing import Preprocessing
from striate.visualize.images import rule_of
from striate.visualize.imagine.ascent import SIDE, imagine
from striate.visualize.imagine.objectives import content, style, variation
from striate.visualize.units import map_layer
from striate.visualize.watching import as_far_as, known, layers, undisturbed, watched

FINE = 8  # content is taken from the last layer whose cells are at most so many pixels apart


@torch.inference_mode(False)
def restyle(
    model: nn.Module,
    photo: Tensor,
    painting: Tensor,
    *,
    contents: str | None = None,
    styles: Sequence[str] | None = None,
    styled: float = 4.0,
    smooth: float = 0.5,
    steps: int = 200,
    lr: float = 0.1,
    seed: int = 0,
    rule: Preprocessing | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """The photo with the painting's style, both uint8 C×H×W of any size: uint8 C×H×W, as large as the photo.

    From the photo on, an image is sought whose values in the layer `contents` are the photo's (equation 1), whose Gram
    matrices in the layers `styles` are the painting's (equations 3 to 5), each layer counting alike, `styled` times as
    much as the content, and whose neighbouring pixels are alike (`smooth`). The first two are relative to what is
    wanted, so that the weights mean the same in any network. Without names: styles from the last layer of each grid up
    to the one that `map_layer` chooses, content from the last of them that is not too coarse. `tick` is told of steps
    done. Raises NotFound, CannotTrain, CannotMake, Refusal.
    """
    rule = rule or rule_of(model)
    for what, picture in (("photo", photo), ("painting", painting)):
        if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] != rule.channels:
            raise CannotMake(
                f"Cannot restyle: the {what} is {picture.dtype} {'×'.join(map(str, picture.shape))}; uint8 "
                f"{rule.channels}×H×W is wanted."
            )
        if not 16 <= min(picture.shape[1:]) <= max(picture.shape[1:]) <= SIDE:
            raise CannotMake(
                f"Cannot restyle: the {what} is {picture.shape[1]}×{picture.shape[2]}.",
                ways=f"Sides of 16 to {SIDE:,}.",
            )
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    read = [rule.normalise(picture[None], like.device).to(like) for picture in (photo, painting)]
    if contents is None or styles is None:
        found = by_grid(model, torch.zeros(1, *rule.volume).to(like))  # at a photo's size its head might not run
        fine = [name for name, cell in found.items() if cell <= FINE] or [*found][:1]
        contents, styles = contents or fine[-1], styles or [*found]
    with torch.no_grad(), undisturbed(model):
        with as_far_as(model, [contents]) as run:
            wanted = content(contents, run(read[0])[contents])
        with as_far_as(model, styles) as run:
            for name, value in run(read[1]).items():
                wanted += styled / len(styles) * style(name, value)
    made = imagine(
        model, wanted + smooth * variation(), steps=steps, lr=lr, seed=seed, start=photo[None] / 255, rule=rule,
        changes=(), tick=tick,
    )  # fmt: skip
    return (made.images[0] * 255).round().to(torch.uint8)


def by_grid(model: nn.Module, x: Tensor) -> dict[str, float]:
    """The last layer of each grid up to that which `map_layer` chooses, and how many pixels its cells are apart: fine
    to coarse.
    """
    last = known(model, map_layer(model, x))
    with torch.no_grad(), undisturbed(model), watched(model, [known(model, name) for name in layers(model)]) as ran:
        model(x)
    grids: dict[tuple[int, ...], str] = {}
    for name, value in ran.items():
        if value.ndim == 4:
            grids[tuple(value.shape[2:])] = name
        if name == last:
            break
    return {name: x.shape[2] / grid[0] for grid, name in grids.items() if max(grid) > 1}
