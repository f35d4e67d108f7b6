"""Fractional max pooling (Graham 2014, arXiv 1412.6071): steps that differ, so that the grid shrinks by any ratio."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from striate.blueprint import CannotBuild


class FractionalMaxPool2d(nn.Module):
    """N×C×H×W -> N×C×floor(H·output_ratio)×floor(W·output_ratio): the largest value under windows of `kernel_size`.

    `kind`: "pseudo", steps floor(α(i + u)) with a random u an axis; "random", the same steps in any order (section 2).
    In training the windows are drawn anew each time, from torch's generator; in evaluation they are those of `seed`, so
    that the same image always gives the same answer. Raises CannotBuild.
    """

    def __init__(self, kernel_size: int, output_ratio: float, kind: str = "pseudo", seed: int = 0) -> None:
        super().__init__()
        if not 0 < output_ratio < 1 or kernel_size < 2 or kind not in STARTS:
            raise CannotBuild(
                f"Cannot build fractional pooling of kernel {kernel_size}, ratio {output_ratio}, kind {kind!r}.",
                ways=f"A kernel of 2 or more, a ratio between 0 and 1, kind one of {', '.join(STARTS)}.",
            )
        self.kernel_size, self.output_ratio, self.kind, self.seed = kernel_size, output_ratio, kind, seed

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self.starts(n, axis, x.device) for axis, n in enumerate(x.shape[2:]))
        best: Tensor | None = None
        for down, right in product(range(self.kernel_size), repeat=2):
            cells = x.index_select(2, rows + down).index_select(3, columns + right)
            best = cells if best is None else torch.maximum(best, cells)
        assert best is not None
        return best

    def starts(self, n: int, axis: int, device: torch.device) -> Tensor:
        """Where the windows on an axis of `n` cells begin."""
        positions, room = int(n * self.output_ratio), n - self.kernel_size
        if not 1 <= positions <= room + 1:
            raise CannotBuild(
                f"Cannot pool {n} cells: {n}*{self.output_ratio} = {positions} windows of {self.kernel_size}."
            )
        if self.training:
            draws = torch.rand(positions, device=device)
        else:  # a sequence spread as evenly as draws, which compiles and exports (Weyl 1916)
            draws = torch.arange(1, positions + 1, device=device) * ((2 * self.seed + axis + 1) * GOLDEN % 1) % 1
        return STARTS[self.kind](draws, room)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, {self.output_ratio}, {self.kind!r}"


def _pseudo(draws: Tensor, room: int) -> Tensor:
    """Starts floor(α(i + u)) - floor(αu), the last one at the end of the room."""
    last = len(draws) - 1
    step = room / max(1, last)
    i, u = torch.arange(last, device=draws.device), draws[0]
    starts = ((i + u) * step).floor() - (u * step).floor()
    return torch.cat([starts, starts.new_full((1,), float(room))]).long()


def _random(draws: Tensor, room: int) -> Tensor:
    """Steps of floor(α) and ceil(α), as many of each as fill the room, in an order that the draws give."""
    last = len(draws) - 1
    least, longer = divmod(room, max(1, last))
    steps = least + (torch.arange(last, device=draws.device) < longer).long()
    shuffled = steps[draws[:last].argsort()]
    first = draws.new_zeros(1).long() if last else draws.new_full((1,), float(room)).long()
    return torch.cat([first, shuffled.cumsum(0)])


GOLDEN = (5**0.5 - 1) / 2
STARTS = {"pseudo": _pseudo, "random": _random}
