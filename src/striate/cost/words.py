"""A layer in a few words, as a paper's figure has it: 7×7 conv /2 · 3×3 max pool /2 · batch norm · linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from striate.blueprint.layer import Layer, pair


def _by(size: Any) -> str:
    return "×".join(map(str, pair(size)))


def _over(stride: Any) -> str:
    if stride in (1, (1, 1)):
        return ""
    return f" /{stride}" if isinstance(stride, int) else f" /{_by(stride)}"


def _conv(layer: Any) -> str:
    kind = "depthwise" if layer.groups is None else "transposed conv" if getattr(layer, "transposed", False) else "conv"
    groups = f" in {layer.groups} groups" if layer.groups and layer.groups > 1 else ""
    dilated = f" dilated {layer.dilation}" if layer.dilation not in (1, (1, 1)) else ""
    return f"{_by(layer.kernel_size)} {kind}{_over(layer.stride)}{dilated}{groups}"


POOLS = {"average": "avg", "max": "max"}
WORDS: dict[str, Callable[[Any], str]] = {
    "Conv": _conv,
    "LocallyConnected": lambda layer: f"{_by(layer.kernel_size)} local{_over(layer.stride)}",
    "Pool": lambda layer: (
        f"{_by(layer.kernel_size)} {POOLS[layer.kind]} pool{_over(layer.stride or layer.kernel_size)}"
    ),
    "FractionalMaxPool": lambda layer: f"fractional max pool {layer.output_ratio}",
    "GlobalPool": lambda layer: f"{POOLS[layer.kind]} pool to {_by(layer.output_size)}",
    "BatchNorm": lambda _: "batch norm",
    "GroupNorm": lambda layer: f"group norm of {layer.num_groups}",
    "LayerNorm": lambda _: "layer norm",
    "LocalResponseNorm": lambda layer: f"response norm of {layer.size}",
    "Activation": lambda layer: layer.kind.replace("_", " "),
    "Dropout": lambda layer: f"dropout {layer.p:g}",
    "DropPath": lambda layer: f"drop path {layer.p:g}",
    "Upsample": lambda layer: f"{layer.mode} ×{layer.scale_factor}",
    "Shuffle": lambda layer: f"shuffle of {layer.groups}",
    "Select": lambda layer: f"select {len(layer.channels)} channels",
    "Pad": lambda _: "zeros",
    "Scale": lambda layer: f"times {layer.factor:g}",
    "PositionBias": lambda _: "position bias",
    "RadialBasis": lambda layer: f"radial basis of {len(layer.codes)}",
}


def words(op: Layer | str) -> str:
    """What the op is, short; a layer that is not ours as it says itself, or by its class's name."""
    if isinstance(op, str):
        return op
    say = WORDS.get(type(op).__name__)
    return say(op) if say else getattr(op, "label", "") or type(op).__name__.lower()
