"""Every layer and wiring: a volume it fits, and one it cannot. What ought to hold for all is swept over this list.

A layer that is added without a specimen fails tests/blueprint/test_specimens.py.
"""

from __future__ import annotations

from typing import NamedTuple

from striate.blueprint import (
    Activation,
    AvgPool,
    BatchNorm,
    Blueprint,
    Concat,
    Conv,
    Dag,
    Dense,
    Depthwise,
    Dropout,
    DropPath,
    FractionalMaxPool,
    Gate,
    GlobalPool,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocallyConnected,
    LocalResponseNorm,
    MaxPool,
    Pad,
    PositionBias,
    RadialBasis,
    Relu,
    Residual,
    Scale,
    Select,
    Seq,
    Shared,
    Shuffle,
    Tap,
    Upsample,
    Volume,
    bottleneck,
    conv_norm_act,
    squeeze_excite,
)


class Specimen(NamedTuple):
    """A blueprint, a volume it fits, and (where there is one) a volume that it refuses."""

    blueprint: Blueprint
    fits: Volume
    cannot: Volume | None = None


CELL = Dag(
    ("x", "last"),
    (
        ("left", Conv(4, 3, padding=1), ("x",)),
        ("right", MaxPool(3, 1, 1), ("last",)),
        ("sum", "add", ("left", "right")),
        ("all", "concat", ("sum", "x")),
    ),
    "all",
)

SPECIMENS = {
    "conv": Specimen(Conv(6, 5), Volume(3, 12, 12), Volume(3, 4, 4)),
    "conv strided": Specimen(Conv(5, 5, stride=3), Volume(3, 14, 14), Volume(3, 13, 13)),
    "conv padded": Specimen(Conv(4, 7, 2, 1), Volume(3, 17, 17), Volume(3, 4, 30)),
    "conv oblong": Specimen(Conv(4, (1, 7), (1, 2), (0, 3), bias=False), Volume(2, 9, 15), None),
    "conv dilated": Specimen(Conv(4, 3, dilation=2), Volume(2, 9, 9), Volume(2, 4, 9)),
    "conv grouped": Specimen(Conv(6, 3, groups=3), Volume(6, 8, 8), Volume(4, 8, 8)),
    "conv depthwise": Specimen(Depthwise(3, 2), Volume(5, 9, 9), Volume(5, 10, 9)),
    "conv same": Specimen(Conv(4, 3, 2, "same"), Volume(3, 8, 11), None),
    "conv lopsided": Specimen(Conv(4, 3, 2, ((0, 1), (1, 0))), Volume(3, 8, 8), None),
    "conv exact": Specimen(Conv(4, 3, 3, fit="exact"), Volume(2, 9, 9), Volume(2, 7, 7)),
    "conv floor": Specimen(Conv(4, 3, 3, fit="floor"), Volume(2, 10, 11), Volume(2, 2, 2)),
    "conv ceil": Specimen(Conv(4, 3, 3, fit="ceil"), Volume(2, 10, 11), Volume(2, 2, 2)),
    "conv transposed": Specimen(Conv(4, 3, 2, 1, transposed=True, output_padding=1), Volume(6, 5, 4), None),
    "conv transposed grouped": Specimen(Conv(4, 4, 2, 1, groups=2, transposed=True), Volume(6, 5, 4), Volume(5, 5, 5)),
    "locally connected": Specimen(LocallyConnected(4, 3, 2), Volume(3, 7, 9), Volume(3, 6, 6)),
    "locally connected grouped": Specimen(
        LocallyConnected(4, 3, dilation=2, groups=2, bias=False), Volume(2, 7, 8), Volume(3, 7, 8)
    ),
    "max pool": Specimen(MaxPool(2), Volume(4, 8, 8), Volume(4, 7, 7)),
    "max pool overlapping": Specimen(MaxPool(3, 2), Volume(4, 11, 11), Volume(4, 12, 12)),
    "max pool ceil": Specimen(MaxPool(3, 2, fit="ceil"), Volume(2, 12, 12), Volume(2, 1, 1)),
    "max pool same": Specimen(MaxPool(3, 2, "same"), Volume(2, 8, 8), None),
    "average pool": Specimen(AvgPool(5, 2, 1), Volume(3, 9, 9), Volume(3, 2, 59)),
    "average pool uncounted": Specimen(AvgPool(3, 1, 1, count_include_pad=False), Volume(3, 7, 7), None),
    "average pool lopsided": Specimen(AvgPool(2, 2, "same", count_include_pad=False), Volume(3, 7, 7), None),
    "fractional pool": Specimen(FractionalMaxPool(2, 0.6), Volume(3, 15, 15), Volume(3, 1, 1)),
    "global pool": Specimen(GlobalPool(), Volume(5, 7, 6), None),
    "global max pool": Specimen(GlobalPool("max"), Volume(5, 7, 6), None),
    "adaptive pool": Specimen(GlobalPool(output_size=3), Volume(5, 7, 9), None),
    "linear": Specimen(Linear(10), Volume(4, 3, 2), None),
    "linear bare": Specimen(Linear(10, bias=False), Volume(24), None),
    "batch norm": Specimen(BatchNorm(eps=1e-3), Volume(4, 5, 5), None),
    "batch norm bare": Specimen(BatchNorm(affine=False), Volume(4, 5, 5), None),
    "group norm": Specimen(GroupNorm(2), Volume(4, 5, 5), Volume(5, 5, 5)),
    "layer norm": Specimen(LayerNorm(), Volume(4, 5, 5), None),
    "response norm": Specimen(LocalResponseNorm(5, k=2.0, average=False), Volume(8, 4, 4), None),
    "relu": Specimen(Relu, Volume(4, 5, 5), None),
    "scaled tanh": Specimen(Activation("scaled_tanh"), Volume(4, 5, 5), None),
    "softmax": Specimen(Activation("softmax"), Volume(10), None),
    "dropout": Specimen(Dropout(0.2), Volume(4, 5, 5), None),
    "dropout of channels": Specimen(Dropout(0.2, channels=True), Volume(4, 5, 5), None),
    "drop path": Specimen(DropPath(0.2), Volume(4, 5, 5), None),
    "upsample": Specimen(Upsample(2), Volume(4, 5, 4), None),
    "upsample bilinear": Specimen(Upsample(2, "bilinear"), Volume(4, 5, 4), None),
    "shuffle": Specimen(Shuffle(3), Volume(6, 4, 4), Volume(5, 4, 4)),
    "select": Specimen(Select((0, 2, 3)), Volume(4, 3, 3), Volume(3, 3, 3)),
    "select neighbours": Specimen(Select((1, 2)), Volume(4, 3, 3), Volume(2, 3, 3)),
    "position bias": Specimen(PositionBias(), Volume(2, 3, 3), None),
    "radial basis": Specimen(RadialBasis((0b1010, 0b0110, 0b0001)), Volume(4), Volume(3)),
    "pad": Specimen(Pad(((1, 2), (0, 1)), channels=3), Volume(2, 3, 3), None),
    "pad shifted": Specimen(Pad(((-1, 1), (-2, 0))), Volume(2, 5, 4), Volume(2, 5, 2)),
    "scale": Specimen(Scale(0.17), Volume(2, 3, 3), None),
    "identity": Specimen(Identity(), Volume(2, 3, 3), None),
    "seq": Specimen(Seq(Conv(4, 3), Relu, pool=MaxPool(2)), Volume(3, 10, 10), Volume(3, 11, 11)),
    "seq oddly named": Specimen(Seq(**{"3a": Conv(4, 3), "0": Relu}), Volume(3, 10, 10), None),
    "concat": Specimen(Concat(Conv(4, 1), five=Conv(3, 5, padding=2)), Volume(3, 9, 9), None),
    "concat of two sizes": Specimen(Concat(Conv(4, 1), Conv(3, 1)), Volume(3, 9, 9), None),
    "residual": Specimen(Residual(Conv(3, 3, padding=1)), Volume(3, 9, 9), Volume(4, 9, 9)),
    "residual projected": Specimen(bottleneck(2, 2), Volume(4, 9, 9), None),
    "gate": Specimen(squeeze_excite(2, 8), Volume(8, 6, 6), Volume(7, 6, 6)),
    "gate of values": Specimen(Gate(Conv(4, 3, padding=1)), Volume(4, 6, 6), Volume(5, 6, 6)),
    "dense": Specimen(Dense(conv_norm_act(2, 3), conv_norm_act(2, 3)), Volume(3, 6, 6), None),
    "tap": Specimen(Seq(Conv(4, 3), Tap("early", Seq(GlobalPool(), Linear(5))), Tap("map"), Relu), Volume(3, 8, 8)),
    "shared": Specimen(
        Seq(a=Shared("tower", conv_norm_act(3, 3)), b=Shared("tower", conv_norm_act(3, 3))),
        Volume(3, 8, 8),
        Volume(2, 8, 8),
    ),
    "dag": Specimen(Seq(Conv(4, 3), CELL), Volume(3, 8, 8), None),
    "dag of bundles": Specimen(
        Seq(Dag(("x",), (("y", Conv(4, 3, padding=1), ("x",)), ("z", Conv(4, 1), ("x",))), ("y", "z")), CELL),
        Volume(4, 8, 8),
    ),
}
