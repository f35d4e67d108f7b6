"""What layers make of images: their maps, the strongest channels, statistics by layer, and units that are dead."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Pad, Refusal
from striate.blueprint.said import counted
from striate.nn.build import Network
from striate.visualize.images import Data, Tick, batches, unheard
from striate.visualize.units import POOLS, THROUGH, channels_first
from striate.visualize.watching import OUT, Change, known, ran, undisturbed, value_of, values, watched

FIRST = "statistics(model, x), or --show statistics --data digits, names the first layer of which that is so."


class Maps(NamedTuple):
    """What a layer makes of images: `values` float32 N×C×H×W (a vector: N×C×1×1); `strength` N×C, the mean of the
    absolute values of each map; `order` int64 N×C, the channels of each image from the strongest to the weakest.
    """

    layer: str
    values: Tensor
    strength: Tensor
    order: Tensor


class Statistics(NamedTuple):
    """A layer's values over `images` images, all cells and channels together: their mean and deviation, the share that
    is exactly 0; `peaks` float32 C, the largest absolute value of each channel. `volume`: C×H×W, of the last image.
    """

    layer: str
    volume: tuple[int, ...]
    images: int
    mean: float
    deviation: float
    zeros: float
    peaks: Tensor

    @property
    def dead(self) -> tuple[int, ...]:
        """The channels that were 0 on every image, in every cell: behind a ReLU, they learn nothing either."""
        return tuple((self.peaks == 0).nonzero().flatten().tolist())

    def told(self) -> str:
        """In a line."""
        volume = "×".join(map(str, self.volume))
        said = f"{self.layer} {volume}: mean {self.mean:.3g}, deviation {self.deviation:.3g}, {self.zeros:.0%} zeros"
        if not (dead := self.dead):
            return said
        named = ", ".join(map(str, dead[:12])) + (f" and {len(dead) - 12} more" if len(dead) > 12 else "")
        on = f"0 on {'all ' * (self.images > 1)}{counted(self.images, 'image')}"
        return f"{said}; {len(dead)} of {counted(len(self.peaks), 'channel')} dead ({on}): {named}"


def maps(model: nn.Module, x: Tensor, names: Sequence[str] = ()) -> tuple[Maps, ...]:
    """What these layers make of x, float N×C×H×W; where none is named, the last layer of each grid, pools aside. Raises
    NotFound, and Refusal for a layer that gives no channels or numbers that are not finite.
    """
    names = names or last_by_grid(model, x)
    return tuple(_maps(name, channels_first(model, value)) for name, value in values(model, x, names).items())


def _maps(name: str, value: Tensor) -> Maps:
    if value.ndim not in (2, 4):
        shape = "×".join(map(str, value.shape))
        raise Refusal(f"Cannot see {name} as maps: it gives {shape}.", ways="N×C×H×W or N×C can be seen as maps.")
    value = value.detach().float().cpu().reshape(*value.shape, *(1,) * (4 - value.ndim))
    strength = value.abs().mean((2, 3))
    if not strength.isfinite().all():
        raise _not_finite(name)
    return Maps(name, value, strength, strength.argsort(dim=1, descending=True, stable=True))


def last_by_grid(model: nn.Module, x: Tensor) -> list[str]:
    """Of the layers that give maps, N×C×H×W, the last of each grid, pools aside, from the largest grid to the smallest.
    Runs the network on the first image of x.
    """
    parts, last, passed = dict(model.named_modules()), dict[tuple[int, int], str](), list[Tensor]()

    def told(name: str, value: Tensor) -> Tensor:
        if isinstance(parts.get(name), POOLS + THROUGH):
            passed.append(value)
        elif value.ndim == 4 and not any(value is pooled for pooled in passed):  # nor a part that ends in one
            seen = channels_first(model, value)
            last[seen.shape[2], seen.shape[3]] = name
        return value

    names = _all(model) if isinstance(model, Network) else [name for name in parts if name]
    _told_of(model, x[:1], names, told)
    found = [name for grid, name in sorted(last.items(), key=lambda item: -item[0][0] * item[0][1]) if grid != (1, 1)]
    if not found:
        raise Refusal("Cannot see maps: no layer of this network gives any.", ways="Name layers that give vectors.")
    return found


def statistics(
    model: nn.Module, data: Data, names: Sequence[str] = (), size: int = 0, tick: Tick = unheard
) -> tuple[Statistics, ...]:
    """Mean, deviation, zeros and dead channels of each layer over a data set (or x), in the order they run; by default
    of every layer that adds no channels of zeros (of another's network: every module without parts). `size` images at a
    time (0: as many as memory allows); `tick` is told of images done. A module that runs several times counts as it
    runs last.

    Raises NotFound for a layer, CannotTrain (no images), Refusal where one did not run, or values are not finite.
    """
    asked = [(name, known(model, name)) for name in names] or [(name, name) for name in _all(model)]
    wanted = {inner: name for name, inner in asked}
    sums = dict[str, _Sum]()
    done = 0
    for x, _, _ in batches(model, data, size):
        here = dict[str, _Sum]()  # of this batch: a module that runs again writes over what it wrote

        def told(name: str, value: Tensor, here: dict[str, _Sum] = here) -> Tensor:
            here.pop(name, None)  # in the order of their last runs
            here[name] = _summed(channels_first(model, value))
            return value

        _told_of(model, x, wanted, told)
        for name, of in here.items():
            if not isfinite(of.mean) or not isfinite(of.squares):
                raise _not_finite(wanted[name], "It is the first; its weights, or those before it, are damaged.")
            sums[name] = _merged(sums[name], of) if name in sums else of
        done += len(x)
        tick(done)
    for name, inner in asked if names else ():
        value_of({inner: sums[inner].peaks} if inner in sums else {}, inner, name)
    return tuple(_statistics(name, sums[ran], done) for ran in sums for name, inner in asked if inner == ran)


def _statistics(name: str, of: _Sum, images: int) -> Statistics:
    return Statistics(name, of.volume, images, of.mean, sqrt(of.squares / of.n), of.zeros / of.n, of.peaks.cpu())


class _Sum(NamedTuple):
    """Of a part of the values: how many, their mean, the squares of what differs from it, how many are 0."""

    volume: tuple[int, ...]
    n: int
    mean: float
    squares: float
    zeros: int
    peaks: Tensor


def _summed(value: Tensor) -> _Sum:
    value = value.detach()
    value = value.float() if value.ndim > 1 else value.float().unsqueeze(1)
    mean, sizes, ones = value.mean(), value.abs(), list(range(1, value.ndim))
    squares = float((value - mean).square_().sum(ones).double().sum())  # image by image: a float's sum of more numbers
    zeros = value.numel() - int(
        sizes.sign().sum(ones).double().sum()
    )  # is not exact, torch.var takes ten times as long
    peaks = sizes.flatten(2).amax(2).amax(0) if value.ndim > 2 else sizes.amax(0)
    return _Sum(tuple(value.shape[1:]), value.numel(), float(mean), squares, zeros, peaks)


def _merged(one: _Sum, two: _Sum) -> _Sum:
    """Chan, Golub & LeVeque 1983 (The American Statistician 37), pairwise: exact, whatever the parts."""
    count, apart = one.n + two.n, two.mean - one.mean
    squares = one.squares + two.squares + apart**2 * one.n * two.n / count
    mean = one.mean + apart * two.n / count
    return _Sum(two.volume, count, mean, squares, one.zeros + two.zeros, torch.maximum(one.peaks, two.peaks))


def _all(model: nn.Module) -> list[str]:
    """Every layer: of ours the graph's nodes, of another network the modules without parts. Not where channels of zeros
    are added: those are dead by intent.
    """
    if isinstance(model, Network):
        return [node.name for node in model.graph.nodes[1:] if not (isinstance(node.op, Pad) and node.op.channels)]
    return [name for name, module in model.named_modules() if name and not any(module.children())] or [OUT]


def _told_of(model: nn.Module, x: Tensor, names: Sequence[str] | dict[str, str], told: Change) -> None:
    """Run, and tell of each of these layers as its value comes about; nothing is kept."""

    def passed(name: str, value: Tensor) -> Tensor:
        found.pop(name, None)
        return told(name, value)

    with torch.no_grad(), undisturbed(model), watched(model, names, passed) as found:
        out = ran(model, x, OUT in names)
    if OUT in names and not (isinstance(model, Network) and OUT in model.graph):
        told(OUT, out)


def _not_finite(name: str, way: str = FIRST) -> Refusal:
    return Refusal(f"Cannot see {name}: its values are not finite.", ways=way)
