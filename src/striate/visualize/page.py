"""One page for one image: what the network takes it for, where it looks and whether that can be trusted, which channels
decide and what they see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal, Volume
from striate.blueprint.said import visible
from striate.judging.trained import metadata_of
from striate.visualize.activations import Maps, maps
from striate.visualize.attribution import Target, attribute
from striate.visualize.attribution.asked import ask, asking, numbered
from striate.visualize.field import Sight, sight
from striate.visualize.images import Seen
from striate.visualize.units import Unit, map_layer
from striate.visualize.watching import known
from striate.visualize.where import Where, tried, where

TOP = 5  # classes
STRONGEST = 5  # channels
LOOKED: tuple[tuple[str, bool, Mapping[str, Any]], ...] = (  # method, whether of the runner-up, its options
    ("grad-cam", False, {}),
    ("grad-cam", True, {}),
    ("smooth-grad", False, {"samples": 10}),
    ("occlusion", False, {}),
)
Tick = Callable[[int], None]


class Page(NamedTuple):
    """What `model` sees in `image`: its most probable classes with their `shares`; maps of where it looks; the layer
    that decides, with the strongest of its channels in that image; what the most active cell of the strongest sees.
    """

    image: str
    model: str
    volume: Volume
    pixels: Tensor
    best: tuple[str, ...]
    shares: tuple[float, ...]
    maps: tuple[Where, ...]
    left_out: tuple[str, ...]
    strongest: Maps | None
    sight: Sight | None

    @property
    def channels(self) -> tuple[int, ...]:
        return () if self.strongest is None else tuple(self.strongest.order[0, :STRONGEST].tolist())

    def told(self) -> str:
        """The page in a few lines."""
        wide = max(map(len, self.best))
        lines = [f"{self.image}, as {self.model} reads it ({self.volume}):"]
        for name, share in zip(self.best, self.shares, strict=True):
            lines.append(f"  {name:{wide}}  {share:7.2%}")
        lines.append("Where it looks:")
        for one in self.maps:
            title, *tests = f"{one.title}: {one.told()}", *one.lines()[1:]
            lines += [f"  {title}", *(f"    {test}" for test in tests)]
        lines += [f"  {why}" for why in self.left_out]
        if self.strongest is not None:
            lines.append(f"Strongest channels of {self.strongest.layer}: {', '.join(map(str, self.channels))}")
        if self.sight is not None:
            lines.append(self.sight.told())
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        classes = [{"label": n, "probability": round(p, 6)} for n, p in zip(self.best, self.shares, strict=True)]
        found: dict[str, Any] = {"classes": classes, "maps": [one.to_json() for one in self.maps]}
        found["left_out"] = [*self.left_out]
        if self.strongest is not None:
            found |= {"layer": self.strongest.layer, "channels": [*self.channels]}
        if self.sight is not None:
            found["field"] = {"unit": str(self.sight.unit), "rows": self.sight.rows, "columns": self.sight.columns}
        return found


def page(
    model: nn.Module,
    seen: Seen,
    image: str,
    name: str,
    target: Target = None,
    layer: str | None = None,
    tick: Tick = lambda done: None,
) -> Page:
    """Look at one image, 1×C×H×W as `images.seen` gives it. With a `target` the maps are of that class, and of the most
    probable other one; `layer` is what Grad-CAM and the channels look at (the last with a map where none is named).
    `tick` is told of `steps()` steps. What one network does not allow (no map, no gradient) is left out, with its
    reason; raises Refusal where the image cannot be answered at all.
    """
    x = seen.x[:1]
    if layer:
        known(model, layer)  # a slip is told now
    with asking(model, x) as asked, torch.no_grad():
        shares = ask(model, asked, numbered(model, target, 1)).scores.softmax(1)[0].cpu()
    order = shares.argsort(descending=True, stable=True).tolist()
    first = order[0] if target is None else int(numbered(model, target, 1)[0])  # type: ignore[index]
    second = next((i for i in order if i != first), None)
    tick(1)
    found, left_out = [], []
    for done, (method, runner_up, options) in zip(range(2, steps(), 2), LOOKED, strict=True):
        which = second if runner_up else first
        if which is not None:
            more = {**options, "layer": layer} if layer and method == "grad-cam" else options
            try:
                heat = attribute(model, x, method, which, **more)
                tick(done)
                found.append(where(heat, class_name(model, which), tried(model, x, heat, more)))
            except Refusal as refusal:
                left_out.append(refusal.fact)
        tick(done + 1)
    strongest = at = None
    try:
        [strongest] = maps(model, x, [layer or map_layer(model, x)])
        at = sight(model, _most_active(strongest), Volume(*x.shape[1:]))
    except Refusal as refusal:
        left_out.append(refusal.fact)
    tick(steps())
    best = order[:TOP]
    chosen = tuple(class_name(model, i) for i in best), tuple(shares[i].item() for i in best)
    volume = Volume(*x.shape[1:])
    reasons = tuple(dict.fromkeys(left_out))
    return Page(image, name, volume, seen.pixels[0], *chosen, tuple(found), reasons, strongest, at)


def steps() -> int:
    """How many steps a page takes."""
    return 2 * len(LOOKED) + 2


def class_name(model: nn.Module, number: int) -> str:
    """What the model's file calls a class, to be shown; its number where it has no names."""
    names = metadata_of(model).get("classes") or ()
    return visible(names[number]) if number < len(names) else f"class {number}"


def _most_active(found: Maps) -> Unit:
    channel = int(found.order[0, 0])
    grid = found.values[0, channel]
    row, column = divmod(int(grid.argmax()), grid.shape[1])
    return Unit(found.layer, channel, (row, column))
