"""Multiply-adds counted one at a time, of what torch really does with real tensors, forward and back.

Each call that reaches torch's kernels is seen (a TorchDispatchMode), and a loop over its operands' axes counts. Fused
kernels are kept out: double precision has no fused recurrent layers, and attention runs as its two products.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

FUSED = (
    "_scaled_dot_product",
    "_flash",
    "_thnn_fused",
    "mkldnn",
    "lstm",
    "gru",
    "rnn",
    "linear",
    "einsum",
    "_transformer",
)


def loops(*lengths: int) -> int:
    """As many as there are turns."""
    count = 0
    for _ in product(*map(range, lengths)):
        count += 1
    return count


def lengths_product(*lengths: int) -> int:
    return prod(lengths)


class Counter(TorchDispatchMode):
    """`turns`: how many a loop over such lengths makes. `loops` turns each; `lengths_product` multiplies, for what
    would take a day.
    """

    def __init__(self, turns: Callable[..., int] = loops) -> None:
        super().__init__()
        self.count, self.turns = 0, turns

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.count += self.multiplied(str(func._schema.name), args, out)
        return out

    def multiplied(self, name: str, args: Any, out: Any) -> int:
        shapes = [tuple(a.shape) if isinstance(a, Tensor) else a for a in args]
        match name.removeprefix("aten::"):
            case "mm":
                return self.turns(*shapes[0], shapes[1][1])
            case "bmm":
                return self.turns(*shapes[0], shapes[1][2])
            case "addmm" | "baddbmm":
                return self.turns(*shapes[1], shapes[2][-1])
            case "mv" | "dot" | "vdot":
                return self.turns(*shapes[0])
            case "addmv":
                return self.turns(*shapes[1])
            case "convolution":
                return self.convolved(shapes[0], shapes[1], tuple(out.shape), shapes[6])
            case "convolution_backward":
                once = self.convolved(shapes[1], shapes[2], shapes[0], shapes[7])
                return once * sum(shapes[10][:2])
            case "_trilinear":
                lengths = []
                for shape, expand in zip(shapes[:3], shapes[3:6], strict=True):
                    shape = list(shape)
                    for axis in sorted(expand):
                        shape.insert(axis, 1)
                    lengths.append(shape)
                return self.turns(*map(max, *lengths))
            case fused if any(fused.startswith(word) for word in FUSED):
                raise AssertionError(f"{fused} hides its products")
        return 0

    def convolved(self, x: Any, weight: Any, out: Any, transposed: bool) -> int:
        """Each output cell (transposed: input cell) with each weight of its channel's group."""
        cells = x if transposed else out
        return self.turns(x[0], *weight, *cells[2:])


def counted(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[int, int]:
    """(forward, back), of one training step in evaluation mode; the inputs want no gradient."""
    module = module.double().eval()
    inputs = pytree.tree_map(lambda x: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x, inputs)
    with sdpa_kernel(SDPBackend.MATH):
        with Counter() as forward:
            outs = module(*inputs)
        total = sum(leaf.sum() for leaf in pytree.tree_leaves(outs) if isinstance(leaf, Tensor))
        with Counter() as back:
            total.backward()
    return forward.count, back.count
