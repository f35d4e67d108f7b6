"""Whether a map of attribution says anything: of the answer (do the places it marks carry it?), of where things are
(are they in their boxes?), of what was learnt (is it another map once the weights are random?).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.visualize.attribution import Heat, attribute
from striate.visualize.attribution.asked import Tick, ask, asking, at_a_time
from striate.visualize.ranks import spearman
from striate.visualize.watching import open_to_hooks

STEPS, RANDOM, STAGES = 32, 3, 8
BLUR = 5.0  # pixels, the deviation that nothing is recognised after
TOP = 0.99  # of a map's cells are told apart by structural similarity
TOLERANCE = 15  # pixels around a box
SAME = 0.5  # the mean of rank correlation and structural similarity: from there on a map is much the same


class Curves(NamedTuple):
    """The probability of each of N images' classes while pixels are deleted, or inserted, those first that a map finds
    most important: float32 N×steps+1, at these `shares` of all pixels; and the mean of the same by maps of chance.
    """

    shares: Tensor
    deletion: Tensor
    insertion: Tensor
    random_deletion: Tensor
    random_insertion: Tensor

    @property
    def areas(self) -> dict[str, Tensor]:
        """Below each curve, in 0..1, N. A good map's deletion has little, its insertion much."""
        return {
            name: torch.trapezoid(curve, self.shares) for name, curve in zip(self._fields[1:], self[1:], strict=True)
        }


def curves(
    model: nn.Module,
    x: Tensor,
    heat: Heat,
    *,
    steps: int = STEPS,
    random: int = RANDOM,
    fill: float = 0.0,
    seed: int = 0,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Curves:
    """Deletion to `fill`, and insertion into the blurred image (Petsiuk, Das and Saenko 2018, arXiv 1806.07421, section
    4), by a heat's values, and by `random` maps of chance: the same map moved elsewhere, as rough or as smooth as it
    is. Where a map does not say which of two pixels comes first, chance does. `tick` is told of images.
    """
    if heat.values.shape != (len(x), *x.shape[2:]):
        raise Refusal(f"Cannot try a map of {_by(heat.values)} on images of {_by(x)}.", ways="The map's own images.")
    if steps < 1 or random < 1:
        raise Refusal(f"Cannot try {steps} steps and {random} maps of chance.", ways=f"{STEPS} and {RANDOM} are usual.")
    chance = torch.Generator().manual_seed(seed)
    shares = torch.linspace(0, 1, steps + 1)
    found: list[list[Tensor]] = []
    with asking(model, x) as images, torch.no_grad():
        for done, (image, values, target) in enumerate(zip(images, heat.values, heat.targets, strict=True), 1):
            emptied, blurred = torch.full_like(image, fill), blur(image[None])[0]
            orders = [_order(v, chance) for v in (values, *(_elsewhere(values, chance) for _ in range(random)))]
            ways = [_Way(before, after, o) for before, after in ((image, emptied), (blurred, image)) for o in orders]
            deleted, inserted = _followed(model, ways, int(target), shares, at_once).chunk(2)
            found.append([deleted[0], inserted[0], deleted[1:].mean(0), inserted[1:].mean(0)])
            tick(done)
    return Curves(shares, *(torch.stack(column) for column in zip(*found, strict=True)))


def _by(x: Tensor) -> str:
    return "×".join(map(str, x.shape))


def _elsewhere(values: Tensor, chance: torch.Generator) -> Tensor:
    """A map H×W turned over or not along either side, and moved along both; what leaves it comes in again opposite."""
    by = [int(torch.randint(side, (), generator=chance)) for side in values.shape]
    over = [side for side in (0, 1) if torch.rand((), generator=chance) < 0.5]
    return values.flip(over).roll(by, (0, 1))


def _order(values: Tensor, chance: torch.Generator) -> Tensor:
    """The place of each cell in the order of importance, the most important 0: int64 H×W."""
    shuffled = torch.randperm(values.numel(), generator=chance)
    falling = values.flatten()[shuffled].argsort(descending=True, stable=True)
    places = torch.empty_like(shuffled)
    places[shuffled[falling]] = torch.arange(len(shuffled))
    return places.view(values.shape)


class _Way(NamedTuple):
    """From one image, C×H×W, to another, pixel by pixel, the first in order first."""

    before: Tensor
    after: Tensor
    order: Tensor


def _followed(model: nn.Module, ways: Sequence[_Way], target: int, shares: Tensor, at_once: int | None) -> Tensor:
    """The class's probability along several ways, at these shares of the pixels: float32 ways×shares. Images that begin
    or end several ways are asked once.
    """
    whole = ways[0].order.numel()
    ends = {id(way.before): (way, 0) for way in ways} | {id(way.after): (way, whole) for way in ways}
    within = [(way, int(count)) for way in ways for count in (shares[1:-1] * whole).round().tolist()]
    asked, few, found = [*ends.values(), *within], at_a_time(whole, at_once), list[Tensor]()
    for start in range(0, len(asked), few):
        images = torch.stack([_changed(way, count) for way, count in asked[start : start + few]])
        scores = ask(model, images.contiguous(memory_format=torch.channels_last), None).scores
        found.append(scores.softmax(1)[:, target].cpu())
    shared, between = torch.cat(found).split([len(ends), len(within)])
    at = dict(zip(ends, shared, strict=True))
    first, last = (torch.stack([at[id(getattr(way, end))] for way in ways])[:, None] for end in ("before", "after"))
    return torch.cat([first, between.view(len(ways), len(shares) - 2), last], 1)


def _changed(way: _Way, count: int) -> Tensor:
    return torch.where((way.order < count).to(way.before.device), way.after, way.before)


def blur(x: Tensor, deviation: float = BLUR) -> Tensor:
    """N×C×H×W through a Gauss filter; beyond the edge the edge goes on."""
    reach = min(round(2 * deviation), *(side - 1 for side in x.shape[2:]))
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / deviation) ** 2).to(x.dtype)
    bell = (bell / bell.sum()).expand(x.shape[1], 1, 1, -1)
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, bell, groups=x.shape[1]), bell.transpose(2, 3), groups=x.shape[1])


def pointing(values: Tensor, boxes: Sequence[Tensor], tolerance: int = TOLERANCE) -> Tensor:
    """Whether each map's highest point, of N×H×W, lies in a box of its class or at most `tolerance` pixels beside one
    (the pointing game: Zhang et al. 2016, arXiv 1608.00507, section 4.1): bool N. `boxes` has K×4 for each map, left,
    top, right, bottom in its pixels. A map of one value points nowhere, and misses. The mean is the accuracy.
    """
    if len(boxes) != len(values):
        raise Refusal(f"Cannot point: {counted(len(values), 'map')}, but boxes of {counted(len(boxes), 'image')}.")
    height, width = values.shape[1:]
    hits = []
    for i, (value, around) in enumerate(zip(values, boxes, strict=True)):
        left, top, right, bottom = torch.as_tensor(around, dtype=torch.float64).view(-1, 4).unbind(1)
        fits = (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height) & (left < right) & (top < bottom)
        if not len(fits) or not fits.all():
            which = (
                f"box {int((~fits).nonzero()[0])} is empty or beyond {width}×{height}" if len(fits) else "it has no box"
            )
            raise Refusal(
                f"Cannot point in image {i}: {which}.", ways="left < right, top < bottom, in the map's pixels."
            )
        row, column = divmod(int(value.argmax()), width)
        near = (left - tolerance <= column) & (column < right + tolerance)
        near &= (top - tolerance <= row) & (row < bottom + tolerance)
        hits.append(bool(near.any() and value.max() > value.min()))
    return torch.tensor(hits)


class Randomised(NamedTuple):
    """How alike maps of magnitudes stay while layers are given random weights, from the classes down: `layers`, how
    many are random at each stage and the last of them; `rank`, float32 stages×N, Spearman's correlation with the map of
    the trained network; `ssim`, the structural similarity, likewise. NaN where the random network has no map: its score
    does not follow the image.
    """

    method: str
    layers: tuple[tuple[int, str], ...]
    rank: Tensor
    ssim: Tensor

    @property
    def half(self) -> int:
        """The first stage with the upper half of the layers random: what tells classes apart is gone."""
        return next(i for i, (count, _) in enumerate(self.layers) if 2 * count >= self.layers[-1][0])

    @property
    def alike(self) -> Tensor:
        """By stage, the mean of both measures over the images whose class still has a map: float32 stages."""
        return ((self.rank + self.ssim) / 2).nanmean(1)

    @property
    def unchanged(self) -> bool:
        """Whether the map is much the same without the upper half of what was learnt: `alike` is a half or more. Such a
        map shows the image, not what the network makes of it. The paper draws no line; this one is ours, and steadier
        with several images than with one.
        """
        return bool((self.alike[self.half :] >= SAME).any())


def randomised(
    model: nn.Module,
    x: Tensor,
    method: str = "grad-cam",
    heat: Heat | None = None,
    *,
    stages: int = STAGES,
    seed: int = 0,
    tick: Tick = lambda done: None,
    **options: Any,
) -> Randomised:
    """The map by `method` of the same classes, while the network's layers get random weights one after another, from
    the last that runs to the first (Adebayo et al. 2018, arXiv 1810.03292, section 3, cascading). Weights come back
    bit for bit. `heat` is the trained network's map if it is there already; `tick` is told of stages.
    """
    if stages < 1:
        raise Refusal(f"Cannot randomise in {stages} stages.", ways=f"{STAGES} are usual.")
    heat = heat or attribute(model, x, method, **options)
    if heat.layer:
        options["layer"] = heat.layer
    options["target"] = heat.targets
    order = _from_the_top(model, x)
    chance = torch.Generator().manual_seed(seed)
    ends = sorted({round(len(order) * (i + 1) / stages) for i in range(stages)} - {0})
    ranks, alike, done = [], [], 0
    with _kept(model):
        for stage, end in enumerate(ends, 1):
            for _, module in order[done:end]:
                _redraw(module, chance)
            done = end
            values = attribute(model, x, method, **options).values.abs()
            none = torch.where(values.flatten(1).any(1), 0.0, torch.nan)
            ranks.append(spearman(values, heat.values.abs()) + none)
            alike.append(ssim(_scaled(values), _scaled(heat.values.abs())) + none)
            tick(stage)
    named = tuple((end, order[end - 1][0]) for end in ends)
    return Randomised(method, named, torch.stack(ranks), torch.stack(alike))


def _from_the_top(model: nn.Module, x: Tensor) -> list[tuple[str, nn.Module]]:
    """The modules with weights of their own, the last that runs first. Raises Refusal where there is none."""
    open_to_hooks(model)
    ran: dict[str, nn.Module] = {}
    hooks = [
        module.register_forward_hook(lambda module, _, __, name=name: ran.update({name: module}))
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    try:
        with asking(model, x[:1]) as first, torch.no_grad():
            model(first)
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise Refusal(f"Cannot randomise {type(model).__name__}: nothing in it has weights.")
    return [*ran.items()][::-1]


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Weights and buffers are afterwards what they were, bit for bit."""
    kept = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)


@torch.no_grad()
def _redraw(module: nn.Module, chance: torch.Generator) -> None:
    """Weights as He et al. 2015 begin with them (arXiv 1502.01852, equation 10), biases 0; norms that do nothing."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim < 2:
            parameter.fill_(0.0 if "bias" in name else 1.0)
        else:
            deviation = (2 / parameter[0].numel()) ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=chance) * deviation)
    for name, buffer in module.named_buffers(recurse=False):
        if name in ("running_mean", "running_var"):
            buffer.fill_(float(name == "running_var"))


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """The structural similarity of N maps of 0..1 with N others (Wang et al. 2004, IEEE TIP 13(4), section III.B, under
    a Gauss window of deviation 1.5): N, 1 where they are the same.
    """
    soft: Callable[[Tensor], Tensor] = lambda maps: blur(maps[:, None], 1.5)[:, 0]  # noqa: E731
    a, b = soft(one), soft(other)
    together, aa, bb = soft(one * other) - a * b, soft(one * one) - a * a, soft(other * other) - b * b
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * a * b + c1) * (2 * together + c2) / ((a * a + b * b + c1) * (aa + bb + c2))
    return alike.mean((1, 2))


def _scaled(maps: Tensor) -> Tensor:
    """Magnitudes N×H×W as shares of nearly their largest: a few very large ones leave the rest as it is."""
    top = maps.flatten(1).sort().values[:, round(TOP * (maps[0].numel() - 1))].view(-1, 1, 1)
    top = torch.where(top > 0, top, maps.amax((1, 2), keepdim=True)).clamp(min=1e-30)
    return (maps / top).clamp(max=1)
