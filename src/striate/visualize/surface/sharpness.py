"""How sharp a minimum is, as figures: how far the loss rises nearby, and its largest curvature."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.visualize import figures
from striate.visualize.images import Tick, unheard
from striate.visualize.surface.directions import random_direction
from striate.visualize.surface.objective import Objective, loss_at, loss_of
from striate.visualize.surface.weights import Write, moving, vector
from striate.visualize.watching import undisturbed

RADIUS, STEPS, DIRECTIONS = 0.5, 5, 10
ITERATIONS, NEAR = 100, 1e-2


class Sharpness(NamedTuple):
    """`losses` float64 D×R: of D directions at each of `radii` float64 R, to both sides of the weights, whose own loss
    is `here`. `worst`: how much the largest is above `here`, as a share of 1 + `here`; so `average`, of the mean over
    directions at the largest radius.
    """

    losses: Tensor
    radii: Tensor
    here: float
    worst: float
    average: float


def sharpness(
    model: nn.Module, of: Objective, radius: float = RADIUS, directions: int = DIRECTIONS, steps: int = STEPS,
    seed: int = 0, tick: Tick = unheard,
) -> Sharpness:  # fmt: skip
    """How far the loss rises within `radius` of the weights, in units of each filter's own length, along so many random
    filter-normalised directions, looked at `steps` times on either side: the sharpness of Keskar et al. 2017 (arXiv
    1609.04836, equation 4, there of the weights' absolute values and of the worst point, which random directions only
    bound from below). Evaluation mode. `tick` is told of directions done. Raises Refusal.
    """
    if not (0 < radius < torch.inf) or directions < 1 or steps < 1:
        raise Refusal(
            f"Cannot measure sharpness within {radius:g} by {counted(directions, 'direction')} of {steps:,} steps.",
            ways="A radius above 0, a direction and a step at least.",
        )
    out = torch.linspace(0, radius, steps + 1, dtype=torch.float64)
    radii, base, losses = torch.cat([-out[1:].flip(0), out]), vector(model), []
    with moving(model) as write:
        here = loss_at(model, of)
        for number in range(directions):
            write(base, base, 0.0)  # a direction is as long as the weights themselves
            direction = random_direction(model, seed * directions + number)
            losses.append([here if by == 0 else _at(write, base, direction, by, model, of) for by in radii.tolist()])
            tick(number + 1)
    found = torch.tensor(losses, dtype=torch.float64)
    found_or_worse = found.nan_to_num(nan=torch.inf)
    edge = found_or_worse[:, [0, -1]].mean()
    return Sharpness(found, radii, here, *(float((up - here) / (1 + here)) for up in (found_or_worse.max(), edge)))


def _at(write: Write, base: Tensor, direction: Tensor, by: float, model: nn.Module, of: Objective) -> float:
    write(base, direction, by)
    return loss_at(model, of)


class Curvature(NamedTuple):
    """`eigenvalue` of the loss's Hessian, the largest in size; an eigenvalue lies within `error` of it. `direction`
    float32, of length 1, by name; found in so many `steps`.
    """

    eigenvalue: float
    error: float
    direction: dict[str, Tensor]
    steps: int


def curvature(
    model: nn.Module, of: Objective, steps: int = ITERATIONS, near: float = NEAR, seed: int = 0, tick: Tick = unheard
) -> Curvature:
    """The Hessian's eigenvalue of largest size, by power iteration with products of Hessian and vector (Pearlmutter
    1994, Neural Computation 6), over all images and parameters, in evaluation mode; until the error is `near` as a
    share of it, or `steps` are done. `tick` is told of steps. Raises Refusal for a loss without a gradient.
    """
    chance = torch.Generator().manual_seed(seed)
    with undisturbed(model, weights=True):
        named = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
        ends = list(named.values())
        start = [torch.randn(p.shape, generator=chance).to(p.device) for p in ends]
        along = _over(start, _size(start))
        for step in range(1, max(1, steps) + 1):
            turned = _product(model, of, ends, along)
            value = _dot(along, turned)
            error = _size([t - value * v for t, v in zip(turned, along, strict=True)])
            tick(step)
            size = _size(turned)
            if not torch.tensor(size).isfinite():
                raise Refusal("Cannot take the loss's curvature: its second derivatives are not numbers.")
            if error <= near * abs(value) or size == 0:
                break
            along = _over(turned, size)
    return Curvature(value, error, {name: v.cpu() for name, v in zip(named, along, strict=True)}, step)


def _product(model: nn.Module, of: Objective, ends: list[nn.Parameter], along: list[Tensor]) -> list[Tensor]:
    """The Hessian times a vector, float32: the gradient of the gradient along it, batch by batch."""
    total = [torch.zeros_like(v) for v in along]
    for x, y in of.batches:
        loss = loss_of(model, of, x, y) * (len(x) / of.images)
        if not loss.requires_grad:
            raise Refusal("Cannot take the loss's curvature: it gives no gradient.", ways="A loss made of torch's own.")
        gradients = torch.autograd.grad(loss, ends, create_graph=True, materialize_grads=True)
        slope = torch.stack([(g.float() * v).sum() for g, v in zip(gradients, along, strict=True)]).sum()
        if slope.requires_grad:  # else the loss is flat or straight
            for sum_, part in zip(total, torch.autograd.grad(slope, ends, materialize_grads=True), strict=True):
                sum_ += part
    return total


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    return sum(float((u.double() * v.double()).sum()) for u, v in zip(a, b, strict=True))


def _size(a: list[Tensor]) -> float:
    return float(_dot(a, a) ** 0.5)


def _over(a: list[Tensor], size: float) -> list[Tensor]:
    return [v / size for v in a]


def sharpness_picture(found: Sharpness, title: str, curved: Curvature | None = None) -> bytes:
    """A PNG: the loss along each direction, and the highest and the mean of them."""
    figure = figures.canvas(figures.WIDE, 3.1, title)
    axes = figure.subplots()
    x = found.radii.numpy()
    for losses in found.losses:
        axes.plot(x, losses.numpy(), color=FAINT, linewidth=0.7)
    axes.plot(x, found.losses.max(0).values.numpy(), color=ORANGE, linewidth=2, label="highest")
    axes.plot(x, found.losses.mean(0).numpy(), color=BLUE, linewidth=2, linestyle="--", label="mean")
    axes.plot([0], [found.here], "o", color=INK, markersize=5, label=f"the weights: {found.here:.3g}")
    axes.set_xlabel("distance from the weights, in each filter's own length", color=INK, fontsize=figures.SMALL)
    axes.set_ylabel("loss", color=INK, fontsize=figures.SMALL)
    axes.tick_params(labelsize=figures.SMALL, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=figures.SMALL, frameon=False, loc="upper center")
    said = f"Sharpness {found.worst:.3g}, {found.average:.3g} on average, of {len(found.losses)} directions"
    if curved is not None:
        said += f"; largest curvature {curved.eigenvalue:.3g} ± {curved.error:.1g}"
    figures.below(figure, f"{said}.")
    return figures.png(figure)
