"""The leaves: every layer that weighs, slides or reshapes, each with its physics in `place`.

Fields are torch's, in torch's order. None has `in_channels`: volumes are known while drafting. A size is said once,
or as (rows, columns); padding also as ((top, bottom), (left, right)) or "same" (output = ceil(input / stride)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from math import prod
from typing import Any, ClassVar

from striate.blueprint.convolving import Conv, Depthwise, LocallyConnected, divide
from striate.blueprint.layer import NONE, Layer, Placed, Shapes, among, numbers, pair, whole
from striate.blueprint.pooling import AvgPool, FractionalMaxPool, GlobalPool, MaxPool, Pool
from striate.blueprint.refusal import CannotPlace
from striate.blueprint.volume import LIMIT, Volume
from striate.blueprint.window import Stretch, Window


@dataclass(frozen=True, repr=False)
class Linear(Layer):
    """Every output reads every input: C×H×W, flattened, -> out_features."""

    out_features: int
    bias: bool = True

    def place(self, volume: Volume) -> Placed:
        shape = (self.out_features, volume.size)
        weights: Shapes = {"weight": shape, "bias": shape[:1]} if self.bias else {"weight": shape}
        return Placed(
            Volume(self.out_features), weights, NONE, prod(shape), (Window(volume.height), Window(volume.width))
        )


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Each channel normalised over the batch and the grid (Ioffe & Szegedy 2015, arXiv 1502.03167)."""

    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def place(self, volume: Volume) -> Placed:
        c = (volume.channels,)
        weights: Shapes = {"weight": c, "bias": c} if self.affine else NONE
        return Placed(volume, weights, {"running_mean": c, "running_var": c, "num_batches_tracked": ()})


@dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Each group of channels normalised over the grid, example by example (Wu & He 2018, arXiv 1803.08494)."""

    whole_grid: ClassVar[bool] = True
    num_groups: int
    eps: float = 1e-5
    affine: bool = True

    def place(self, volume: Volume) -> Placed:
        if volume.channels % self.num_groups:
            why = f"{self.num_groups} groups do not divide {volume.channels} channels."
            raise CannotPlace(self, volume, why, search=divide("num_groups", self.num_groups, volume.channels))
        c = (volume.channels,)
        return Placed(volume, {"weight": c, "bias": c} if self.affine else NONE)


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Each cell normalised over its channels (Ba et al. 2016; as ConvNeXt uses it, arXiv 2201.03545)."""

    eps: float = 1e-6
    affine: bool = True

    def place(self, volume: Volume) -> Placed:
        c = (volume.channels,)
        return Placed(volume, {"weight": c, "bias": c} if self.affine else NONE)


@dataclass(frozen=True, repr=False)
class LocalResponseNorm(Layer):
    """Divides by (k + alpha·Σx²)^beta over `size` neighbouring channels. Published in two forms: Krizhevsky et al.
    2012, section 3.3 sums;
    Caffe and torch take the mean (`average=True`), so their alpha is `size` times the paper's."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    _: KW_ONLY
    average: bool = True

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "sigmoid", "tanh", "scaled_tanh"),
    *("hardswish", "hardsigmoid", "softmax", "log_softmax"),
)


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """A function of each value; softmax and log_softmax, of each cell's channels. scaled_tanh is 1.7159·tanh(2x/3)
    (LeCun et al. 1998, appendix A).
    """

    kind: str = field(metadata=among(*ACTIVATIONS))

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


Relu = Activation("relu")


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training each value is 0 with probability p (Srivastava et al. 2014); with `channels`, whole maps are."""

    p: float = 0.5
    channels: bool = False

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class DropPath(Layer):
    """In training the whole branch of an example is 0 with probability p (stochastic depth, Huang et al. 2016, arXiv
    1603.09382).
    """

    p: float = 0.1

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class Upsample(Layer):
    """The grid enlarged `scale_factor` times, by repeating cells or bilinearly (corners not aligned)."""

    scale_factor: int
    mode: str = field(default="nearest", metadata=among("nearest", "bilinear"))

    def place(self, volume: Volume) -> Placed:
        step = Fraction(1, self.scale_factor)
        edge = (step - 1) / 2 if self.mode == "bilinear" else Fraction(0)
        reading = Stretch(edge, edge + (self.mode == "bilinear" and self.scale_factor > 1), step)
        out = Volume(volume.channels, volume.height * self.scale_factor, volume.width * self.scale_factor).checked()
        return Placed(out, windows=(reading, reading))


@dataclass(frozen=True, repr=False)
class Shuffle(Layer):
    """Channels dealt out over the groups, so that the next grouped convolution mixes them (ShuffleNet, arXiv
    1707.01083, section 3.1).
    """

    groups: int

    def place(self, volume: Volume) -> Placed:
        if volume.channels % self.groups:
            why = f"{self.groups} groups do not divide {volume.channels} channels."
            raise CannotPlace(self, volume, why, search=divide("groups", self.groups, volume.channels))
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class Select(Layer):
    """Only some channels: LeNet-5's C3 table, ShuffleNet v2's channel split."""

    channels: tuple[int, ...] = field(metadata=numbers())

    def place(self, volume: Volume) -> Placed:
        if not self.channels or not all(0 <= c < volume.channels for c in self.channels):
            raise CannotPlace(
                self,
                volume,
                f"The volume has channels 0 to {volume.channels - 1}; wanted are {self.channels or 'none'}.",
            )
        return Placed(Volume(len(self.channels), *volume.grid))


@dataclass(frozen=True, repr=False)
class PositionBias(Layer):
    """A bias for each cell of each channel (AlphaGo's last layer, Silver et al. 2016, methods)."""

    def place(self, volume: Volume) -> Placed:
        return Placed(volume, {"bias": tuple(volume)})


@dataclass(frozen=True, repr=False)
class RadialBasis(Layer):
    """Minus the squared distance to each of some fixed codes of ±1, bit by bit from the highest (LeNet-5's output,
    LeCun et al. 1998, section II-B).

    Nothing here is trained; the codes are a buffer. MACs: one a code and input.
    """

    codes: tuple[int, ...] = field(metadata=numbers())

    def place(self, volume: Volume) -> Placed:
        longest = max((code.bit_length() for code in self.codes), default=0)
        if not self.codes or longest > volume.size:
            raise CannotPlace(
                self,
                volume,
                f"The longest of {len(self.codes)} codes has {longest} bits; the volume has {volume.size} values.",
            )
        shape = (len(self.codes), volume.size)
        return Placed(
            Volume(len(self.codes)), NONE, {"codes": shape}, prod(shape), (Window(volume.height), Window(volume.width))
        )


@dataclass(frozen=True, repr=False)
class Identity(Layer):
    """Nothing: the skip of a choice, the place of a removed layer."""

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class Pad(Layer):
    """Zeros around the grid, said as padding is; a negative number cuts off (NASNet's shifted paths). `channels` of
    zeros follow those there are: the shortcut without parameters (He et al. 2015, section 3.3, option A).
    """

    grid: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] = field(default=0, metadata=whole(-LIMIT))
    channels: int = field(default=0, metadata=whole(0))

    def place(self, volume: Volume) -> Placed:
        (top, bottom), (left, right) = (pair(sides) for sides in pair(self.grid))
        grid = volume.height + top + bottom, volume.width + left + right
        lost = -min(0, top) - min(0, bottom), -min(0, left) - min(0, right)
        if lost[0] >= volume.height or lost[1] >= volume.width:
            raise CannotPlace(
                self,
                volume,
                f"{volume.height} - {lost[0]} rows and {volume.width} - {lost[1]} columns: nothing would be left.",
            )
        output = Volume(volume.channels + self.channels, *grid).checked()
        return Placed(output, NONE, NONE, 0, (Window(1, 1, top, bottom), Window(1, 1, left, right)), lost)


@dataclass(frozen=True, repr=False)
class Scale(Layer):
    """Each value times a constant: residuals turned down (Szegedy et al. 2016, arXiv 1602.07261, section 3.3)."""

    factor: float

    def place(self, volume: Volume) -> Placed:
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class Foreign(Layer):
    """Any factory of an nn.Module, as a leaf: `factory(volume)` makes it when the network is built.

    What cannot be known here is said by whoever writes it: `output` (None: the volume is kept), `weights` (name,
    shape), `macs` (None: not known, and
    every total it goes into becomes a lower bound). Never read from a file: a file holds no code.
    """

    factory: Callable[[Volume], Any]
    output: tuple[int, int, int] | None = None
    weights: tuple[tuple[str, tuple[int, ...]], ...] = ()
    macs: int | None = None

    def place(self, volume: Volume) -> Placed:
        return Placed(
            Volume(*self.output) if self.output else volume,
            dict(self.weights),
            NONE,
            self.macs,
            (Window(volume.height), Window(volume.width)),
        )


LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        *(Conv, LocallyConnected, Pool, FractionalMaxPool, GlobalPool, Linear),
        *(BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, Activation, Dropout, DropPath, Upsample, Shuffle, Select),
        *(PositionBias, RadialBasis, Identity, Pad, Scale),
    )
}

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Activation",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Depthwise",
    "DropPath",
    "Dropout",
    "Foreign",
    "FractionalMaxPool",
    "GlobalPool",
    "GroupNorm",
    "Identity",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "LocallyConnected",
    "MaxPool",
    "Pad",
    "Pool",
    "PositionBias",
    "RadialBasis",
    "Relu",
    "Scale",
    "Select",
    "Shuffle",
    "Upsample",
]
