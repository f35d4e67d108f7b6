"""Steps that are layers or joins of ours. A handler gives None where torch was asked for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from striate.blueprint import layers as L
from striate.blueprint.layer import Layer
from striate.nn.tracing.axes import CHANNELS, Value, joined, plain
from striate.nn.tracing.scribe import Call, Const, Scribe

Handler = Callable[[Scribe, Call], Value | None]


def size(value: Any, default: Any = None) -> Any:
    """A size as we write it: once, where both axes have the same."""
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not found:
        return default
    return found[0] if len(set(found)) == 1 else found


def _given(scribe: Scribe, call: Call, name: str | None, like: Value | None = None) -> Value | None:
    """What a layer of ours gives: N×C×H×W, or the axes of what it reads where nothing moved."""
    if name is None:
        return None
    home = scribe.pen.nodes[name].output
    if like is not None:
        return replace(like, node=name, home=home, shape=call.shape, start=(0, 0, 0))
    return Value(name, home, call.shape, plain(home, len(call.shape or (0,) * 4)))


def conv(scribe: Scribe, call: Call) -> Value | None:
    x, weight = call["input"], call["weight"]
    if not isinstance(x, Value) or not isinstance(weight, Const) or not weight.direct or len(weight.shape or ()) != 4:
        return None
    transposed, groups, padding = "transpose" in call.op, call["groups"] or 1, call["padding"]
    x = scribe.arranged(call, x)
    channels = x.home.channels
    assert weight.shape is not None
    out = weight.shape[1] * groups if transposed else weight.shape[0]
    depthwise = groups == channels > 1
    layer = L.Conv(
        None if depthwise and out == channels else out,
        size(weight.shape[2:]),
        size(call["stride"], 1),
        padding if padding == "same" else 0 if padding == "valid" else size(padding, 0),
        size(call["dilation"], 1),
        None if depthwise else groups,
        call["bias"] is not None,
        transposed=transposed,
        output_padding=size(call["output_padding"], 0) if transposed else 0,
    )
    return _given(scribe, call, scribe.layer(call, layer, x, [weight, call["bias"]], "conv"))


def linear(scribe: Scribe, call: Call) -> Value | None:
    x = call["input"]
    if not isinstance(x, Value) or not x.whole or any(x.dims[:-1]) or len(x.dims) < 2:
        return None
    if x.dims[-1] != joined(piece for dim in plain(x.home) for piece in dim):
        return None
    weight, bias = call["weight"], call["bias"]
    if not isinstance(weight, Const) or len(weight.shape or ()) != 2:
        return None
    assert weight.shape is not None
    name = scribe.layer(call, L.Linear(weight.shape[0], bias is not None), x, [weight, bias], "linear")
    value = _given(scribe, call, name)
    return value and replace(value, dims=((),) * (len(x.dims) - 1) + plain(value.home, 1))


def pool(scribe: Scribe, call: Call) -> Value | None:
    x, kind = call["self"], "max" if "max" in call.op else "average"
    if not isinstance(x, Value) or len(x.dims) != 4 or call["divisor_override"] is not None or call.several:
        return None
    layer = L.Pool(
        kind,
        size(call["kernel_size"]),
        size(call["stride"]),
        size(call["padding"], 0),
        size(call["dilation"] or 1, 1),
        fit="ceil" if call["ceil_mode"] else None,
        count_include_pad=call["count_include_pad"] is not False,
    )
    x = scribe.arranged(call, x)
    return _given(scribe, call, scribe.layer(call, layer, x, word="pool"))


def adaptive(scribe: Scribe, call: Call) -> Value | None:
    x, kind = call["self"], "max" if "max" in call.op else "average"
    if not isinstance(x, Value) or len(x.dims) != 4:
        return None
    x = scribe.arranged(call, x)
    return _given(scribe, call, scribe.layer(call, L.GlobalPool(kind, size(call["output_size"])), x, word="pool"))


def mean(scribe: Scribe, call: Call) -> Value | None:
    """The mean (or the largest value) over the whole grid and nothing else is a global pool."""
    x, over = call["self"], call["dim"]
    if not isinstance(x, Value) or over in (None, []) or not x.whole or x.home.is_vector:
        return None
    gone = {d % len(x.dims) for d in (over if isinstance(over, list | tuple) else [over])}
    kept = [dim for i, dim in enumerate(x.dims) if i not in gone]
    if any(piece.kind != CHANNELS for dim in kept for piece in dim) or any(
        piece.kind == CHANNELS for i in gone for piece in x.dims[i]
    ):
        return None
    name = scribe.layer(call, L.GlobalPool("max" if "max" in call.op else "average"), x, word="pool")
    if name is None:
        return None
    dims = tuple(() if i in gone else dim for i, dim in enumerate(x.dims) if call["keepdim"] or i not in gone)
    return Value(name, scribe.pen.nodes[name].output, call.shape, dims)


def _upright(x: Any) -> bool:
    """Channels are axis 1, and all there."""
    return isinstance(x, Value) and x.whole and len(x.dims) > 1 and x.dims[1] == plain(x.home)[1] and not x.dims[0]


def batch_norm(scribe: Scribe, call: Call) -> Value | None:
    x = call["input"]
    if isinstance(x, Value) and not x.whole:
        x = scribe.solid(call, x)
    if not _upright(x) or call["training"] or not isinstance(call["running_mean"], Const):
        return None
    consts = [call[name] for name in ("weight", "bias", "running_mean", "running_var")]
    layer = L.BatchNorm(call["eps"], call["momentum"], call["weight"] is not None)
    return _given(scribe, call, scribe.layer(call, layer, x, consts, "batch_norm"), x)


def group_norm(scribe: Scribe, call: Call) -> Value | None:
    x = call["input"]
    if not _upright(x):
        return None
    layer = L.GroupNorm(call["num_groups"], call["eps"], call["weight"] is not None)
    return _given(scribe, call, scribe.layer(call, layer, x, [call["weight"], call["bias"]], "group_norm"), x)


def layer_norm(scribe: Scribe, call: Call) -> Value | None:
    """Over all channels of each cell, wherever they lie."""
    x = call["input"]
    if not isinstance(x, Value) or not x.whole or len(call["normalized_shape"]) != 1 or not x.dims:
        return None
    if x.dims[-1] != plain(x.home)[1]:
        return None
    layer = L.LayerNorm(call["eps"], call["weight"] is not None)
    return _given(scribe, call, scribe.layer(call, layer, x, [call["weight"], call["bias"]], "layer_norm"), x)


# torch's name -> ours, where every option is torch's default
ACTIVATIONS = {
    **{kind: kind for kind in ("relu", "relu6", "gelu", "silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid")},
    **{kind: kind for kind in ("leaky_relu", "elu", "softplus")},
    "swish": "silu",
    "special_expit": "sigmoid",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.01},
    "elu": {"alpha": 1, "scale": 1, "input_scale": 1},
    "softplus": {"beta": 1, "threshold": 20},
    "gelu": {"approximate": "none"},
    "hardtanh": {"min_val": 0, "max_val": 6},
}


def activation(scribe: Scribe, call: Call) -> Value | None:
    x = call["self"]
    kind = ACTIVATIONS.get(call.op, "relu6" if call.op == "hardtanh" else call.op)
    if not isinstance(x, Value) or any(call[name] != value for name, value in DEFAULTS.get(call.op, {}).items()):
        return None
    if not x.whole and (len(x.dims) != 4 or x.shape != call.shape):
        return None
    x = scribe.solid(call, x)
    return _given(scribe, call, scribe.layer(call, L.Activation(kind), x, word=kind), x)


def softmax(scribe: Scribe, call: Call) -> Value | None:
    """Over all channels of each cell."""
    x = call["self"]
    kind = "log_softmax" if "log" in call.op else "softmax"
    if not isinstance(x, Value) or not x.whole or not x.dims or x.dims[call["dim"] % len(x.dims)] != plain(x.home)[1]:
        return None
    return _given(scribe, call, scribe.layer(call, L.Activation(kind), x, word=kind), x)


def dropout(scribe: Scribe, call: Call) -> Value | None:
    """One of probability 0 is not there."""
    x = call["input"]
    if not isinstance(x, Value) or not call["p"]:
        return x if isinstance(x, Value) else None
    if not x.whole or "alpha" in call.op:
        return None
    return _given(scribe, call, scribe.layer(call, L.Dropout(call["p"], "feature" in call.op), x, word="dropout"), x)


def shuffle(scribe: Scribe, call: Call) -> Value | None:
    x = call["self"] if "self" in call.arguments else call["input"]
    if not isinstance(x, Value) or not x.plain:
        return None
    return _given(scribe, call, scribe.layer(call, L.Shuffle(call["groups"] or call["group"]), x, word="shuffle"))


def upsample(scribe: Scribe, call: Call) -> Value | None:
    x = call["input"] or call["self"]
    if not isinstance(x, Value) or len(x.dims) != 4 or call["align_corners"] or call.shape is None:
        return None
    x = scribe.arranged(call, x)
    times = {out / n for out, n in zip(call.shape[2:], x.home.grid, strict=True)}
    if len(times) != 1 or (factor := times.pop()) != int(factor):
        return None
    layer = L.Upsample(int(factor), "bilinear" if "bilinear" in call.op else "nearest")
    return _given(scribe, call, scribe.layer(call, layer, x, word="upsample"))


def concat(scribe: Scribe, call: Call) -> Value | None:
    values = call["tensors"]
    if len(values) < 2 or not all(isinstance(v, Value) for v in values):
        return None
    at = (call["dim"] or 0) % len(values[0].dims)
    if any(piece.kind != CHANNELS for value in values for piece in value.dims[at]):
        return None
    values = [scribe.solid(call, value) for value in values]
    first = values[0]
    rest = [(*v.dims[:at], *v.dims[at + 1 :]) for v in values]
    if any(v.dims[at] != plain(v.home)[1] or v.home.grid != first.home.grid for v in values) or len(set(rest)) != 1:
        return None
    if any(piece.kind == CHANNELS for dim in rest[0] for piece in dim) or not all(v.whole for v in values):
        return None
    return _joined(scribe, call, "concat", values, at)


def _joined(scribe: Scribe, call: Call, how: str, values: list[Value], at: int | None = None) -> Value:
    name = scribe.join(call, how, values)
    home, dims = scribe.pen.nodes[name].output, list(values[0].dims)
    if at is not None:
        dims[at] = plain(home)[1]
    return Value(name, home, call.shape, tuple(dims))


def add(scribe: Scribe, call: Call) -> Value | None:
    a, b = call["self"], call["other"]
    if call["alpha"] not in (None, 1):
        return None
    if isinstance(a, Value) and isinstance(b, Value):
        return _joined(scribe, call, "add", [a, b]) if _alike(a, b) else None
    x, bias = (a, b) if isinstance(a, Value) else (b, a)
    if not isinstance(x, Value) or not isinstance(bias, Const) or not x.plain or len(x.dims) != 4:
        return None
    if bias.shape != tuple(x.home) or call.shape != x.shape:
        return None
    return _given(scribe, call, scribe.layer(call, L.PositionBias(), x, [bias], "bias"))


def _alike(a: Value, b: Value) -> bool:
    return a.whole and b.whole and a.home == b.home and a.dims == b.dims


def multiply(scribe: Scribe, call: Call) -> Value | None:
    """Value by value, or each channel with its own number."""
    a, b = call["self"], call["other"]
    if isinstance(a, Value) and isinstance(b, int | float) and a.whole and call.shape == a.shape:
        return _given(scribe, call, scribe.layer(call, L.Scale(b), a, word="scale"), a)
    if not isinstance(a, Value) or not isinstance(b, Value):
        return None
    if _alike(a, b):
        return _joined(scribe, call, "multiply", [a, b])
    x, gate = (a, b) if not a.home.is_vector else (b, a)
    if not (x.whole and gate.whole and gate.home.is_vector) or x.home.is_vector or call.shape != x.shape:
        return None
    at = x.axis(CHANNELS)
    if at is None or gate.home.channels != x.home.channels or gate.axis(CHANNELS) is None:
        return None
    if len(gate.dims) - (gate.axis(CHANNELS) or 0) != len(x.dims) - at:
        return None
    return _joined(scribe, call, "multiply", [x, gate])


def pad(scribe: Scribe, call: Call) -> Value | None:
    """Zeros around the grid, and behind the channels."""
    x, sides = call["self"], list(call["pad"])
    if not isinstance(x, Value) or call["value"] or call["mode"] not in (None, "constant") or len(x.dims) != 4:
        return None
    left, right, top, bottom, before, behind = (*sides, *[0] * 6)[:6]
    if not any(sides):
        return x
    if before or behind < 0 or any(sides[6:]) or not x.plain:
        return None
    layer = L.Pad(((top, bottom), (left, right)), behind)
    return _given(scribe, call, scribe.layer(call, layer, x, word="pad"))


def leaf(scribe: Scribe, call: Call) -> Value | None:
    """A module that was recognised whole."""
    layer: Layer = scribe.captured.leaves[call.path]
    x = scribe.arranged(call, call["x"])
    return _given(scribe, call, scribe.leaf(call, layer, x))


OURS: dict[str, Handler] = {
    **dict.fromkeys(("conv2d", "conv_transpose2d"), conv),
    "linear": linear,
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptive),
    **dict.fromkeys(("mean", "amax"), mean),
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    **dict.fromkeys((*ACTIVATIONS, "hardtanh"), activation),
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax"), softmax),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), dropout),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), shuffle),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"), upsample),
    **dict.fromkeys(("cat", "concat", "concatenate"), concat),
    "add": add,
    **dict.fromkeys(("mul", "multiply"), multiply),
    **dict.fromkeys(("pad", "constant_pad_nd"), pad),
    "leaf": leaf,
}
