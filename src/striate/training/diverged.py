"""Where numbers stopped being numbers, or are about to."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain

LEAP = 10.0  # times the usual loss
MANY = 16  # images, of which not all are hard ones by chance


def diverged(model: nn.Module, x: Tensor, loss: float, step: int, lr: float, kept: str) -> CannotTrain:
    """The refusal for a loss that is not finite: the step, the first layer whose output (or weight) is not, what to
    try, what is safe.
    """
    layer, what = first_not_finite(model, x)
    why = (
        f"{layer} is the first layer whose {what} is not finite; the learning rate was {lr:.3g}."
        if layer
        else f"Every layer's output is finite; the learning rate was {lr:.3g}."
    )
    return CannotTrain(
        f"Cannot go on from step {step}: the loss is {loss}.",
        why,
        " ".join(filter(None, (f"A smaller learning rate may hold: --lr {lr / 10:.1g}.", kept))),
        where=layer,
    )


def leaps(loss: float, usual: float, classes: int, images: int) -> bool:
    """Whether the mean loss of so many images is many times what it was of late and says more wrong than guessing among
    `classes` would.
    """
    return images >= MANY and 0 < usual * LEAP < loss and loss > 2 * log(classes)


def leapt(model: nn.Module, loss: float, usual: float, step: int, lr: float, kept: str) -> CannotTrain:
    """The refusal for such a loss, with the layer whose gradient is the largest beside its weight."""
    shares = {
        name: (p.grad.norm() / p.norm().clamp(min=1e-12)).item()
        for name, p in model.named_parameters()
        if p.grad is not None
    }
    worst = max(shares, key=shares.__getitem__, default="")
    layer = worst.rpartition(".")[0]
    return CannotTrain(
        f"Cannot go on from step {step}: the loss leapt to {loss:.3g}; it was {usual:.3g}.",
        f"{layer} has the largest gradient, {shares[worst]:.2g} times its weight; the learning rate was {lr:.3g}."
        if worst
        else "",
        " ".join(
            filter(
                None,
                (f"A smaller learning rate may hold: --lr {lr / 10:.1g}; or clip the gradient: --set clip=1.", kept),
            )
        ),
        where=layer,
    )


@torch.no_grad()
def first_not_finite(model: nn.Module, x: Tensor) -> tuple[str, str]:
    """(name, "weight" or "output") of the first layer, in the order they run, that is not finite on `x`; ("", "") where
    all are.
    """
    names = {module: name for name, module in model.named_modules() if not any(module.children())}
    found: list[tuple[str, str]] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        if found:
            return
        if any(not p.isfinite().all() for p in module.parameters()):
            found.append((names[module], "weight"))
        elif isinstance(output, Tensor) and not output.isfinite().all():
            found.append((names[module], "output"))

    hooks = [module.register_forward_hook(look) for module in names]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ("", "")
