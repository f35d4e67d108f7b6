"""How fast is a locally connected layer, forward and backward, against the unfold-and-multiply version people paste?

The peer is the form that forum answers give: `unfold` twice, a broadcast product with the weights, a sum.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

import torch  # noqa: E402

from _harness import ratios, record, rounds  # noqa: E402
from striate.nn import LocallyConnected2d  # noqa: E402

CASES = {  # batch, channels in, channels out, side of the output; 3×3 windows
    "56×56": (8, 16, 16, 56),
    "14×14": (32, 64, 64, 14),
}
ROUNDS = 7


class Pasted(torch.nn.Module):
    def __init__(self, local: LocallyConnected2d) -> None:
        super().__init__()
        weight = local.weight.detach().permute(2, 3, 0, 1, 4, 5).flatten(4)[None]  # 1 × out × in × rows × columns × 9
        self.weight = torch.nn.Parameter(weight.contiguous())
        assert local.bias is not None
        self.bias = torch.nn.Parameter(local.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unfold(2, 3, 1).unfold(3, 3, 1)
        x = x.contiguous().view(*x.size()[:-2], -1)
        return (x.unsqueeze(1) * self.weight).sum([2, -1]) + self.bias


def step(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        x.grad = None
        module.zero_grad()
        module(x).square().sum().backward()

    return run


def main() -> None:
    found = {}
    for name, (n, c, out, side) in CASES.items():
        torch.manual_seed(0)
        x = torch.randn(n, c, side + 2, side + 2, requires_grad=True)
        ours = LocallyConnected2d(c, out, side + 2, 3)
        peer = Pasted(ours)
        difference = float((ours(x) - peer(x)).abs().max().detach())
        timed = rounds({"striate": step(ours, x), "pasted": step(peer, x)}, ROUNDS)
        found[name] = {"work": [n, c, out, side], "difference": difference, "times": timed}
        found[name]["ratio"] = ratios(timed, "striate")["pasted"]
        print(f"{name}: {found[name]['ratio']:.1f} times as fast (largest difference {difference:.1e})")
    record("locally_connected", __doc__.splitlines()[0], {"cases": found}, "torch")


if __name__ == "__main__":
    main()
