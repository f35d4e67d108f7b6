"""Steps that are no layer of ours, as `Traced` leaves: what they cost where that is known, "?" where it is not."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import torch

from striate.blueprint import Window
from striate.blueprint.layer import pair
from striate.blueprint.window import Stretch
from striate.nn.tracing.axes import (
    CELL_BY_CELL,
    CHANNELS,
    COLUMNS,
    EVERYTHING,
    ROWS,
    Dim,
    Piece,
    Shape,
    Value,
    carried,
    guessed,
    reading,
)
from striate.nn.tracing.products import PRODUCTS, WORK, Unknown, Work, work
from striate.nn.tracing.scribe import Call, Const, Read, Scribe
from striate.nn.tracing.views import VIEWS

# Steps without a multiply-add of a matrix product, besides those that torch itself tags as element by element or as
# reductions: what moves numbers, compares, sorts, pools, normalises, looks up, resizes. What is in neither is "?".
FREE = frozenset(
    """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d _adaptive_avg_pool2d affine_grid_generator alpha_dropout arange argsort argwhere as_strided
    as_strided_scatter avg_pool1d avg_pool2d avg_pool3d batch_norm bernoulli bincount block_diag broadcast_tensors
    bucketize cat channel_shuffle chunk clone col2im column_stack complex concat concatenate constant_pad_nd copy cross
    cummax cummin cumprod cumsum diag diag_embed diagonal diagonal_scatter diff dropout dstack embedding embedding_bag
    _embedding_bag empty empty_like empty_strided expand expand_as eye feature_alpha_dropout feature_dropout fill flatten
    flip fliplr flipud floor_divide fractional_max_pool2d fractional_max_pool3d full full_like gather glu grid_sampler
    grid_sampler_2d grid_sampler_3d group_norm hardswish hstack im2col imag index index_add index_copy index_fill
    index_put index_reduce index_select instance_norm isin item layer_norm lift_fresh_copy linspace log_sigmoid
    log_softmax logcumsumexp logspace masked_fill masked_scatter masked_select max_pool1d max_pool1d_with_indices
    max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d median meshgrid
    movedim multinomial nanmean nanmedian narrow native_batch_norm native_channel_shuffle native_dropout
    native_group_norm native_layer_norm new_empty new_empty_strided new_full new_ones new_zeros nonzero nonzero_static
    norm norm_except_dim normal one_hot ones ones_like pad pairwise_distance cosine_similarity permute pixel_shuffle
    pixel_unshuffle polar prelu rand rand_like randint randint_like randn randn_like randperm ravel real
    reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d
    replication_pad3d reshape resize rms_norm _fused_rms_norm roll rot90 row_stack rrelu scalar_tensor scatter
    scatter_add scatter_reduce searchsorted select select_scatter slice slice_scatter slice_inverse softmax softmin sort
    split split_with_sizes squeeze stack swapaxes swapdims take take_along_dim tensor_split tile to topk trace transpose
    tril tril_indices triu triu_indices type_as unbind unflatten unfold uniform unique_consecutive unique_dim unsqueeze
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d vander var_mean view view_as view_as_complex view_as_real vstack
    _weight_norm _weight_norm_interface where zero zeros zeros_like celu selu logsumexp softshrink hardshrink
    outer ger addr _softmax _log_softmax quantile nanquantile kthvalue mode msort aminmax all any cosine_embedding_loss
    mse_loss l1_loss smooth_l1_loss huber_loss nll_loss nll_loss_nd cross_entropy_loss binary_cross_entropy
    binary_cross_entropy_with_logits kl_div sym_size sym_numel sym_stride _assert_async _assert_scalar
    _assert_tensor_metadata
    """.split()
)
WORDS = {
    **{
        "scaled_dot_product_attention": "attention",
        "baddbmm": "matmul",
        "bmm": "matmul",
        "mm": "matmul",
        "mul": "multiply",
    },
    **{"addmm": "matmul", "sub": "subtract", "div": "divide", "pad": "pad", "constant_pad_nd": "pad", "cat": "concat"},
    **{"upsample_nearest2d": "nearest", "upsample_bilinear2d": "bilinear", "upsample_bicubic2d": "bicubic"},
}
NORMS = {"instance_norm", "group_norm", "batch_norm"}
TAGS = {getattr(torch.Tag, name) for name in ("pointwise", "reduction") if hasattr(torch.Tag, name)}


def free(call: Call) -> bool:
    return call.said.startswith("aten.") and (call.op in FREE or call.op in VIEWS or bool(TAGS & set(call.tags)))


def spent(call: Call) -> Work | None:
    """What a step multiplies and adds; None: not known."""
    try:
        if call.op in WORK:
            return WORK[call.op](call)
        if call.op in PRODUCTS:
            return work(PRODUCTS[call.op](call))
    except (Unknown, ValueError, TypeError, AttributeError, IndexError):
        return None
    return Work(0, []) if free(call) else None


def operands(call: Call) -> list[Any]:
    """In the order in which `Work.back` has them."""
    named = {
        "scaled_dot_product_attention": ("query", "key", "value"),
        "bilinear": ("input1", "input2", "weight"),
    }.get(call.op)
    if named:
        return [call[name] for name in named]
    if call.op in PRODUCTS:
        return PRODUCTS[call.op](call).operands
    if "conv" in call.op:
        return [call["input"], call["weight"]]
    return [call["data"] if "data" in call.arguments else call["input"]]


def traced(scribe: Scribe, call: Call) -> Value:
    """The step as a leaf."""
    values, consts = call.found(Value), call.found(Const)
    cost = spent(call)
    back = dict.fromkeys((id(v) for v in values), 0)
    to_weights = cost.within if cost else 0
    if cost and cost.back:
        for operand, macs in zip(operands(call), cost.back, strict=True):
            if isinstance(operand, Value):
                back[id(operand)] += macs
            elif isinstance(operand, Const) and any(name in scribe.captured.parameters for name in operand.reads):
                to_weights += macs
    dims = _dims(call, values, cost)
    reads, seen = [], set()
    for value in values:
        if id(value) not in seen:
            reads.append(Read(value, _windows(call, value, values, dims), back[id(value)]))
            seen.add(id(value))
    said, label = _said(call)
    return scribe.traced(
        call,
        reads,
        dims,
        macs=cost and cost.macs if cost else None,
        to_weights=to_weights,
        label=label,
        said=said,
        consts=consts,
        content=TAGS & set(call.tags) != set(),
    )


def _said(call: Call) -> tuple[str, str]:
    """(as a row says it, in a few words)."""
    weight = call["weight"]
    shape: Shape = getattr(weight, "shape", None) or ()
    if "conv" in call.op and len(shape) > 2:
        transposed = "transpose" in call.op
        out = shape[1] * (call["groups"] or 1) if transposed else shape[0]
        kernel = "×".join(map(str, shape[2:]))
        stride = set(call["stride"] if isinstance(call["stride"], list | tuple) else [call["stride"] or 1])
        over = f" /{max(stride)}" if stride - {1} else ""
        return f"Conv({out}, {kernel}) as {call.said}", f"{kernel} {'transposed ' * transposed}conv{over}"
    if call.op == "linear" and shape:
        return f"Linear({shape[0]}) of each cell", "linear"
    return call.said, WORDS.get(call.op, call.op.strip("_").replace("_", " "))


# The axes of what comes out


def _dims(call: Call, values: list[Value], cost: Work | None) -> tuple[Dim, ...]:
    shape = call.shape
    if shape is None:
        return ()
    if call.op in PRODUCTS and cost is not None:
        return _of_product(call, shape)
    if call.op == "scaled_dot_product_attention":
        query = call["query"]
        if isinstance(query, Value) and len(query.dims) == len(shape):
            last = call["value"].dims[-1] if isinstance(call["value"], Value) else ()
            last = (
                last
                if prod(p.size for p in last) == shape[-1] and {p.kind for p in last} <= {CHANNELS}
                else _cells(CHANNELS, shape[-1])
            )
            return (*query.dims[:-1], last)
    if call.op in ("lstm", "gru", "rnn_tanh", "rnn_relu", "embedding", "lstm_cell", "gru_cell", "rnn_tanh_cell"):
        x = values[0] if values else None
        lead = x.dims[: len(shape) - 1] if x is not None and len(x.dims) >= len(shape) - 1 else ((),) * (len(shape) - 1)
        return _featured(lead, shape[-1])
    if call.op in (
        "max",
        "min",
        "sum",
        "mean",
        "amax",
        "amin",
        "prod",
        "argmax",
        "argmin",
        "std",
        "var",
        "any",
        "all",
        "logsumexp",
        "norm",
        "linalg_vector_norm",
        "median",
    ):
        return _reduced(call, values, shape)
    if (
        "conv" in call.op
        and len(shape) > 3
        and isinstance(call["input"], Value)
        and len(call["input"].dims) == len(shape)
    ):
        return ((), _cells(CHANNELS, shape[1]), *(_cells(ROWS, n) for n in shape[2:-1]), _cells(COLUMNS, shape[-1]))
    if call.op in ("pixel_shuffle", "pixel_unshuffle") and len(shape) == 4:
        return tuple(_cells(kind, n) for kind, n in zip((CHANNELS, CHANNELS, ROWS, COLUMNS), shape, strict=True))
    return carried(values, shape)


def _cells(kind: int, n: int) -> Dim:
    return (Piece(kind, 1, n),) if n != 1 else ()


def _featured(lead: tuple[Dim, ...], features: int) -> tuple[Dim, ...]:
    """Axes whose last one is made of weights: its channels. If the others were taken for channels, they are cells."""
    if not any(piece.kind != CHANNELS for dim in lead for piece in dim):
        lead = tuple(tuple(piece._replace(kind=ROWS) for piece in dim) for dim in lead)
    return (*lead, _cells(CHANNELS, features))


def _of_product(call: Call, shape: Shape) -> tuple[Dim, ...]:
    product = PRODUCTS[call.op](call)
    if len(product.out) != len(shape):
        return guessed(shape)
    dims: list[Dim] = []
    grid_of: str | None = None  # whose rows and columns these are: two grids cannot both be
    made_last = False
    for letter, n in zip(product.out, shape, strict=True):
        dim: Dim | None = None
        for operand, letters in zip(product.operands, product.letters, strict=True):
            if isinstance(operand, Value) and letter in letters:
                found = operand.dims[letters.index(letter)]
                if prod(piece.size for piece in found) == n and (found or n == 1):
                    spatial = any(piece.kind != CHANNELS for piece in found)
                    if spatial and grid_of not in (None, id(operand)):
                        continue
                    grid_of = id(operand) if spatial else grid_of  # type: ignore[assignment]
                    dim = found
                    break
        made_last = dim is None
        dims.append(_cells(CHANNELS, n) if dim is None else dim)
    if made_last and call.op in ("linear", "matmul", "addmm", "mm"):
        return _featured(tuple(dims[:-1]), shape[-1])
    return tuple(dims)


def _reduced(call: Call, values: list[Value], shape: Shape) -> tuple[Dim, ...]:
    x = values[0]
    over = call["dim"]
    if over in (None, []):
        return ((),) * len(shape)
    gone = {d % max(1, len(x.dims)) for d in (over if isinstance(over, list | tuple) else [over])}
    dims = tuple(() if i in gone else dim for i, dim in enumerate(x.dims) if call["keepdim"] or i not in gone)
    return dims if len(dims) == len(shape) else guessed(shape)


# What is read of the grid


def _windows(call: Call, x: Value, values: list[Value], dims: tuple[Dim, ...]) -> Any:
    plain4 = len(x.dims) == 4 and x.whole and x.plain
    if call.op in ("pad", "constant_pad_nd") and plain4 and len(call["pad"]) <= 4:
        left, right, top, bottom = (*call["pad"], 0, 0, 0, 0)[:4]
        return Window(1, 1, top, bottom), Window(1, 1, left, right)
    if "upsample" in call.op and plain4 and call.shape is not None:
        return tuple(_resized(call, n, out) for n, out in zip(x.home.grid, call.shape[2:], strict=True))
    if call.op == "pixel_shuffle" and plain4:
        step = Fraction(1, call["upscale_factor"])
        return Stretch(0, 0, step), Stretch(0, 0, step)
    if call.op == "pixel_unshuffle" and plain4:
        factor = call["downscale_factor"]
        return Window(factor, factor), Window(factor, factor)
    if (sliding := _sliding(call, x)) is not None:
        return sliding
    if call.op == "scaled_dot_product_attention":
        return CELL_BY_CELL if x is call["query"] else _around(x, x.dims[:-2])
    if call.op in PRODUCTS and len(values) > 1:
        product = PRODUCTS[call.op](call)
        letters = next((found for o, found in zip(product.operands, product.letters, strict=True) if o is x), "")
        ours = [(dim, x.dims[letters.index(a)]) for a, dim in zip(product.out, dims, strict=True) if a in letters]
        return _around(x, [own for dim, own in ours if {p.kind for p in dim} == {p.kind for p in own}])
    if TAGS & set(call.tags) and call.op not in ("cumsum",):
        return reading(x.home, dims) if call.op in _REDUCING else CELL_BY_CELL
    if call.op in PRODUCTS or call.op in _REDUCING or call.op in _BY_CELL:
        return reading(x.home, dims)
    return EVERYTHING


def _around(x: Value, kept: Any) -> Any:
    """A step between cells of a grid, whose windows (Swin's) are as coarse as what is kept: at most so many around."""
    return tuple(
        w and (w if w.stride == 1 else Window(2 * w.kernel - 1, 1, w.kernel - 1, w.kernel - 1))
        for w in reading(x.home, kept)
    )


_REDUCING = {
    "mean",
    "sum",
    "amax",
    "amin",
    "max",
    "min",
    "prod",
    "std",
    "var",
    "norm",
    "logsumexp",
    "argmax",
    "argmin",
    "any",
    "all",
}
_BY_CELL = {
    "embedding",
    "layer_norm",
    "rms_norm",
    "softmax",
    "log_softmax",
    "prelu",
    "dropout",
    "glu",
    "batch_norm",
    "alpha_dropout",
}


def _sliding(call: Call, x: Value) -> Any:
    """Convolutions and pools over one axis of cells, or with weights that are made of others."""
    rank = {"1d": 1, "2d": 2}.get(call.op[-2:])
    if (
        rank is None
        or len(x.dims) != rank + 2
        or not ("conv" in call.op or call.op.startswith(("max_pool", "avg_pool")))
    ):
        return None
    if isinstance(call["padding"], str) or "transpose" in call.op or x is not (call["input"] or call["self"]):
        return None
    kernel = call["kernel_size"] or getattr(call["weight"], "shape", (0, 0))[2:]
    windows = []
    for i in range(rank):
        one = [
            (pair(v if not isinstance(v, list | tuple) else (tuple(v) * 2)[:2])[min(i, 1)] if v else d)
            for v, d in (
                (kernel, 1),
                (call["stride"] or (kernel if "pool" in call.op else 1), 1),
                (call["padding"], 0),
                (call["dilation"], 1),
            )
        ]
        windows.append(Window(one[0], one[1], one[2], one[2], one[3]))
    if {p.kind for p in x.dims[2]} - {ROWS} or (rank == 2 and {p.kind for p in x.dims[3]} - {COLUMNS}):
        return None
    return (windows[0], windows[1] if rank == 2 else Window(1))


def _resized(call: Call, n: int, out: int) -> Any:
    """Output cell i sees what its centre lies between."""
    step = Fraction(n, out)
    if "_aa" in call.op:
        return None
    if "nearest" in call.op:
        return Stretch(0, 0, step)
    around = 1 if "bicubic" in call.op else 0
    if call["align_corners"]:
        step = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
        return Stretch(-around, 1 + around, step)
    edge = (step - 1) / 2
    return Stretch(edge - around, edge + 1 + around, step)
