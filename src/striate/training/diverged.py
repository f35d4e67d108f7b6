"""Where numbers stopped being numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain


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
