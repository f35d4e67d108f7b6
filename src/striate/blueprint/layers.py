"""The leaves: every layer that weighs, slides or reshapes, each with its physics in `place`.

Fields are torch's, in torch's order. None has `in_channels`: volumes are known while drafting. A size is said once
(`3`) or as (rows, columns);
padding also as ((top, bottom), (left, right)) or "same" (output = ceil(input / stride)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from math import ceil, prod
from typing import Any

from striate.blueprint.layer import NONE, Layer, Placed, Shapes, among, pair, typed
from striate.blueprint.refusal import CannotPlace
from striate.blueprint.sliding import Sliding
from striate.blueprint.volume import Volume
from striate.blueprint.window import Reading, Stretch, Window

Size = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str


@dataclass(frozen=True, repr=False)
class Conv(Sliding):
    """A window of weights slid over the volume, all of whose positions share them: C×H×W -> out_channels×H'×W'.

    `out_channels=None`: as many as come in. `groups=None`: one group a channel (depthwise). `transposed`: the gradient
    of that convolution, which enlarges the grid to (n - 1)·stride - padding + reach + output_padding (Dumoulin & Visin
    2016, section 4).
    MACs: kernel × channels read × output cells; transposed: × input cells.
    """

    out_channels: int | None
    kernel_size: Size
    stride: Size = 1
    padding: Padding = 0
    dilation: Size = 1
    groups: int | None = 1
    bias: bool = True
    _: KW_ONLY
    fit: str | None = None
    transposed: bool = False
    output_padding: Size = 0

    def place(self, volume: Volume) -> Placed:
        out = self.out_channels or volume.channels
        groups = self.groups or volume.channels
        if volume.channels % groups or out % groups:
            search = lambda: self.regroup(volume, out)  # noqa: E731
            raise CannotPlace(
                self, volume, f"{groups} groups do not divide {volume.channels} → {out} channels.", search=search
            )
        rows, columns = self.windows(volume)
        kernel = pair(self.kernel_size)
        readings: tuple[Reading, Reading]
        if self.transposed:
            grid, readings, unread = *self.enlarge(volume, rows, columns), (0, 0)
            shape, cells = (volume.channels, out // groups, *kernel), volume.height * volume.width
        else:
            grid, unread = self.slide(volume, rows, columns)
            shape, cells, readings = (out, volume.channels // groups, *kernel), grid[0] * grid[1], (rows, columns)
        weights: Shapes = {"weight": shape, "bias": (out,)} if self.bias else {"weight": shape}
        return Placed(Volume(out, *grid), weights, NONE, prod(shape) * cells, readings, unread)

    def enlarge(self, volume: Volume, *windows: Window) -> tuple[tuple[int, int], tuple[Stretch, Stretch]]:
        grid, readings = [], []
        for n, window, more in zip(volume.grid, windows, pair(self.output_padding), strict=True):
            cells = (n - 1) * window.stride - window.before - window.after + window.reach + more
            if cells < 1:
                sum_ = f"({n} - 1)*{window.stride} - {window.before + window.after} + {window.reach + more} = {cells}"
                raise CannotPlace(self, volume, f"{sum_}: no cell would be left.")
            grid.append(cells)
            step = Fraction(1, window.stride)
            readings.append(Stretch((window.before - window.reach + window.stride) * step, window.before * step, step))
        return (grid[0], grid[1]), (readings[0], readings[1])

    def regroup(self, volume: Volume, out: int) -> tuple[str, ...]:
        wanted = self.groups or volume.channels
        near = sorted(
            (g for g in range(1, min(volume.channels, out, 4096) + 1) if volume.channels % g == out % g == 0),
            key=lambda g: abs(g - wanted),
        )
        return tuple(f"groups={g}" for g in near[:2])


def Depthwise(
    kernel_size: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1, bias: bool = True, **more: Any
) -> Conv:
    """One filter a channel (MobileNet, arXiv 1704.04861, section 3.1)."""
    return Conv(None, kernel_size, stride, padding, dilation, groups=None, bias=bias, **more)


@dataclass(frozen=True, repr=False)
class LocallyConnected(Sliding):
    """A convolution that shares nothing: each position has weights of its own, (rows, columns, out, in/groups, kh, kw)
    of them (Taigman et al. 2014).
    """

    out_channels: int
    kernel_size: Size
    stride: Size = 1
    padding: Padding = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool = True
    _: KW_ONLY
    fit: str | None = None

    def place(self, volume: Volume) -> Placed:
        if volume.channels % self.groups or self.out_channels % self.groups:
            raise CannotPlace(
                self, volume, f"{self.groups} groups do not divide {volume.channels} → {self.out_channels} channels."
            )
        rows, columns = self.windows(volume)
        grid, unread = self.slide(volume, rows, columns)
        shape = (*grid, self.out_channels, volume.channels // self.groups, *pair(self.kernel_size))
        weights: Shapes = {"weight": shape, "bias": (self.out_channels, *grid)} if self.bias else {"weight": shape}
        return Placed(Volume(self.out_channels, *grid), weights, NONE, prod(shape), (rows, columns), unread)


@dataclass(frozen=True, repr=False)
class Pool(Sliding):
    """A window that keeps the largest value, or the mean, of each channel. `stride=None`: the kernel's size, as in
    torch.
    """

    kind: str = field(metadata=among("max", "average"))
    kernel_size: Size
    stride: Size | None = None
    padding: Padding = 0
    dilation: Size = 1
    _: KW_ONLY
    fit: str | None = None
    count_include_pad: bool = True  # the mean's divisor counts padding, as in torch

    def place(self, volume: Volume) -> Placed:
        rows, columns = self.windows(volume)
        for window in (rows, columns):
            if max(window.before, window.after) > window.kernel // 2:
                half = f"{window.kernel}//2 = {window.kernel // 2}: padding {max(window.before, window.after)} is more"
                raise CannotPlace(self, volume, f"{half}, and a window would hold nothing but padding.")
        grid, unread = self.slide(volume, rows, columns)
        return Placed(Volume(volume.channels, *grid), windows=(rows, columns), unread=unread)

    def __repr__(self) -> str:
        return typed(self, "MaxPool" if self.kind == "max" else "AvgPool", leave=("kind",))


def MaxPool(
    kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, *, fit: str | None = None
) -> Pool:
    """The largest value under each window."""
    return Pool("max", kernel_size, stride, padding, dilation, fit=fit)


def AvgPool(
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    *,
    fit: str | None = None,
    count_include_pad: bool = True,
) -> Pool:
    """The mean under each window."""
    return Pool("average", kernel_size, stride, padding, fit=fit, count_include_pad=count_include_pad)


@dataclass(frozen=True, repr=False)
class FractionalMaxPool(Layer):
    """Max pooling whose windows start at pseudo-random steps between 1 and 2 (Graham 2014, arXiv 1412.6071): n ->
    floor(n·output_ratio).
    """

    kernel_size: int
    output_ratio: float

    def place(self, volume: Volume) -> Placed:
        grid = [int(n * self.output_ratio) for n in volume.grid]
        if (
            not 0 < self.output_ratio < 1
            or min(grid) < 1
            or any(m + self.kernel_size - 1 > n for m, n in zip(grid, volume.grid, strict=True))
        ):
            raise CannotPlace(
                self,
                volume,
                f"{volume.height}*{self.output_ratio} = {grid[0]} windows of {self.kernel_size} do not fit on {volume.height}.",
            )
        steps = [Fraction(n - self.kernel_size, max(1, m - 1)) for n, m in zip(volume.grid, grid, strict=True)]
        rows, columns = (Stretch(0, self.kernel_size - 1, step) for step in steps)
        return Placed(Volume(volume.channels, *grid), windows=(rows, columns))


@dataclass(frozen=True, repr=False)
class GlobalPool(Layer):
    """The whole grid pooled to output_size cells a side, whatever it was (Network in Network, arXiv 1312.4400, section
    3.2).
    """

    kind: str = field(default="average", metadata=among("average", "max"))
    output_size: Size = 1

    def place(self, volume: Volume) -> Placed:
        size = pair(self.output_size)
        readings = [
            Stretch(0, ceil(Fraction(n, m)) - 1, Fraction(n, m)) if n % m else Window(n // m, n // m)
            for n, m in zip(volume.grid, size, strict=True)
        ]
        return Placed(Volume(volume.channels, *size), windows=(readings[0], readings[1]))


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

    num_groups: int
    eps: float = 1e-5
    affine: bool = True

    def place(self, volume: Volume) -> Placed:
        if volume.channels % self.num_groups:
            raise CannotPlace(self, volume, f"{self.num_groups} groups do not divide {volume.channels} channels.")
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
            raise CannotPlace(self, volume, f"{self.groups} groups do not divide {volume.channels} channels.")
        return Placed(volume)


@dataclass(frozen=True, repr=False)
class Select(Layer):
    """Only some channels: LeNet-5's C3 table, ShuffleNet v2's channel split."""

    channels: tuple[int, ...]

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

    codes: tuple[int, ...]

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
        *(
            Conv,
            LocallyConnected,
            Pool,
            FractionalMaxPool,
            GlobalPool,
            Linear,
            BatchNorm,
            GroupNorm,
            LayerNorm,
            LocalResponseNorm,
            Activation,
        ),
        *(Dropout, DropPath, Upsample, Shuffle, Select, PositionBias, RadialBasis, Identity),
    )
}
