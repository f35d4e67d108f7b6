"""How values and gradients flow through a network, layer by layer, and what is wrong where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from statistics import median

import torch
from torch import Tensor, nn

from striate.blueprint.said import counted
from striate.training.events import LayerFlow

VANISHING = 1e-5  # of the largest gradient, each as a share of its weight
EXPLODING = 30.0  # times its weight, a gradient is
LARGE = 1e4  # deviation of a layer's values
DEAD, FEWEST = 0.5, 8  # share of a ReLU's channels; of fewer values all are 0 by chance
SLOW, FAST, USUAL = 1e-6, 0.5, "1e-3"  # of its weight, a step changes; about 1e-3 is aimed at (Karpathy, CS231n)
SOME = 32  # images that a training is looked at with
RELUS = (nn.ReLU, nn.ReLU6)


@dataclass(frozen=True)
class Alarm:
    """What is wrong, in which layer ("": in none of its own), with its numbers and a way out."""

    kind: str
    layer: str
    text: str


class Look:
    """What passes through a network while it is looked at: of each leaf, in the order they run, the mean and deviation
    of its values, and of a ReLU the share of channels that are zero on the whole batch (else, and of few values, -1).
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self.names = names
        self.found: dict[nn.Module, Tensor] = {}

    @torch.no_grad()
    def __call__(self, module: nn.Module, _: object, output: object) -> None:
        if not isinstance(output, Tensor) or output.ndim < 2 or not output.is_floating_point():
            return
        values = output.float()
        mean = values.mean()
        deviation = (values - mean).norm() / values.numel() ** 0.5  # a tenth of what torch.std takes
        dead = mean.new_tensor(-1.0)
        if (
            isinstance(module, RELUS) and values.numel() >= FEWEST * values.shape[1]
        ):  # nothing is below 0: where the sum is 0, all are
            dead = (values.movedim(1, -1).flatten(0, -2).sum(0) == 0).float().mean()
        self.found[module] = torch.stack((mean, deviation, dead))


@contextmanager
def looking(model: nn.Module) -> Iterator[Look]:
    """Looks at layers with a matrix of weights, and at ReLUs."""
    names = {m: name for name, m in model.named_modules() if _weight(m) is not None or isinstance(m, RELUS)}
    look = Look(names)
    hooks = [module.register_forward_hook(look) for module in names]
    try:
        yield look
    finally:
        for hook in hooks:
            hook.remove()


def weights(model: nn.Module) -> dict[nn.Module, Tensor]:
    """A copy of each matrix of weights that learns, to be held against what a step makes of it."""
    found = ((module, _weight(module)) for module in model.modules())
    return {module: w.detach().clone() for module, w in found if w is not None and w.requires_grad}


@torch.no_grad()
def measured(look: Look, before: Mapping[nn.Module, Tensor]) -> tuple[LayerFlow, ...]:
    """The flow by layer, after a step whose gradients are still there, `before` being the weights that it changed."""
    modules = [module for module in look.names if module in look.found]
    modules.sort(key=list(look.found).index)
    numbers = []
    for module in modules:
        w, was, none = _weight(module), before.get(module), look.found[module].new_tensor(-1.0)
        sizes = [none, none, none]
        if w is not None:
            sizes[0] = w.norm() if was is None else was.norm()
            if was is not None:
                sizes[1:] = [none if w.grad is None else w.grad.norm(), (w - was).norm()]
        numbers.append(torch.stack((*look.found[module], *(size.float() for size in sizes))))
    rows = torch.stack(numbers).tolist() if numbers else []  # one wait for the device
    return tuple(_row(look.names[module], *row) for module, row in zip(modules, rows, strict=True))


def _row(
    name: str, mean: float, deviation: float, dead: float, weight: float, gradient: float, change: float
) -> LayerFlow:
    known = [None if value == -1 else value for value in (dead, weight, gradient)]
    ratio = change / weight if change != -1 and weight > 0 else None
    return LayerFlow(name, mean, deviation, known[1], known[2], ratio, known[0])


def glance(
    model: nn.Module, x: Tensor, before: Mapping[nn.Module, Tensor], dtype: torch.dtype
) -> tuple[LayerFlow, ...]:
    """`measured` after a step of a training: the values are those of some of its images, run once more as in judging,
    so that nothing of the training is touched: no weight, no statistic, no chance.
    """
    model.eval()
    try:
        with looking(model) as look, torch.no_grad(), torch.autocast(x.device.type, dtype, dtype != torch.float32):
            model(x[:SOME])
    finally:
        model.train()
    return measured(look, before)


def middle(steps: Sequence[tuple[LayerFlow, ...]]) -> tuple[LayerFlow, ...]:
    """The median over several steps, number by number; where one is not finite, the last step as it is."""
    last = steps[-1]
    if not all(_finite(row) for row in last):
        return last

    def over(place: int, name: str) -> float | None:
        values = [value for rows in steps if (value := getattr(rows[place], name)) is not None]
        return median(values) if values else None

    fields = ("mean", "deviation", "weight", "gradient", "update", "dead")
    return tuple(
        LayerFlow(row.name, *(over(place, name) for name in fields))  # type: ignore[arg-type]
        for place, row in enumerate(last)
    )


def alarms(layers: Sequence[LayerFlow], still: Sequence[str] = (), beginning: bool = True) -> list[Alarm]:
    """What is wrong, layer by layer; not in the parts `still`, which do not learn. At the `beginning`
    of a training steps can be too small, and no gradient at all is wrong; at its end both are as they should be.

    Gradients vanish where, as a share of the weight, they are VANISHING of the largest; they explode where they are
    many times the weight, or where values are no longer in a range that a loss can use.
    """
    learning = [row for row in layers if not any(row.name == part or row.name.startswith(f"{part}.") for part in still)]
    shares = [share for row in learning if (share := _share(row)) is not None and isfinite(share)]
    largest = max(shares, default=0.0) or float(beginning)
    found = [
        Alarm(kind, row.name, f"{row.name}: {text}")
        for row in learning
        for kind, look in KINDS.items()
        if (text := look(row, largest))
    ]
    large = any(alarm.kind in ("exploding", "fast") for alarm in found)  # then no step is too small for want of a rate
    return [alarm for alarm in found if alarm.kind != "slow" or (beginning and not large)]


def news(found: Sequence[Alarm], told: set[tuple[str, str]]) -> list[str]:
    """A line for each kind of alarm that there is in layers of which it was not `told`, which they then are."""
    fresh = [alarm for alarm in found if (alarm.kind, alarm.layer) not in told]
    told |= {(alarm.kind, alarm.layer) for alarm in fresh}
    return folded(fresh, 1)


def folded(found: Sequence[Alarm], most: int) -> list[str]:
    """The texts of alarms, `most` of a kind; where there are more, the last names their layers, too."""
    lines: list[str] = []
    for kind in dict.fromkeys(alarm.kind for alarm in found):
        same = [alarm for alarm in found if alarm.kind == kind]
        lines += [alarm.text for alarm in same[:most]]
        if more := [alarm.layer for alarm in same[most:]]:
            lines[-1] += f" So it is with {counted(len(more), 'more layer')}: {', '.join(more)}."
    return lines


def _vanishing(row: LayerFlow, largest: float) -> str:
    share = _share(row)
    if share is None or not 0 <= share < VANISHING * largest:
        return ""
    much = f"its gradient is {share:.2g} of its weight, another layer's {largest:.2g}" if share else "its gradient is 0"
    way = "ReLU, norms after convolutions, or shortcuts let it through; --set initialise=he helps."
    return f"the gradient vanishes: {much}. {way}"


def _exploding(row: LayerFlow, _: float) -> str:
    way = "A smaller --set lr, smaller initial weights (--set initialise=he), norms, or --set clip=1."
    share = _share(row)
    if not isfinite(row.deviation):
        return f"its values are not finite. {way}"
    if share is not None and not share <= EXPLODING:
        return f"the gradient explodes: it is {share:.3g} times its weight. {way}"
    return f"its values explode: their deviation is {row.deviation:.2g}. {way}" if row.deviation > LARGE else ""


def _dead(row: LayerFlow, _: float) -> str:
    if row.dead is None or row.dead < DEAD:
        return ""
    way = "A smaller learning rate, biases of 0 or above, or a leaky ReLU."
    return f"dead: {row.dead:.0%} of its channels are 0 on the whole batch, and learn nothing. {way}"


def _slow(row: LayerFlow, _: float) -> str:
    if row.update is None or not row.update < SLOW:
        return ""
    return (
        f"updates too small: a step changes {row.update:.2g} of the weight; about {USUAL} is usual. A larger --set lr."
    )


def _fast(row: LayerFlow, _: float) -> str:
    if row.update is None or row.update <= FAST:
        return ""
    return (
        f"updates too large: a step changes {row.update:.2g} of the weight; about {USUAL} is usual. A smaller --set lr."
    )


KINDS: dict[str, Callable[[LayerFlow, float], str]] = {
    "vanishing": _vanishing,
    "exploding": _exploding,
    "dead": _dead,
    "slow": _slow,
    "fast": _fast,
}


def _share(row: LayerFlow) -> float | None:
    """The gradient as a share of the weight."""
    return row.gradient / row.weight if row.gradient is not None and row.weight else None


def _finite(row: LayerFlow) -> bool:
    return all(isfinite(value) for value in (row.mean, row.deviation, row.weight or 0, row.gradient or 0))


def _weight(module: nn.Module) -> Tensor | None:
    weight = module._parameters.get("weight")
    return weight if weight is not None and weight.ndim >= 2 else None
