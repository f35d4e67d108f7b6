"""Class activation maps: where a layer's channels that a class listens to are active. On the layer's own grid
(`cells`), and enlarged to the image's size (`values`), bilinearly as the papers do.

The layer is the last with a map where none is named (`map_layer`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import Dropout, GlobalPool, Identity, Refusal
from striate.nn.build import Network
from striate.nn.modules import FlatLinear
from striate.visualize.attribution.asked import Asked, Heat, Target, Tick, answered, asking, each, numbered, slope
from striate.visualize.attribution.steps import plain
from striate.visualize.pooled import POOLED, pooling, pools
from striate.visualize.units import POOLS, channels_first, map_layer
from striate.visualize.watching import OUT, known, layers, value_of, watched

NEAR = 1e-3  # of the largest: how far apart slopes are that are the same but for rounding
MAPPED = "A layer with channels over a grid of cells; where none is named the last of them is taken."
Weigh = Callable[[Tensor, Tensor], Tensor]


def grad_cam(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    layer: str | None = None,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """The layer's channels, weighed by the mean of the score's gradient over each, what is positive of the sum
    (Selvaraju et al. 2016, arXiv 1610.02391, section 3). Raises NotFound for an unknown layer, Refusal for one without
    a map or a gradient.
    """

    def weigh(value: Tensor, slopes: Tensor) -> Tensor:
        return _sum(slopes.mean((2, 3), keepdim=True), value).relu()

    return _mapped("grad-cam", model, x, target, layer, weigh, at_once, tick)


def grad_cam_plus_plus(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    layer: str | None = None,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """As Grad-CAM, a channel's weight being the sum of its positive gradients, each by its share in the class's
    evidence, so that several objects of the class all show (Chattopadhay et al. 2017, arXiv 1710.11063, equations 10
    and 19, of exp(score), whose own size is left out as it is the same for the whole map).
    """

    def weigh(value: Tensor, slopes: Tensor) -> Tensor:
        squares = slopes**2
        below = 2 * squares + value.sum((2, 3), keepdim=True) * squares * slopes
        shares = torch.where(slopes != 0, squares / torch.where(below != 0, below, 1), 0)
        return _sum(_total(shares * slopes.relu(), value), value).relu()

    return _mapped("grad-cam++", model, x, target, layer, weigh, at_once, tick)


def cam(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    layer: str | None = None,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """The layer's channels, weighed as the class's score weighs their means: the map whose mean is the score, but for
    the bias (Zhou et al. 2015, arXiv 1512.04150, section 2). Signed.

    Only where nothing but a global mean and a linear layer, or only the mean (NiN, SqueezeNet), lies between the layer
    and the scores. This is tried, not guessed from names: the slopes are the same in all cells, and elsewhere too.
    Where no layer is named, and that is not so of the last with a map, it is tried of what the last global pooling
    reads. Raises Refusal where they are not.
    """
    layer = _under_the_head(model, x, target, layer)

    def weigh(value: Tensor, slopes: Tensor) -> Tensor:
        return _sum(_total(slopes, value), value)

    return _mapped("cam", model, x, target, layer, weigh, at_once, tick)


def _under_the_head(model: nn.Module, x: Tensor, target: Target, layer: str | None) -> str:
    found = layer or _last_map(model, x)
    try:
        _check_head(model, x, target, found)
    except Refusal:
        with asking(model, x[:1]) as first:
            if layer or isinstance(model, Network) or not pools(model, first.clone()):
                raise
        with suppress(Refusal):
            _check_head(model, x, target, POOLED)
            return POOLED
        raise
    return found


def _total(slopes: Tensor, value: Tensor) -> Tensor:
    """Over the cells, of slopes that may be the same in all of them (N×C×1×1)."""
    return slopes.mean((2, 3), keepdim=True) * value[0, 0].numel()


def _sum(weights: Tensor, value: Tensor) -> Tensor:
    """Of the channels of N×C×h×w, by weights N×C×1×1: N×h×w."""
    return torch.bmm(weights.reshape(len(value), 1, -1), value.flatten(2)).view(len(value), *value.shape[2:])


def _mapped(
    method: str,
    model: nn.Module,
    x: Tensor,
    target: Target,
    layer: str | None,
    weigh: Weigh,
    at_once: int | None,
    tick: Tick,
) -> Heat:
    """`weigh` makes N×h×w of the layer's value N×C×h×w and the score's slopes there, the same or N×C×1×1."""

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        nonlocal layer
        layer = layer or map_layer(model, x[:1].clone())  # its first step may be in place
        value, asked, slopes = _at(model, x, targets, layer)
        cells = weigh(value.detach().float(), slopes.float())
        values = F.interpolate(cells[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        return asked.heat(method, values, cells=cells, layer=layer)

    return each(model, x, target, look, at_once, tick)


def _at(
    model: nn.Module, x: Tensor, targets: Tensor | None, layer: str, instead: float | None = None
) -> tuple[Tensor, Asked, Tensor]:
    """A layer's value N×C×h×w, what was asked, and the slopes at the layer, N×C×1×1 where they are known to be the same
    in all cells. Nothing is recorded before it; x may be written over. `instead`: go on with noise of that many
    deviations in its place.
    """
    inner, kept = POOLED if layer == POOLED else known(model, layer), {}

    def begin(name: str, value: Tensor) -> Tensor:
        given, value = value, channels_first(model, value.detach())
        if instead is not None:
            noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).to(value)
            value = noise * value.std() * instead
        kept[name] = value.requires_grad_()
        on = kept[name] if value.shape == given.shape else kept[name].permute(0, 2, 3, 1)
        return on.clone()  # what comes next may be done in place

    follow = None if instead is not None else _of_means(model, inner)
    if follow:  # nothing has to be gone back through
        with torch.no_grad(), watched(model, [inner], lambda _, value: value) as kept:
            asked = answered(model, model(x), targets)
    else:
        with pooling(begin) if layer == POOLED else watched(model, [inner], begin):
            asked = answered(model, model(x), targets)
    if inner == OUT and inner not in kept:  # the answer of a network that has no layer of that name
        raise Refusal(f"Cannot see where {layer} is active: it is the classes' scores, no map.", ways=MAPPED)
    value = value_of(kept, inner, layer)
    if value.ndim != 4 or value.shape[2] * value.shape[3] == 1:
        raise Refusal(
            f"Cannot see where {layer} is active: it gives {'×'.join(map(str, value.shape[1:]))}, no map.",
            ways=MAPPED,
        )
    if follow:
        return value, asked, (follow(asked.targets) / value[0, 0].numel())[..., None, None]
    return value, asked, slope(model, asked, x, value, layer)


def _of_means(model: nn.Module, inner: str) -> Callable[[Tensor], Tensor] | None:
    """How the scores of N classes follow the means of a layer's channels, N×C, where in a network of ours nothing but
    those means and at most a linear layer lies between it and the scores; else None.
    """
    nodes = model.graph.nodes if isinstance(model, Network) and len(model.graph.taps) == 1 else ()
    after = nodes[next((i for i, node in enumerate(nodes, 1) if node.name == inner), len(nodes)) :]
    chain = all(
        node.inputs == (before,) for node, before in zip(after, [inner, *(n.name for n in after)], strict=False)
    )
    doing = [node for node in after if not isinstance(node.op, Dropout | Identity)]
    if not chain or [node.op for node in doing[:1]] != [GlobalPool()]:
        return None
    modules = [model.get_submodule(node.twin or node.name) for node in after]
    last = modules[-1] if len(doing) == 2 else None
    if not all(map(plain, modules)) or len(doing) > 2 or not (last is None or type(last) is FlatLinear):
        return None
    if last is None:
        channels = doing[0].output.channels
        return lambda targets: torch.zeros(len(targets), channels).to(targets.device).scatter_(1, targets[:, None], 1)
    return lambda targets: last.weight.detach()[targets]


def _last_map(model: nn.Module, x: Tensor) -> str:
    """The last layer with a map, be it of the classes' scores, no pool. Raises Refusal."""
    ran: list[str] = []
    types = dict(model.named_modules())

    def keep(name: str, value: Tensor) -> Tensor:
        module = types.get(_module(model, name))
        if value.ndim == 4 and value.shape[2] * value.shape[3] > 1 and not isinstance(module, POOLS):
            ran.append(name)
        return value

    with asking(model, x[:1]) as first, torch.no_grad(), watched(model, [n for n in layers(model) if n != OUT], keep):
        model(first.clone())
    if not ran:
        raise Refusal("Cannot choose a layer to look at: none gives a map, channels over a grid of cells.")
    return ran[-1]


def _module(model: nn.Module, name: str) -> str:
    return (model.graph[name].twin or name) if isinstance(model, Network) and name in model.graph else name


def _check_head(model: nn.Module, x: Tensor, target: Target, layer: str) -> None:
    """Raises Refusal where the score is not linear in the layer's means."""

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        _, asked, here = _at(model, x.clone(), targets, layer)
        _, _, there = _at(model, x, asked.targets, layer, instead=1.0)
        most = here.abs().max()
        uneven, bent = (here - here.mean((2, 3), keepdim=True)).abs().max(), (here - there).abs().max()
        if not max(uneven, bent) <= NEAR * most:
            raise Refusal(
                f"Cannot map class activations at {layer}: more than a global mean and a linear layer lie between it "
                "and the scores.",
                f"The score's slopes there differ by {uneven / most:.0%} of the largest from cell to cell, and by "
                f"{bent / most:.0%} with other values in the layer.",
                'method="grad-cam" needs no such head.',
            )
        return asked.heat("cam", here.mean(1))

    classes = numbered(model, target, len(x))
    each(model, x[:1], None if classes is None else classes[:1], look)
