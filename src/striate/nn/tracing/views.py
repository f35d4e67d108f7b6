"""Steps that only look at a tensor another way: they are followed, and no node is written, except where channels are
picked or dealt out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from striate.blueprint import Select, Shuffle
from striate.nn.tracing.axes import CHANNELS, Value, plain
from striate.nn.tracing.scribe import Call, Scribe

Result = Value | list[Value] | None
View = Callable[[Scribe, Call, Value], Result]

SAME = (
    *("alias", "clone", "contiguous", "detach", "lift", "lift_fresh", "lift_fresh_copy", "positive", "resolve_conj"),
    *("resolve_neg", "to", "_to_copy", "type_as", "to_dense", "pin_memory", "requires_grad", "conj", "data"),
)
RESHAPES = (
    *("view", "reshape", "_unsafe_view", "_reshape_alias", "view_as", "reshape_as", "flatten", "unflatten", "ravel"),
    *("squeeze", "unsqueeze", "atleast_1d", "atleast_2d", "atleast_3d", "view_copy", "reshape_copy"),
)


def same(scribe: Scribe, call: Call, x: Value) -> Result:
    return replace(x, shape=call.shape)


def reshape(scribe: Scribe, call: Call, x: Value) -> Result:
    view = x.viewed(call.shape) if call.shape is not None else None
    return _dealt(scribe, call, view) if view is not None else None


def _dealt(scribe: Scribe, call: Call, x: Value) -> Value:
    """Channels dealt out over groups are a node, where the tensor is N×C×H×W again."""
    channels = x.home.channels
    if not (x.whole and len(x.dims) == 4 and not x.plain and len(x.dims[1]) == 2):
        return x
    outer, inner = x.dims[1]
    lying = plain(x.home)
    if (*x.dims[:1], lying[1], *x.dims[2:]) != lying or (outer.kind, outer.stride, inner.size) != (
        CHANNELS,
        1,
        inner.size,
    ):
        return x
    if inner.stride != outer.size or outer.size * inner.size != channels:
        return x
    name = scribe.layer(call, Shuffle(inner.size), x, word="shuffle")
    return Value(name, x.home, x.shape, lying) if name else x


def expand(scribe: Scribe, call: Call, x: Value) -> Result:
    """Repeated along axes of length 1: nothing is copied, and the pieces stay what they are."""
    return replace(x, shape=call.shape, dims=((),) * (len(call.shape or ()) - len(x.dims)) + x.dims)


def permute(scribe: Scribe, call: Call, x: Value) -> Result:
    n = len(x.dims)
    order = list(range(n))
    if (dims := call["dims"]) is not None:
        order = [d % n for d in dims]
    elif call.op in ("movedim", "moveaxis"):
        source, to = ([d % n for d in _many(call[key])] for key in ("source", "destination"))
        order = [d for d in order if d not in source]
        for target, d in sorted(zip(to, source, strict=True)):
            order.insert(target, d)
    elif call.op == "numpy_T":
        order.reverse()
    else:
        a, b = (call["dim0"], call["dim1"]) if "dim0" in call.arguments else (call["axis0"], call["axis1"])
        a, b = (-2, -1) if a is None else (a, b)
        if n > 1:
            order[a % n], order[b % n] = order[b % n], order[a % n]
    return x.permuted(order)


def _many(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value]


def picked(scribe: Scribe, call: Call, was: Value, now: Value | None) -> Value | None:
    """Some channels of N×C×H×W are a node; any other slice is looked through."""
    if now is None or now.dims == was.dims or not was.plain or now.start[1:] != (0, 0) or now.shape is None:
        return now
    at = 1 if len(was.dims) > 1 else 0
    if now.shape[:at] + now.shape[at + 1 :] != (was.shape or ())[:at] + (was.shape or ())[at + 1 :]:
        return now
    if len(now.dims[at]) == 1:
        (_, step, n) = now.dims[at][0]
    elif now.dims[at] == ():
        step, n = 1, 1
    else:
        return now
    if len(now.dims) != len(was.dims):
        return now
    first = now.start[CHANNELS]
    name = scribe.layer(call, Select(tuple(range(first, first + step * n, step))), was, word="select")
    if name is None:
        return now
    home = scribe.pen.nodes[name].output
    return Value(name, home, now.shape, plain(home, len(now.dims)) if at else (plain(home)[1],))


def slice_(scribe: Scribe, call: Call, x: Value) -> Result:
    if x.shape is None or call.shape is None:
        return None
    at = (call["dim"] or 0) % len(x.dims)
    n = x.shape[at]
    step = call["step"] or 1
    first = call["start"] or 0
    if not isinstance(first, int) or not isinstance(step, int):
        return None
    first = min(max(first + n if first < 0 else first, 0), n)
    if call.shape == x.shape:
        return x
    return picked(scribe, call, x, x.sliced(at, first, call.shape[at], step))


def narrow(scribe: Scribe, call: Call, x: Value) -> Result:
    if not isinstance(call["start"], int) or call.shape is None or x.shape is None:
        return None
    at = call["dim"] % len(x.dims)
    return picked(scribe, call, x, x.sliced(at, call["start"] % x.shape[at], call["length"]))


def select(scribe: Scribe, call: Call, x: Value) -> Result:
    at, index = call["dim"] % len(x.dims), call["index"]
    if not isinstance(index, int) or x.shape is None:
        return None
    if x.shape[at] == 1:
        return x.without(at)
    one = x.sliced(at, index % x.shape[at], 1)
    return None if one is None else one.without(at)


def split(scribe: Scribe, call: Call, x: Value) -> Result:
    """chunk, split, split_with_sizes, tensor_split: as long as each part is a slice."""
    at = (call["dim"] or 0) % len(x.dims)
    parts: list[Value] = []
    first = 0
    for shape in call.shapes:
        if shape is None or x.shape is None:
            return None
        part = x if shape == x.shape else picked(scribe, call, x, x.sliced(at, first, shape[at]))
        if part is None:
            return None
        parts.append(part)
        first += shape[at]
    return parts


def unbind(scribe: Scribe, call: Call, x: Value) -> Result:
    at = (call["dim"] or 0) % len(x.dims)
    cells = [x.sliced(at, i, 1) for i in range(len(call.shapes))]
    return None if None in cells or x.shape is None else [cell.without(at) for cell in cells if cell is not None]


def index(scribe: Scribe, call: Call, x: Value) -> Result:
    """`x[:, [0, 2, 3]]`: channels picked by a list that is written in the module."""
    indices = call["indices"]
    at = len(indices) - 1
    if any(i is not None for i in indices[:-1]) or not x.plain or at != 1 or len(x.dims) < 2:
        return None
    data = getattr(indices[-1], "data", None)
    if data is None or data.is_meta or data.dim() != 1 or data.dtype != torch.int64 or type(data) is not torch.Tensor:
        return None
    name = scribe.layer(call, Select(tuple(i % x.home.channels for i in data.tolist())), x, word="select")
    if name is None:
        return None
    home = scribe.pen.nodes[name].output
    return Value(name, home, call.shape, plain(home, len(x.dims)))


VIEWS: dict[str, View] = {
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(RESHAPES, reshape),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expand),
    **dict.fromkeys(("permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims"), permute),
    **dict.fromkeys(("numpy_T", "mT", "adjoint", "transpose_copy", "permute_copy"), permute),
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split"), split),
    "slice": slice_,
    "narrow": narrow,
    "select": select,
    "unbind": unbind,
    "index": index,
}
