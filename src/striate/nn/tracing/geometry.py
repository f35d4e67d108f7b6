"""Where the numbers of a step that is no layer of ours lie, and what they see: its axes, and how it reads the grid."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from striate.blueprint import Window
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
    cut,
    guessed,
    reading,
)
from striate.nn.tracing.free import TAGS
from striate.nn.tracing.products import PRODUCTS
from striate.nn.tracing.scribe import Call

REDUCE = "all amax amin any argmax argmin linalg_vector_norm logsumexp max mean median min norm prod std sum var"
LOOKED_UP = "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell embedding"
BY_CELL = "layer_norm rms_norm softmax log_softmax prelu dropout alpha_dropout glu batch_norm"
REDUCING, FEATURED, CELLWISE = (frozenset(names.split()) for names in (REDUCE, LOOKED_UP, BY_CELL))


def dims_of(call: Call, values: list[Value], priced: bool) -> tuple[Dim, ...]:
    """The axes of what comes out."""
    shape = call.shape
    if shape is None:
        return ()
    if call.op in PRODUCTS and priced:
        return _of_product(call, shape)
    if call.op == "scaled_dot_product_attention" and isinstance(query := call["query"], Value):
        return (*query.dims[:-1], _channels(call["value"], shape[-1]))
    if call.op in FEATURED:
        return _featured((values[0].dims + ((),) * len(shape))[: len(shape) - 1], shape[-1])
    if call.op in REDUCING:
        return _reduced(call, values[0], shape)
    image = len(shape) > 3 and ("conv" in call.op or call.op.startswith("pixel_"))
    if image:  # N×C×…×H×W: rows are all the axes between
        return ((), _cells(CHANNELS, shape[1]), *(_cells(ROWS, n) for n in shape[2:-1]), _cells(COLUMNS, shape[-1]))
    return carried(values, shape)


def _channels(value: Any, n: int) -> Dim:
    """A last axis of n channels: as it lies in `value`, where that is so."""
    last = value.dims[-1] if isinstance(value, Value) else ()
    same = prod(piece.size for piece in last) == n and all(piece.kind == CHANNELS for piece in last)
    return last if same else _cells(CHANNELS, n)


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


def _reduced(call: Call, x: Value, shape: Shape) -> tuple[Dim, ...]:
    over = call["dim"]
    if over in (None, []):
        return ((),) * len(shape)
    gone = {d % max(1, len(x.dims)) for d in (over if isinstance(over, list | tuple) else [over])}
    dims = tuple(() if i in gone else dim for i, dim in enumerate(x.dims) if call["keepdim"] or i not in gone)
    return dims if len(dims) == len(shape) else guessed(shape)


def windows_of(call: Call, x: Value, values: list[Value], dims: tuple[Dim, ...]) -> Any:
    """How the step reads the rows and columns of one of its values."""
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
    if call.op in REDUCING or (call.op in PRODUCTS and x.whole):
        return reading(x.home, dims)
    if call.op in CELLWISE:
        return EVERYTHING if _across(call, x) else cut(x)
    return cut(x) if TAGS & set(call.tags) and _aligned(x, dims) else EVERYTHING


def _across(call: Call, x: Value) -> bool:
    """Whether cells of the grid are brought together, not only the channels of each."""
    axes = [call["dim"]] if call["dim"] is not None else range(-len(call["normalized_shape"] or ()), 0)
    return any(piece.kind != CHANNELS for axis in axes for piece in x.dims[axis])


def _aligned(x: Value, dims: tuple[Dim, ...]) -> bool:
    """Rows meet rows, and columns columns, wherever the value is not the same for all of them."""
    pairs = zip(reversed(x.dims), reversed(dims), strict=False)
    return all({p.kind for p in mine} == {p.kind for p in theirs} for mine, theirs in pairs if mine)


def _around(x: Value, kept: Any) -> Any:
    """A step between cells of a grid, whose windows (Swin's) are as coarse as what is kept: at most so many around."""
    return tuple(
        w and (w if w.stride == 1 else Window(2 * w.kernel - 1, 1, w.kernel - 1, w.kernel - 1))
        for w in reading(x.home, kept)
    )


def _sliding(call: Call, x: Value) -> Any:
    """Convolutions and pools over one axis of cells, or with weights that are made of others."""
    rank = {"1d": 1, "2d": 2}.get(call.op[-2:])
    slides = ("conv" in call.op and "transpose" not in call.op) or call.op.startswith(("max_pool", "avg_pool"))
    if rank is None or not slides or len(x.dims) != rank + 2 or isinstance(call["padding"], str):
        return None
    if x is not (call["input"] or call["self"]) or any(
        piece.kind != kind for kind, dim in zip((ROWS, COLUMNS), x.dims[2:], strict=False) for piece in dim
    ):
        return None
    kernel = call["kernel_size"] or getattr(call["weight"], "shape", (0, 0, 1, 1))[2:]
    said = (kernel, call["stride"] or (kernel if "pool" in call.op else 1), call["padding"] or 0, call["dilation"] or 1)
    windows = [Window(k, s, p, p, d) for k, s, p, d in zip(*(_each(size, rank) for size in said), strict=True)]
    return windows[0], windows[1] if rank == 2 else Window(1)


def _each(size: Any, rank: int) -> list[int]:
    """A size for each axis of cells."""
    given = list(size) if isinstance(size, list | tuple) else [size]
    return given * rank if len(given) == 1 else given


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
