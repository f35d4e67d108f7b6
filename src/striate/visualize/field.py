"""What a unit sees of the image: its receptive field, exact, and how much of it counts, by gradients."""

from __future__ import annotations

from contextlib import suppress
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Graph, Refusal, Volume, replay
from striate.blueprint.said import counted
from striate.blueprint.window import Field
from striate.judging.trained import as_read, like
from striate.nn import trace
from striate.nn.build import Network
from striate.visualize.images import Tick, unheard
from striate.visualize.units import Unit, channels_first, unit
from striate.visualize.watching import OUT, as_far_as, known, undisturbed

TWO_SIGMA = 0.9545  # of a Gaussian lies within two deviations
CELLS = 1 << 20  # of images whose gradients are taken at once: 20 of 224×224
NOISE = 4  # images of noise by whose gradients a field is found where nothing else says it
Ends = tuple[int, int]  # the first cell and the last


class LayerField(NamedTuple):
    """How the cells of a layer see the input: exact, by a graph. `grid`: the layer's own rows and columns; `gated`: it
    reads the whole input, too, through a squeeze gate or a group's norm.
    """

    field: Field
    grid: tuple[int, int]
    gated: bool
    how: str  # "graph": the network's own; "traced": what torch.export made of somebody's module

    def of(self, cell: tuple[int, int]) -> tuple[Ends, Ends]:
        """Rows and columns of the input that a cell sees; what is below 0 or beyond the input is padding."""
        return self.field.rows.of(cell[0]), self.field.columns.of(cell[1])


class Sight(NamedTuple):
    """What one cell of a layer sees of an input `volume`: `rows` and `columns`, first and last, before they are cut at
    the border. `jump`: by how many cells its neighbours' are further on (None: not known). `how` it was found: "graph"
    or "traced" are exact; "gradient" is the support of the gradient on noise, at least that, cut at the border.
    """

    unit: Unit
    volume: Volume
    rows: Ends
    columns: Ends
    jump: tuple[float, float] | None
    gated: bool
    how: str

    @property
    def size(self) -> tuple[int, int]:
        return self.rows[1] - self.rows[0] + 1, self.columns[1] - self.columns[0] + 1

    @property
    def inside(self) -> tuple[Ends, Ends]:
        """Rows and columns, cut at the border."""
        return _cut(self.rows, self.volume.height), _cut(self.columns, self.volume.width)

    def told(self) -> str:
        """In a sentence or two."""
        (top, bottom), (left, right) = self.inside
        said = f"{self.unit} sees {self.size[0]}×{self.size[1]} of {self.volume}: rows {top} to {bottom}"
        said += f", columns {left} to {right}."
        beyond = [size - last + first - 1 for size, (first, last) in zip(self.size, self.inside, strict=True)]
        if any(beyond):
            said += f" Beyond the border lie {counted(beyond[0], 'row')} and {counted(beyond[1], 'column')} of it."
        if self.jump and self.unit.at:
            down, across = self.jump
            on = f"{down:g}" if down == across else f"{down:g} down and {across:g} across,"
            said += f" Its neighbours' fields are {on} cells on."
        if self.gated:
            said += " Through a gate or a norm it reads the whole image, too."
        return said


class Effective(NamedTuple):
    """Luo et al. 2016 (arXiv 1701.04128): what of a field counts. `shares` float32 H×W, the mean over `images` of the
    absolute gradients by the input, over its channels; their sum is 1. `side`: rows and columns of the smallest
    rectangle about the field's centre, of the field's own proportions, that holds TWO_SIGMA of it, and the `share` that
    it is of the side which the image reaches: beyond the border nothing is measured. `root`: the root of the number of
    cells above 1 - TWO_SIGMA of the largest, their own measure.
    """

    sight: Sight
    shares: Tensor
    images: int
    side: tuple[int, int]
    share: float
    root: float

    def told(self) -> str:
        theirs, ours = ("×".join(map(str, size)) for size in (self.sight.size, self.side))
        said = f"{TWO_SIGMA:.2%} of the gradient lies in {ours} of the {theirs} that {self.sight.unit} sees"
        inside = "×".join(str(last - first + 1) for first, last in self.sight.inside)
        whole = inside == theirs
        said += "" if whole else f", of which {inside} are in the image"
        of = "its side" if whole else "the side that the image reaches"
        return f"{said}: {self.share:.0%} of {of}, on {counted(self.images, 'image')}."


def layer_field(model: nn.Module, layer: str, volume: Volume) -> LayerField | None:
    """How the cells of a layer see an input of that volume; None where no graph says it. Raises NotFound."""
    inner = known(model, layer)
    graph: Graph | None = None
    if isinstance(model, Network):
        graph, how = model.graph, "graph"
        if graph.volume != volume:
            graph = replay(graph, volume=volume)
    else:
        how = "traced"
        with suppress(Refusal):  # a forward that cannot be followed
            graph = trace(model, volume)
    name = _node(graph, inner) if graph is not None else None
    if graph is None or name is None:
        return None
    node = graph[name]
    return LayerField(node.field, (node.output.height, node.output.width), node.gated, how)


def _node(graph: Graph, layer: str) -> str | None:
    """The node that a layer's value is: the last in it, of a module that runs several times in its last run."""
    if layer == OUT and OUT not in graph:
        return graph.taps["out"]
    names = [node.name for node in graph.nodes if node.name.split("@")[0] == layer or node.name.startswith(f"{layer}.")]
    return names[-1] if names else None


def sight(model: nn.Module, of: str | Unit, volume: Volume | str | None = None) -> Sight:
    """What a unit sees of an input (default: the network's own); where it names no cell, the middle one of its layer.

    Exact by the graph for a network of ours, and for any that striate.trace can follow (of a concatenation, what all
    branches see together); else the support of the gradient on noise. Raises NotFound, and Refusal for a cell that is
    not there.
    """
    of = unit(model, of) if isinstance(of, str) else of
    volume = _volume(model, volume)
    found = layer_field(model, of.layer, volume)
    if found is None:
        return _by_gradient(model, of, volume)
    at = of.at or (found.grid[0] // 2, found.grid[1] // 2)
    for place, kind, size in zip(at, ("row", "column"), found.grid, strict=True):
        if place >= size:
            here = f"{of.layer} has {counted(size, kind)}"
            raise Refusal(f"Cannot see {of}: {here}, {kind} {place} is not among them.", ways=f"0 to {size - 1}.")
    rows, columns = found.of(at)
    jump = float(found.field.rows.jump), float(found.field.columns.jump)
    whole = of.at is None and found.grid == (1, 1)  # of a vector, or of a map of one cell, nothing need be named
    return Sight(of if whole else of._replace(at=at), volume, rows, columns, jump, found.gated, found.how)


def _volume(model: nn.Module, volume: Volume | str | None) -> Volume:
    if volume is not None:
        return Volume.parse(volume) if isinstance(volume, str) else volume
    if isinstance(model, Network):
        return model.graph.volume
    raise Refusal(f"Cannot know what a {type(model).__name__} reads.", ways='Say the volume: "3x224x224".')


def _by_gradient(model: nn.Module, of: Unit, volume: Volume) -> Sight:
    noise = torch.randn(NOISE, *volume, generator=torch.Generator().manual_seed(0))
    gradient, of = gradients(model, noise, of)
    found = (gradient != 0).any(0).nonzero()
    (top, left), (bottom, right) = found.amin(0).tolist(), found.amax(0).tolist()
    return Sight(of, volume, (top, bottom), (left, right), None, False, "gradient")


def gradients(model: nn.Module, x: Tensor, of: Unit, tick: Tick = unheard) -> tuple[Tensor, Unit]:
    """The absolute gradients of a unit's cell (of all channels together, where it names none) by x, float N×C×H×W,
    summed over the input's channels: float32 N×H×W; and the unit with its cell. Raises Refusal.
    """
    like(model, x)  # whatever is no tensor is refused
    found = list[Tensor]()
    for part in x.split(max(1, CELLS // max(1, x.shape[2] * x.shape[3]))):
        with torch.inference_mode(False), torch.enable_grad(), undisturbed(model):
            leaf = as_read(model, part).detach().clone().requires_grad_()
            with as_far_as(model, [of.layer]) as run:
                value = channels_first(model, run(leaf)[of.layer])
            if of.at is None and value.ndim > 3 and value.shape[2] * value.shape[3] > 1:
                of = of._replace(at=(value.shape[2] // 2, value.shape[3] // 2))
            found.append(_back(of, value, leaf).float().abs().sum(1).cpu())
        tick(sum(map(len, found)))
    whole = torch.cat(found)
    if not whole.isfinite().all() or not whole.any():
        what = "is 0 on every image: the unit is dead there" if whole.isfinite().all() else "is not finite"
        raise Refusal(
            f"Cannot see by gradients what {of} sees: its gradient {what}.",
            ways="More images, or no channel, or no cell.",
        )
    return whole, of


def _back(of: Unit, value: Tensor, x: Tensor) -> Tensor:
    """The gradient of a unit by x, N×C×H×W."""
    cell = of.of(value)
    if not cell.requires_grad:
        why = "what it computes cannot be differentiated, or is cut off (no_grad, detach, whole numbers)."
        raise Refusal(f"Cannot see by gradients what {of} sees: none comes back from {of.layer}.", why)
    if not cell.isfinite().all():
        raise Refusal(f"Cannot see {of}: its value is not finite.", ways="statistics(model, x) names where it begins.")
    [gradient] = torch.autograd.grad(cell.sum(), x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient


def effective(model: nn.Module, x: Tensor, of: str | Unit, tick: Tick = unheard) -> Effective:
    """The effective receptive field of a unit (where it names no cell, the middle one; no channel, all together) on x,
    float N×C×H×W: many images, for each shows another part of it. `tick` is told of images done. Raises as `sight`,
    and Refusal where no gradient comes back, or only zeros.
    """
    at = sight(model, of, Volume(*x.shape[1:]))
    shares = gradients(model, x, at.unit, tick)[0].mean(0)
    shares = shares / shares.sum()
    side, share = _held(shares, at)
    return Effective(at, shares, len(x), side, share, sqrt(int((shares > (1 - TWO_SIGMA) * shares.max()).sum())))


def _held(shares: Tensor, at: Sight) -> tuple[tuple[int, int], float]:
    """The rectangle that holds TWO_SIGMA: cells are taken from the field's centre outwards."""
    reach = [
        (2 * (torch.arange(cells) - (first + last) / 2).abs() + 1) / (last - first + 1)
        for cells, (first, last) in zip(shares.shape, (at.rows, at.columns), strict=True)
    ]
    wanted = torch.maximum(reach[0][:, None], reach[1][None]).flatten()  # of the side, for a cell to be inside
    order = wanted.argsort()
    inside = shares.flatten()[order].double().cumsum(0)
    enough = min(int((inside < TWO_SIGMA).sum()), len(order) - 1)
    share, reached = (min(1.0, float(wanted[order][place])) for place in (enough, -1))
    return (round(share * at.size[0]), round(share * at.size[1])), share / reached


def _cut(ends: Ends, size: int) -> Ends:
    return max(0, ends[0]), min(size - 1, ends[1])
