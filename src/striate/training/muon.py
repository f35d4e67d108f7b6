"""Muon: momentum, made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

QUINTIC = (3.4445, -4.7750, 2.0315)  # of the singular values s: a·s + b·s³ + c·s⁵; five times takes them to 0.7 … 1.2
TIMES = 5
LEAST = 1e-7  # of a norm that is divided by


@torch.no_grad()
def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32, times: int = TIMES) -> Tensor:
    """Nearly the nearest semi-orthogonal matrices of B×rows×columns, by Newton and Schulz: singular values near 1."""
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=LEAST)
    for _ in range(times):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


def products(device: torch.device) -> torch.dtype:
    """In what to multiply: bfloat16 where that is much quicker than it is rough."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


class Muon(torch.optim.Optimizer):
    """Muon for the parameters whose `id` is in `matrices` (convolutions as out×rest), AdamW for all others.

    A matrix moves by lr·0.2·sqrt(max(rows, columns)) along its orthogonal momentum, as far as AdamW would move it, so
    that both take one learning rate (Liu et al. 2025, arXiv 2502.16982, section 2.2). Both decay weights themselves.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        second: float = 0.999,
        eps: float = 1e-8,
        matrices: Collection[int] = (),
        times: int = TIMES,
        unit: bool = False,
    ) -> None:
        split = [
            {**group, "params": part, "muon": here}
            for group in groups
            for here in (True, False)
            if (part := [p for p in group["params"] if (id(p) in matrices) == here])
        ]
        told = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "second": second, "eps": eps}
        super().__init__(split, {**told, "fused": True})  # so that AdamW's count of steps is put where its weights are
        self.times, self.unit = times, unit

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            with_gradient = [p for p in group["params"] if p.grad is not None]
            if with_gradient:
                (self._muon if group["muon"] else self._adamw)(with_gradient, group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momenta = [self._kept(p, "momentum_buffer") for p in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ways = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        if self.unit:
            for p, length in zip(parameters, torch._foreach_norm(parameters), strict=True):
                p.mul_(len(p) ** 0.5 / length.clamp(min=LEAST))
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        alike: dict[Any, list[tuple[Tensor, Tensor]]] = defaultdict(list)  # many small products at once
        for p, way in zip(parameters, ways, strict=True):
            alike[p.shape, p.device].append((p, way.flatten(1)))
        for (shape, device), pairs in alike.items():
            moves = orthogonal(torch.stack([way for _, way in pairs]), products(device), self.times)
            far = group["lr"] * (1 if self.unit else 0.2 * max(moves.shape[1:]) ** 0.5)
            if isinstance(far, Tensor):  # on a GPU, where nobody waits to read it
                moves, far = moves * far, 1
            for (p, _), move in zip(pairs, moves, strict=True):
                p.sub_(move.view(shape), alpha=far)

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first, second = ([self._kept(p, name) for p in parameters] for name in ("exp_avg", "exp_avg_sq"))
        for p in parameters:
            self.state[p].setdefault("step", torch.zeros((), device=p.device))
        adamw(
            parameters,
            [p.grad for p in parameters],  # type: ignore[misc]
            first,
            second,
            [],
            [self.state[p]["step"] for p in parameters],
            fused=True,
            amsgrad=False,
            maximize=False,
            lr=group["lr"],
            beta1=group["momentum"],
            beta2=group["second"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
        )

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        """What is remembered of a parameter, 0 at first."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]  # type: ignore[no-any-return]
