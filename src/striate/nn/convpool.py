"""A convolution, ReLU and a max pool of 2×2 as one, for volumes of few channels on a processor.

There, a convolution's and a pool's loops over channels are too short for vector instructions. So the batch lies
innermost in memory, C×H×W×N, and every step runs along it: each pooled cell reads one window of (k+1)×(k+1), in which
the filter has four places; patches times the filters at all four (im2col and one product) give the four values that
the pool compares, as planes that lie one behind the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
KEPT = 1 << 22  # numbers in patches that are kept for the way back: reading them costs less than making them anew. So a
# layer keeps up to 8 MB more than its memory is foretold by, once, however large the batch.
ROOM = 1 << 21  # numbers in the patches at a time: in fresh pages of memory they would cost more than the product
_pass = torch.ops.aten.threshold_backward  # (gradient, x, 0): the gradient where x > 0, else 0


def conv_pool(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    padding: tuple[int, int] = (0, 0),
    relu: bool = True,
    dtype: torch.dtype = torch.bfloat16,
) -> Tensor:
    """`max_pool2d(relu(conv2d(x, weight, bias, padding=padding)), 2)`, worked out in `dtype`.

    x N×C×H×W, weight K×C×h×w, h and w odd -> N×K×⌊(H + 2·padding - h + 1)/2⌋×…, a view with the batch innermost.
    Gradients are of the dtype of what they are for, the weight's and the bias's summed in float32 at least. Where
    values are equal the first, row by row, has the gradient, as in torch.
    """
    assert weight.shape[2] % 2 == weight.shape[3] % 2 == 1, weight.shape
    out: Tensor = ConvPool.apply(x, weight, bias, padding, relu, dtype)
    return out


class ConvPool(torch.autograd.Function):
    """What `conv_pool` does, and its way back. Kept for that: what was read, as patches where they are not too many,
    what came out, and by how much the right and the lower of two values was larger.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        padding: tuple[int, int],
        relu: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        read = _quarters(_padded(_batch_last(x.to(dtype)), padding), weight)
        windows = _windows(read, weight)
        rows, columns, n = windows.shape[5:]
        filters = _four(weight).to(dtype)
        out = read.new_empty(len(weight), rows, columns * n)
        below, right = torch.empty_like(out), read.new_empty(2, *out.shape)
        few, parts = windows.numel() <= KEPT, _parts(windows)
        kept = []
        for part in parts:
            patches = _patches(windows, part)
            values = filters @ patches
            other, left = values.view(2, 2, len(weight), -1, columns * n)
            torch.sub(other, left, out=right[:, :, part])
            lower, upper = torch.maximum(left, other, out=left)
            torch.sub(lower, upper, out=below[:, part])
            torch.maximum(upper, lower, out=out[:, part])
            kept += [patches] if few else []
        if bias is not None:
            out += bias.to(dtype)[:, None, None]
        if relu:
            out.clamp_(0)
        ctx.save_for_backward(x, weight, bias, None if few else read, filters, out, right, below, *kept)
        ctx.said = padding, relu, read.shape, parts
        return out.view(-1, rows, columns, n).permute(3, 0, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, read, filters, out, right, below, *kept = ctx.saved_tensors
        padding, relu, shape, parts = ctx.said
        if torch.is_grad_enabled():  # somebody wants the gradient's gradient
            return *_differentiable(ctx, gradient), None, None, None
        down = _batch_last(gradient).reshape(out.shape)
        if relu:
            down = _pass(down, out, 0)
        wide = torch.promote_types(out.dtype, torch.float32)  # sums over all cells and examples
        summed = torch.zeros(filters.shape, dtype=wide)
        reads = out.new_zeros(shape) if ctx.needs_input_grad[0] else None
        for place, part in enumerate(parts):
            half, mine = torch.empty_like(right[:, :, part]), down[:, part]
            _pass.grad_input(mine, below[:, part], 0, grad_input=half[0])
            torch.sub(mine, half[0], out=half[1])
            four = torch.empty_like(half.expand(2, *half.shape), memory_format=torch.contiguous_format)
            _pass.grad_input(half, right[:, :, part], 0, grad_input=four[0])
            torch.sub(half, four[0], out=four[1])
            values = four.view(len(filters), -1)
            patches = kept[place] if kept else _patches(_windows(read, weight), part)
            summed += (patches @ values.t()).t()  # this way round: threads share its rows, of which there are more
            if reads is not None:
                _add(_windows(reads, weight)[:, :, :, :, :, part], filters.t() @ values)
        to_x = None if reads is None else _whole(reads, x.shape, padding).permute(3, 0, 1, 2).to(x.dtype)
        to_bias = None if bias is None else down.sum((1, 2), dtype=wide).to(bias.dtype)
        return to_x, _one(summed, weight).to(weight.dtype), to_bias, None, None, None


def _batch_last(x: Tensor) -> Tensor:
    """N×C×H×W -> C×H×W×N, the batch innermost in memory. As a matrix, which torch turns quickly."""
    if x.stride(0) == 1:
        return x.permute(1, 2, 3, 0)
    if x.is_contiguous():
        return x.flatten(1).t().contiguous().view(*x.shape[1:], len(x))
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n, -1).t().contiguous().view(h, w, c, n).permute(2, 0, 1, 3)


def _padded(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """Zeros around the grid of C×H×W×N."""
    rows, columns = padding
    return F.pad(x, (0, 0, columns, columns, rows, rows)) if rows or columns else x


def _quarters(x: Tensor, weight: Tensor) -> Tensor:
    """C×H×W×N -> C×⌊H/2⌋×2×2×⌊W/2⌋×N: even and odd rows apart, and even and odd columns, so that what neighbouring
    windows of stride 2 read lies side by side. A last row or column that no window reaches is left out.
    """
    around = weight.shape[2] - 1, weight.shape[3] - 1  # cells that a window reads beside its four places' first
    height, width = ((size - more) // 2 * 2 + more for size, more in zip(x.shape[1:3], around, strict=True))
    return x[:, :height, :width].unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 2, 4, 3, 5).contiguous()


def _whole(read: Tensor, shape: torch.Size, padding: tuple[int, int]) -> Tensor:
    """The way back from `_quarters`, without what padding put around; 0 where no window reads."""
    (height, width), (rows, columns) = shape[2:], padding
    x = read.permute(0, 1, 2, 4, 3, 5).flatten(3, 4).flatten(1, 2)
    missing = height + 2 * rows - x.shape[1], width + 2 * columns - x.shape[2]
    x = F.pad(x, (0, 0, 0, missing[1], 0, missing[0])) if any(missing) else x
    return x.narrow(1, rows, height).narrow(2, columns, width)


def _windows(read: Tensor, weight: Tensor) -> Tensor:
    """What each pooled cell reads, of quarters: C × (h+1)/2×2 × (w+1)/2×2 × rows × columns × N, a view."""
    rows, columns = read.shape[1] - weight.shape[2] // 2, read.shape[4] - weight.shape[3] // 2
    return read.unfold(1, rows, 1).unfold(4, columns, 1).permute(0, 1, 2, 4, 3, 6, 7, 5)


def _parts(windows: Tensor) -> list[slice]:
    """Rows of pooled cells to work on at a time."""
    rows = windows.shape[5]
    count = min(rows, -(-windows.numel() // ROOM))
    return [slice(rows * i // count, rows * (i + 1) // count) for i in range(count)]


def _patches(windows: Tensor, part: slice) -> Tensor:
    """What some rows read, a column for each cell and example."""
    some = windows[:, :, :, :, :, part]
    return some.reshape(some[..., 0, 0, 0].numel(), -1)


def _add(windows: Tensor, patches: Tensor) -> None:
    """Add what `_patches` gives for these windows to what they are views of. Neighbours overlap, but not in the same
    place of two rows and two columns.
    """
    each = patches.view(windows.shape)
    for down in range(windows.shape[1]):
        for right in range(windows.shape[3]):
            windows[:, down, :, right] += each[:, down, :, right]


def _four(weight: Tensor) -> Tensor:
    """Each filter at its four places in the window, [left][up], the farther first: 4K×C(h+1)(w+1)."""
    height, width = weight.shape[2:]
    placed = F.pad(weight, (1, 1, 1, 1)).unfold(2, height + 1, 1).unfold(3, width + 1, 1)
    return placed.permute(3, 2, 0, 1, 4, 5).reshape(4 * len(weight), -1)


def _one(four: Tensor, weight: Tensor) -> Tensor:
    """The gradient of filters from that of all their places."""
    height, width = weight.shape[2:]
    each = four.view(2, 2, *weight.shape[:2], height + 1, width + 1)
    places = [each[1 - right, 1 - down, :, :, down : down + height, right : right + width] for right, down in PLACES]
    return torch.stack(places).sum(0)


def _differentiable(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight and bias once more, of steps that autograd can follow."""
    x, weight, bias, *_ = ctx.saved_tensors
    padding, relu, *_ = ctx.said
    dtype = ctx.saved_tensors[4].dtype
    x_, weight_ = x.to(dtype), weight.to(dtype)
    with torch.no_grad():
        made = F.conv2d(x_, weight_, None if bias is None else bias.to(dtype), padding=padding)
        out, at = F.max_pool2d(made, 2, return_indices=True)
    down = gradient * (out > 0) if relu else gradient
    spread = torch.zeros_like(made).flatten(2).scatter(2, at.flatten(2), down.flatten(2)).view(made.shape)
    asked = [*ctx.needs_input_grad[:2], False]
    to_x, to_weight, _ = torch.ops.aten.convolution_backward(
        spread, x_, weight_, [0], [1, 1], padding, [1, 1], False, [0, 0], 1, asked
    )
    to_bias = None if bias is None else spread.sum((0, 2, 3))
    each = zip((to_x, to_weight, to_bias), (x, weight, bias), strict=True)
    return tuple(None if to is None else to.to(of.dtype) for to, of in each)
