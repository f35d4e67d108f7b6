"""Steps that are no layer of ours, as `Traced` leaves: what they cost where that is known, "?" where it is not."""

from __future__ import annotations

from typing import Any

from striate.nn.tracing.axes import Shape, Value
from striate.nn.tracing.free import TAGS, free
from striate.nn.tracing.geometry import dims_of, windows_of
from striate.nn.tracing.products import PRODUCTS, WORK, Unknown, Work, work
from striate.nn.tracing.scribe import Call, Const, Read, Scribe

WORDS = {
    "scaled_dot_product_attention": "attention",
    "baddbmm": "matmul",
    "bmm": "matmul",
    "mm": "matmul",
    "mul": "multiply",
    "addmm": "matmul",
    "sub": "subtract",
    "div": "divide",
    "pad": "pad",
    "constant_pad_nd": "pad",
    "cat": "concat",
    "upsample_nearest2d": "nearest",
    "upsample_bilinear2d": "bilinear",
    "upsample_bicubic2d": "bicubic",
}


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
    dims = dims_of(call, values, cost is not None)
    reads, seen = [], set()
    for value in values:
        if id(value) not in seen:
            reads.append(Read(value, windows_of(call, value, values, dims), back[id(value)]))
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
