"""A 3×3 convolution of many channels in fewer multiplications, on a processor: Winograd's F(2×2, 3×3).

Each 2×2 of outputs reads a tile of 4×4 inputs. Tiles and filters are turned into 16 numbers each by sums and
differences, multiplied there, summed over the channels (16 products of matrices in place of 36), and turned back (Lavin
& Gray 2016, arXiv 1509.09308, section 4.1). The way back is the same three transforms, transposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ROOM = 1 << 22  # numbers in the tiles at a time: more would leave the cache, and be written to fresh pages of memory
FILTER = (1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)  # G of the paper: what three rows (columns) become


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """`conv2d(x, weight, bias, padding=1)`, worked out in `dtype`.

    x N×C×H×W, H and W even, weight K×C×3×3 -> N×K×H×W, channels last. Gradients are of the dtype of what they are for.
    In bfloat16 what comes out is off by more than by the plain way, yet by less than 1 % (of random numbers): tiles,
    filters and products are rounded, too.
    """
    assert x.shape[2] % 2 == x.shape[3] % 2 == 0, x.shape
    out: Tensor = Conv3x3.apply(x, weight, bias, dtype)
    return out.permute(0, 3, 1, 2)  # not before: what a Function gives as a view, nobody may change in place


class Conv3x3(torch.autograd.Function):
    """What `conv3x3` does, but N×H×W×K, and its way back. Kept for that: what was read, the filters' 16 numbers."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        filters, cells = _filters(weight, dtype), _cells_last(x.to(dtype))
        out = cells.new_empty(*cells.shape[:3], len(weight))
        for part in _parts(cells):
            _outputs(torch.bmm(_tiles(cells[part]), filters.mT), out[part])
        if bias is not None:
            out += bias.to(dtype)
        ctx.save_for_backward(x, weight, bias, filters)
        return out

    @staticmethod
    @torch.autocast("cpu", enabled=False)
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, filters = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants the gradient's gradient
            return *_differentiable(ctx, gradient), None
        cells, down = _cells_last(x.to(filters.dtype)), gradient.to(filters.dtype).contiguous()
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        to_x, to_filters = torch.empty_like(cells) if wants_x else None, None
        for part in _parts(cells):
            values = _outputs_back(down[part])
            if to_x is not None:
                _tiles_back(torch.bmm(values, filters), to_x[part])
            if wants_weight:
                more = torch.bmm(values.mT, _tiles(cells[part])).to(weight.dtype)
                to_filters = more if to_filters is None else to_filters.add_(more)
        return (
            None if to_x is None else to_x.permute(0, 3, 1, 2).to(x.dtype),
            None if to_filters is None else _filters_back(to_filters),
            down.sum((0, 1, 2), dtype=weight.dtype).to(bias.dtype) if wants_bias else None,
            None,
        )


def _cells_last(x: Tensor) -> Tensor:
    """N×C×H×W -> N×H×W×C, the channels innermost in memory."""
    return x.permute(0, 2, 3, 1).contiguous()


def _parts(cells: Tensor) -> list[slice]:
    """Examples to work on at a time."""
    n = len(cells)
    count = min(n, -(-4 * cells.numel() // ROOM))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def _tiles(cells: Tensor) -> Tensor:
    """Each tile's 16 numbers: N×H×W×C -> 16 × tiles × C"""
    n, height, width, channels = cells.shape
    padded = F.pad(cells, (0, 0, 1, 1, 1, 1))
    half = cells.new_empty(4, n, height // 2, width + 2, channels)
    out = cells.new_empty(4, 4, n, height // 2, width // 2, channels)
    _tile([padded[:, i : i + height : 2] for i in range(4)], half)
    _tile([half[:, :, :, i : i + width : 2] for i in range(4)], out.transpose(0, 1))
    return out.view(16, -1, channels)


def _tile(four: Sequence[Tensor], out: Tensor | Sequence[Tensor]) -> None:
    """Bᵀ of the paper along one axis."""
    torch.sub(four[0], four[2], out=out[0])
    torch.add(four[1], four[2], out=out[1])
    torch.sub(four[2], four[1], out=out[2])
    torch.sub(four[1], four[3], out=out[3])


def _tiles_back(values: Tensor, out: Tensor) -> None:
    """B on both axes, where tiles overlap summed: 16 × tiles × C -> N×H×W×C."""
    n, height, width, channels = out.shape
    each = values.view(4, 4, n, height // 2, width // 2, channels)
    half = values.new_empty(4, n, height // 2, width // 2, 2, channels)
    _tile_back(each.unbind(1), half.unbind(4), 3)
    _tile_back(half.flatten(3, 4).unbind(0), out.unflatten(1, (-1, 2)).unbind(2), 1)


def _tile_back(four: Sequence[Tensor], out: Sequence[Tensor], axis: int) -> None:
    """Even and odd cells along one axis. A tile's first and last are its neighbours' too."""
    even, odd = out
    more = four[0].shape[axis] - 1
    torch.sub(four[1], four[2], out=even)
    even += four[3]
    even.narrow(axis, 1, more).sub_(four[3].narrow(axis, 0, more))
    torch.add(four[1], four[2], out=odd)
    odd -= four[0]
    odd.narrow(axis, 0, more).add_(four[0].narrow(axis, 1, more))


def _both(like: Tensor) -> Tensor:
    """G for rows and columns at once, 16×9."""
    one = torch.tensor(FILTER, dtype=like.dtype, device=like.device)
    return torch.kron(one, one)


def _filters(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Each filter's 16 numbers: K×C×3×3 -> 16×K×C."""
    nine = weight.permute(2, 3, 0, 1).reshape(9, -1)
    return (_both(weight) @ nine).to(dtype).view(16, *weight.shape[:2])


def _filters_back(values: Tensor) -> Tensor:
    """16×K×C -> K×C×3×3, channels last."""
    nine = _both(values).t() @ values.transpose(0, 1)
    return nine.unflatten(1, (3, 3)).permute(0, 3, 1, 2)


def _outputs(products: Tensor, out: Tensor) -> None:
    """Aᵀ of the paper on both axes: 16 × tiles × K -> N×H×W×K."""
    n, height, width, channels = out.shape
    each = products.view(4, 4, n, height // 2, width // 2, channels)
    half = products.new_empty(2, 4, n, height // 2, width // 2, channels)
    _output(each, half)
    _output(half.unbind(1), out.view(n, height // 2, 2, width // 2, 2, channels).permute(4, 2, 0, 1, 3, 5))


def _output(four: Tensor | Sequence[Tensor], out: Tensor | Sequence[Tensor]) -> None:
    torch.add(four[1], four[2], out=out[0]).add_(four[0])
    torch.sub(four[1], four[2], out=out[1]).sub_(four[3])


def _outputs_back(down: Tensor) -> Tensor:
    """A on both axes: N×H×W×K -> 16 × tiles × K."""
    n, height, width, channels = down.shape
    half = down.new_empty(4, n, height // 2, width // 2, 2, channels)
    out = down.new_empty(4, 4, n, height // 2, width // 2, channels)
    _output_back(down.view(n, height // 2, 2, width // 2, 2, channels).unbind(2), half)
    _output_back(half.unbind(4), out.transpose(0, 1))
    return out.view(16, -1, channels)


def _output_back(two: Sequence[Tensor], out: Tensor) -> None:
    out[0] = two[0]
    torch.add(two[0], two[1], out=out[1])
    torch.sub(two[0], two[1], out=out[2])
    torch.neg(two[1], out=out[3])


def _differentiable(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight and bias once more, of steps that autograd can follow."""
    x, weight, bias, filters = ctx.saved_tensors
    each = torch.ops.aten.convolution_backward(
        gradient.to(filters.dtype).permute(0, 3, 1, 2), x.to(filters.dtype), weight.to(filters.dtype),
        None if bias is None else [len(bias)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, ctx.needs_input_grad[:3],
    )  # fmt: skip
    return tuple(None if to is None else to.to(of.dtype) for to, of in zip(each, (x, weight, bias), strict=True))
