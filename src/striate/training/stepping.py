"""torch's fused AdamW and SGD, without what torch.optim puts together anew at each step, which small networks on a
processor feel. The same numbers to the bit, the same state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Lists = tuple[list[Tensor], ...]


class _Prepared(torch.optim.Optimizer):
    """An optimiser whose tensors are put into lists once, after its own first step has made its state."""

    kept: tuple[str, ...]  # of the state of each parameter
    _lists: list[Lists] | None = None

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        if self._lists is None or closure is not None:
            return self._first(closure)
        every = [[p.grad for p in lists[0]] for lists in self._lists]
        if any(gradient is None for gradients in every for gradient in gradients):
            return self._first(closure)
        with torch.no_grad():
            for group, lists, gradients in zip(self.param_groups, self._lists, every, strict=True):
                self._fused(group, gradients, *lists)
        return None

    step.hooked = True  # type: ignore[attr-defined]  # else torch puts hooks around it, and a label for its profiler

    def _fused(self, group: dict[str, Any], gradients: list[Any], *lists: list[Tensor]) -> None:
        raise NotImplementedError

    def _first(self, closure: Any) -> Any:
        loss = super().step(closure)  # type: ignore[safe-super]
        parameters = [group["params"] for group in self.param_groups]
        alike = all(
            p.device.type == "cpu" and self.kept[0] in self.state.get(p, ()) for group in parameters for p in group
        )
        if alike:
            self._lists = [
                (group, *([self.state[p][name] for p in group] for name in self.kept)) for group in parameters
            ]
        return loss

    def load_state_dict(self, state_dict: Any) -> None:
        self._lists = None
        super().load_state_dict(state_dict)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self._lists = None
        super().add_param_group(param_group)


class AdamW(_Prepared, torch.optim.AdamW):
    kept = ("exp_avg", "exp_avg_sq", "step")

    def _fused(self, group: dict[str, Any], gradients: list[Any], *lists: list[Tensor]) -> None:
        parameters, averages, squares, steps = lists
        torch._foreach_add_(steps, 1)
        (beta1, beta2), same = group["betas"], {name: group[name] for name in ("lr", "weight_decay", "eps", "maximize")}
        torch._fused_adamw_(
            parameters, gradients, averages, squares, [], steps, beta1=beta1, beta2=beta2, amsgrad=False, **same
        )


class SGD(_Prepared, torch.optim.SGD):
    kept = ("momentum_buffer",)

    def _fused(self, group: dict[str, Any], gradients: list[Any], *lists: list[Tensor]) -> None:
        parameters, buffers = lists
        names = ("lr", "weight_decay", "momentum", "dampening", "nesterov", "maximize")
        same = {name: group[name] for name in names}
        torch._fused_sgd_(parameters, gradients, buffers, is_first_step=False, **same)
