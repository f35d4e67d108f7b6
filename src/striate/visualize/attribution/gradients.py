"""Attribution by gradients of the image: how a class's score follows each of its values.

All are functions of a model, images float N×C×H×W (normalised) and a class for all, one for each, or the network's own
(None); they give a `Heat` with `channels`, whose `values` are either the largest of the channels' magnitudes (slopes)
or the channels' sum (parts that add up). They raise Refusal where the network gives no gradient, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.judging.trained import like
from striate.visualize.attribution.asked import Asked, Heat, Target, Tick, answered, ask, at_a_time, each, slope
from striate.visualize.attribution.steps import FAILURES, folded, halves, near, ours, program

STEPS, SAMPLES, NOISE = 50, 50, 0.15
NEAR = 0.01  # of their length: how far apart slopes are that are the same but for ReLUs at the brink
Halves = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Any]]
RELUS = {  # how autograd calls what is a ReLU, and where that has its lower bound, which must be 0
    "ReluBackward0": None, "ThresholdBackward0": "_saved_threshold", "ClampMinBackward0": "_saved_min",
    "ClampBackward1": "_saved_min", "HardtanhBackward0": "_saved_min_val",
}  # fmt: skip
OPAQUE = ("CheckpointFunctionBackward", "CompiledFunctionBackward", "DifferentiableGraphBackward")


def gradient(
    model: nn.Module, x: Tensor, target: Target = None, *, at_once: int | None = None, tick: Tick = lambda done: None
) -> Heat:
    """The gradient of the score; values are the largest magnitude over colours (Simonyan, Vedaldi and Zisserman 2013,
    arXiv 1312.6034, section 3.1).
    """

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        asked, channels = _slopes(model, x, targets)
        return asked.heat("gradient", _largest(channels), channels=channels)

    return each(model, x, target, look, at_once, tick)


def input_x_gradient(
    model: nn.Module, x: Tensor, target: Target = None, *, at_once: int | None = None, tick: Tick = lambda done: None
) -> Heat:
    """The image times its gradient: of a linear network, each value's part of the score (Shrikumar et al. 2016, arXiv
    1605.01713, section 2.3). The image is what the network reads: 0 is the mean colour.
    """

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        asked, channels = _slopes(model, x, targets)
        channels = channels * x.detach()
        return asked.heat("input-x-gradient", channels.sum(1), channels=channels)

    return each(model, x, target, look, at_once, tick)


def guided_backprop(
    model: nn.Module, x: Tensor, target: Target = None, *, at_once: int | None = None, tick: Tick = lambda done: None
) -> Heat:
    """The gradient, of which every ReLU lets through only what is positive (Springenberg et al. 2014, arXiv 1412.6806,
    section 3.4).

    ReLUs are found in what autograd recorded, so modules, functions, in-place and reused ones are all guided, ReLU6
    among them. Raises Refusal where there is none, or where parts of the network hide what they do.
    """

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        asked = ask(model, x.requires_grad_(), targets)
        hooks = [node.register_prehook(_positive) for node in _relus(model, asked.scores)]
        try:
            channels = slope(model, asked, x, x)
        finally:
            for hook in hooks:
                hook.remove()
        return asked.heat("guided-backprop", _largest(channels), channels=channels)

    return each(model, x, target, look, at_once, tick)


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)


def _relus(model: nn.Module, scores: Tensor) -> list[Any]:
    """The ReLUs that scores came through, as autograd has them. Raises Refusal."""
    nodes = [*_recorded(scores)]
    if hidden := sorted({node.name() for node in nodes if node.name() in OPAQUE}):
        raise Refusal(
            f"Cannot guide {type(model).__name__}: {hidden[0].removesuffix('Backward')} hides what is inside it.",
            ways="Give the module itself: not compiled, scripted or checkpointed.",
        )
    found = [node for node in nodes if node.name() in RELUS and not getattr(node, RELUS[node.name()] or "", 0)]
    if nodes and not found:
        raise Refusal(
            f"Cannot guide {type(model).__name__}: it has no ReLU, guided or not the gradient is the same.",
            ways='method="gradient" is that.',
        )
    return found


def _recorded(scores: Tensor) -> Iterator[Any]:
    """Every step that autograd recorded on the way to scores."""
    seen, ahead = set[Any](), [scores.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [before for before, _ in node.next_functions]
            yield node


def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    baseline: Tensor | float = 0.0,
    steps: int = STEPS,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """Each value's part of score(x) - score(baseline): its difference from the baseline times the mean gradient on the
    straight way between them, by Gauss and Legendre's rule (Sundararajan, Taly and Yan 2017, arXiv 1703.01365, section
    3). `baseline` is 0, the mean colour of normalised images, another number, or C×H×W or N×C×H×W.

    `error` is what the parts' sum lacks of the difference: more `steps` make it less. `tick` is told of images.
    Where a ReLU or a pool is at the brink (cells that tie, in an even patch of sky), the gradient's side is a matter of
    rounding: two programs' maps are then some 0.1 to 1 % of their largest value apart, in float32.
    """
    if steps < 1:
        raise Refusal(f"Cannot integrate in {steps} steps.", ways=f"{STEPS} are usual.")
    points, shares = np.polynomial.legendre.leggauss(steps)
    like(model, x)  # whatever is no tensor is refused
    from_base = _from(baseline, x)
    done = 0
    taken: Halves | None = None

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        nonlocal done, taken
        base = from_base[done : done + len(x)].detach().to(x).contiguous(memory_format=torch.channels_last)
        done += len(x)
        if taken is None:
            asked, taken = _halves(model, x, targets)
        else:
            with torch.no_grad():
                asked = ask(model, x, targets)
        start, rest = taken
        begins = start(base.requires_grad_())
        origin = begins.detach().requires_grad_()
        with torch.no_grad():
            before = answered(model, rest(origin.clone()), asked.targets)
            there = start(x) - origin
        along = torch.as_tensor((points + 1) / 2, dtype=x.dtype, device=x.device)
        mean, few = torch.zeros_like(origin), at_a_time(x.shape[2] * x.shape[3], at_once)
        for at, share in zip(along.split(few), torch.as_tensor(shares / 2).to(along).split(few), strict=True):
            way = torch.addcmul(origin, at.view(-1, *[1] * (origin.ndim - 1)), there)
            now = answered(model, rest(way), asked.targets.expand(len(at)))
            mean += slope(model, now, x, origin, shares=share)
        channels = (x - base).detach() * torch.autograd.grad(begins, base, mean)[0]
        error = (channels.flatten(1).double().sum(1) - (asked.of - before.of)).float()
        return asked.heat("integrated-gradients", channels.sum(1), channels=channels, error=error)

    return each(model, x, target, look, 1, tick)


def _halves(model: nn.Module, x: Tensor, targets: Tensor | None) -> tuple[Asked, Halves]:
    """The scores of images, and the network in two halves: what it begins with, linear but for a constant, and the
    rest. On the straight way between two images what the first half gives goes a straight way as well, so that it is
    run, and run back, once for all steps. Where nobody can take the network apart, or the halves, tried on these
    images (what they give serves for others, too), give other scores or slopes, all of it is the rest.
    """
    whole: Halves = lambda x: x, model
    exact = torch.finfo(x.dtype).eps <= torch.finfo(torch.float32).eps
    asked, slopes = _known(model, x, targets) if ours(model) else _slopes(model, x, targets)
    if not exact or (steps := program(model)) is None:
        return asked, whole
    try:
        start, rest = (half.run for half in halves(folded(steps)))
        origin = x.detach().requires_grad_()
        again = answered(model, rest(start(origin).clone()), asked.targets)
        same = near(again.scores, asked.scores)
        if same and slopes is not None:
            same = bool((slope(model, again, x, origin) - slopes).norm() <= NEAR * slopes.norm())
    except (*FAILURES, Refusal):
        return asked, whole
    return asked, (start, rest) if same else whole


def _known(model: nn.Module, x: Tensor, targets: Tensor | None) -> tuple[Asked, None]:
    """As `_slopes`, where steps cannot differ in them."""
    with torch.no_grad():
        return ask(model, x, targets), None


def _from(baseline: Tensor | float, x: Tensor) -> Tensor:
    """N×C×H×W, of whatever stands for nothing. Raises Refusal."""
    base = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    try:
        return base.expand(x.shape)
    except RuntimeError:
        raise Refusal(
            f"Cannot start from a baseline of {'×'.join(map(str, base.shape))}: images are "
            f"{'×'.join(map(str, x.shape[1:]))}.",
            ways="A number, one image, or one for each.",
        ) from None


def smooth_grad(
    model: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    noise: float = NOISE,
    samples: int = SAMPLES,
    seed: int = 0,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
) -> Heat:
    """The mean gradient of `samples` noisy copies of each image (Smilkov et al. 2017, arXiv 1706.03825, section 2).
    `noise` is the deviation as a share of the image's range, 0.1 to 0.2 in the paper. The same `seed` gives the same
    map, whatever else is drawn.
    """
    if samples < 1 or noise < 0:
        raise Refusal(
            f"Cannot smooth over {samples} samples of noise {noise}.", ways=f"{SAMPLES} of {NOISE} are usual."
        )
    chance = torch.Generator().manual_seed(seed)

    def look(x: Tensor, targets: Tensor | None) -> Heat:
        with torch.no_grad():
            asked = ask(model, x, targets)
        few = at_a_time(x.shape[2] * x.shape[3], at_once)
        deviation = noise * (x.max() - x.min())
        total = torch.zeros_like(x)
        for start in range(0, samples, few):
            many = min(few, samples - start)
            drawn = torch.stack([torch.randn(x.shape[1:], generator=chance) for _ in range(many)])
            _, slopes = _slopes(model, x + deviation * drawn.to(x), asked.targets.expand(many))
            total += slopes.sum(0)
        channels = total / samples
        return asked.heat("smooth-grad", _largest(channels), channels=channels)

    return each(model, x, target, look, 1, tick)


def _slopes(model: nn.Module, x: Tensor, targets: Tensor | None) -> tuple[Asked, Tensor]:
    asked = ask(model, x.requires_grad_(), targets)
    return asked, slope(model, asked, x, x)


def _largest(channels: Tensor) -> Tensor:
    return channels.abs().amax(1)
