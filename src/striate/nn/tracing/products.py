"""Steps that multiply and add: matrix products of every spelling, convolutions, attention, recurrent layers.

A multiply-add of two values (attention's scores, say) is one as much as that of a weight with a value, and both are
counted. What only multiplies (an element-wise product, an outer one) or only adds is not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from striate.nn.tracing.axes import Shape
from striate.nn.tracing.scribe import Call

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Product(NamedTuple):
    """Operands with a letter for each axis, contracted from the left: the letters of what comes out."""

    operands: list[Any]
    letters: list[str]
    out: str


class Work(NamedTuple):
    """Multiply-adds: forward, and of the gradient of each operand; `within` those that are always wanted."""

    macs: int
    back: list[int]
    within: int = 0


def shape_of(operand: Any) -> Shape:
    shape: Shape | None = operand.shape
    if shape is None:
        raise Unknown
    return shape


class Unknown(Exception):
    """A shape that is not known before it runs: nor is the cost."""


def work(product: Product) -> Work:
    """Pairs from the left, as torch does them: what only one of the two has and nobody later wants is summed first."""
    sizes: dict[str, int] = {}
    own = []
    for operand, letters in zip(product.operands, product.letters, strict=True):
        own.append(dict(zip(letters, shape_of(operand), strict=True)))
        for letter, n in own[-1].items():
            sizes[letter] = max(n, sizes.get(letter, n))
    macs, back = 0, [0] * len(own)
    left = set(product.letters[0])
    for i in range(1, len(own)):
        right = set(product.letters[i])
        later = set(product.out).union(*product.letters[i + 1 :])
        summed = (left & right) - later
        alone = {a for a in summed if own[i][a] == 1 or (i == 1 and own[0][a] == 1)}
        one = prod(sizes[a] for a in (left | right) if (a in later or a in summed) and a not in alone) if summed else 0
        macs += one
        back[i] += one
        back[next((j for j in range(i) if getattr(product.operands[j], "reads", ())), 0)] += (
            one  # what the left one is made of
        )
        left = (left | right) & later
    return Work(macs, back)


def _last(call: Call) -> Product:
    x, weight = call["input"], call["weight"]
    lead = LETTERS[: len(shape_of(x)) - 1]
    wide = len(shape_of(weight)) == 2
    return Product([x, weight], [f"{lead}z", "yz" if wide else "z"], f"{lead}y" if wide else lead)


def _matmul(a: Any, b: Any) -> Product:
    na, nb = len(shape_of(a)), len(shape_of(b))
    batch = LETTERS[: max(na, nb, 2) - 2]
    left = "z" if na == 1 else batch[len(batch) - na + 2 :] + "yz"
    right = "z" if nb == 1 else batch[len(batch) - nb + 2 :] + "zx"
    out = "".join(c for c in batch if c in left or c in right) + "y" * (na > 1) + "x" * (nb > 1)
    return Product([a, b], [left, right], out)


def _of(first: str, second: str) -> Callable[[Call], Product]:
    return lambda call: _matmul(call[first], call[second])


def _einsum(call: Call) -> Product:
    operands, equation = list(call["tensors"]), call["equation"].replace(" ", "")
    said, arrow, out = equation.partition("->")
    spare = [c for c in LETTERS + LETTERS.upper() if c not in equation]
    inputs = said.split(",")
    longest = max(
        (
            len(shape_of(x)) - len(letters.replace("...", ""))
            for x, letters in zip(operands, inputs, strict=True)
            if "..." in letters
        ),
        default=0,
    )
    dots = "".join(spare[:longest])
    filled = []
    for x, letters in zip(operands, inputs, strict=True):
        n = len(shape_of(x)) - len(letters.replace("...", ""))
        filled.append(letters.replace("...", dots[longest - n :] if n else ""))
    if not arrow:
        every = "".join(filled)
        out = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    return Product(operands, filled, out.replace("...", dots))


def _tensordot(call: Call) -> Product:
    a, b = call["self"], call["other"]
    na, nb = len(shape_of(a)), len(shape_of(b))
    left, right = list(LETTERS[:na]), list(LETTERS[na : na + nb].upper())
    for i, j in zip(call["dims_self"], call["dims_other"], strict=True):
        right[j % nb] = left[i % na]
    both = set(left) & set(right)
    return Product([a, b], ["".join(left), "".join(right)], "".join(c for c in left + right if c not in both))


def _batch_sum(call: Call) -> Product:
    return Product([call["batch1"], call["batch2"]], ["axz", "azy"], "xy")


PRODUCTS: dict[str, Callable[[Call], Product]] = {
    "linear": _last,
    "matmul": _of("self", "other"),
    "linalg_matmul": _of("input", "other"),
    "inner": lambda call: Product(
        [call["self"], call["other"]],
        [f"{LETTERS[: len(shape_of(call['self'])) - 1]}z", f"{LETTERS[10 : 9 + len(shape_of(call['other']))]}z"],
        LETTERS[: len(shape_of(call["self"])) - 1] + LETTERS[10 : 9 + len(shape_of(call["other"]))],
    ),
    "mm": _of("self", "mat2"),
    "bmm": _of("self", "mat2"),
    "mv": _of("self", "vec"),
    "dot": _of("self", "tensor"),
    "vdot": _of("self", "other"),
    "addmm": _of("mat1", "mat2"),
    "addmv": _of("mat", "vec"),
    "baddbmm": _of("batch1", "batch2"),
    "addbmm": _batch_sum,
    "einsum": _einsum,
    "tensordot": _tensordot,
}


def convolution(call: Call) -> Work:
    """Each weight meets one value for each output cell; transposed, for each input cell."""
    x, weight = shape_of(call["input"]), shape_of(call["weight"])
    rank = len(weight) - 2
    transposed = "transpose" in call.op or bool(call["transposed"])
    if call.shape is None:
        raise Unknown
    cells = x if transposed else call.shape
    macs = prod(weight) * prod(cells[len(cells) - rank :]) * prod(x[: len(x) - rank - 1])
    return Work(macs, [macs, macs])


def attention(call: Call) -> Work:
    """Queries with keys, and what comes of it with values (Vaswani et al. 2017, equation 1); a mask spares nothing."""
    query, key, value = (shape_of(call[name]) for name in ("query", "key", "value"))
    scores = prod(query[:-1]) * key[-2]
    first, second = scores * query[-1], scores * value[-1]
    return Work(first + second, [first + second, first, second])


def bilinear(call: Call) -> Work:
    """Each weight meets one pair of values."""
    macs = prod(shape_of(call["weight"])) * prod(shape_of(call["input1"])[:-1])
    return Work(macs, [macs] * 3)


def recurrent(call: Call) -> Work:
    """Every matrix once a step. The gradient towards the state before the first step is nobody's."""
    packed = "data" in call.arguments
    x = shape_of(call["data"] if packed else call["input"])
    matrices = [shape_of(w) for w in call["params"] if len(shape_of(w)) == 2]
    rows = x[0] if packed else prod(x[:-1])
    steps = 1 if packed or len(x) < 2 else x[1] if call["batch_first"] and len(x) == 3 else x[0]
    each = 3 if any(shape[0] != matrices[0][0] for shape in matrices) else 2  # with a projection of the state, or not
    directions = 2 if call["bidirectional"] else 1
    reading = sum(prod(shape) for shape in matrices[: each * directions : each])
    state = sum(prod(shape) for shape in matrices[1::each])
    every = sum(map(prod, matrices))
    macs, outer = rows * every, rows * reading
    given = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    begun = packed or any(hasattr(h, "node") for h in given)  # else nobody learns the state it begins with
    return Work(macs, [outer], 2 * macs - outer - (0 if begun else rows // steps * state))


def cell(call: Call) -> Work:
    """One step of a recurrent layer."""
    x = shape_of(call["input"])
    reading, state = (prod(shape_of(call[name])) * prod(x[:-1]) for name in ("w_ih", "w_hh"))
    states = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    begun = any(hasattr(h, "node") for h in states)  # else it is the first step, whose state nobody learns
    return Work(reading + state, [reading], reading + state + begun * state)


WORK: dict[str, Callable[[Call], Work]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "_convolution"), convolution),
    "scaled_dot_product_attention": attention,
    "bilinear": bilinear,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), cell),
}
