"""What a layer's weights look like: its filters one by one, their norms, the dead among them and the alike."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from striate.blueprint import NotFound, Refusal, Volume
from striate.blueprint.said import counted
from striate.data.preprocessing import Preprocessing
from striate.nn.build import Network
from striate.visualize.watching import open_to_hooks

DEAD = 0.01  # of the norm of the layer's largest filter: what is smaller is as good as gone
ALIKE = 0.95  # the cosine of two filters that are, nearly, one
COLOURS = (1, 3)  # channels of an image
AT_ONCE = 1 << 22  # cosines computed at a time


class Alike(NamedTuple):
    """Two filters of one layer, by number, and their cosine."""

    first: int
    second: int
    cosine: float


class Filters(NamedTuple):
    """A layer's filters.

    `weights`: float32 F×C×h×w, of F filters the C channels that each reads (of its group) in a window h×w (for vectors
    1×1); `image`: whether it is the image that they read. `norms`: float32 F, the root of the sum of squares. `dead`:
    those below DEAD of the largest norm (all, where that is 0). `alike`: pairs whose cosine is above a threshold, the
    highest first; a filter of another group reads other channels, and is not held against it.
    """

    layer: str
    weights: Tensor
    image: bool
    groups: int
    norms: Tensor
    dead: tuple[int, ...]
    alike: tuple[Alike, ...]
    threshold: float

    def told(self) -> str:
        """In a line: how many, how many dead, which are alike."""
        count, channels, *window = self.weights.shape
        of = "the image" if self.image else counted(channels, "channel")
        said = f"{counted(count, 'filter')} of {_by(window)} on {of}, {len(self.dead)} dead"
        said += f", {counted(len(self.alike), 'pair')} alike (cosine > {self.threshold:g})"
        return said + (f": {_named(self.alike)}" if self.alike else "")


def filters(model: nn.Module, layer: str = "", volume: Volume | str | None = None, threshold: float = ALIKE) -> Filters:
    """The filters of a layer: a convolution of one or two dimensions, grouped, depthwise or transposed, or a linear
    layer; where none is named, the first that reads the image: in a network of ours the graph says which, of any other
    the first declared of those that read as many channels as an image has, else of the convolutions, else of all.

    A linear layer that reads a volume (in a network of ours it is known, else `volume` says it) has filters of that
    grid; any other of 1×1. Raises NotFound, and Refusal for a layer without filters, or one of numbers not finite.
    """
    found = _with_filters(model)
    if not found:
        open_to_hooks(model)
        raise Refusal("Cannot see filters: the network has neither a convolution nor a linear layer.")
    layer = layer or _first(model, found)
    layer = layer if layer in found else _inside(model, layer, found)
    module = found[layer]
    if isinstance(module.weight, UninitializedParameter) or module.weight.is_meta:
        raise Refusal(
            f"Cannot see the filters of {layer}: its weights are not there yet.",
            ways="Run the network on an image first, or build it on a device that is not meta.",
        )
    weights = _by_filter(module.weight.detach().float().cpu(), module)
    if isinstance(module, nn.Linear):
        weights = _on_grid(layer, weights, Volume.parse(volume) if isinstance(volume, str) else volume, model)
    if odd := int((~weights.flatten(1).isfinite().all(1)).sum()):
        raise Refusal(
            f"Cannot see the filters of {layer}: {odd} of {len(weights)} hold numbers that are not finite.",
            ways="Its training came apart, or its file is damaged.",
        )
    norms = weights.flatten(1).norm(dim=1)
    dead = (norms <= DEAD * norms.max()).nonzero().flatten().tolist()
    groups = int(getattr(module, "groups", 1))
    alike = _alike(weights, norms, groups, set(dead), threshold)
    return Filters(layer, weights, _reads_image(model, layer, found), groups, norms, tuple(dead), alike, threshold)


def in_colours(found: Filters, rule: Preprocessing | None) -> Tensor:
    """Filters on the image as small images of their own, float32 F×C×h×w in 0..1, each scaled by itself: grey is 0. A
    filter is the patch that drives it most among patches of one norm in what the network reads; `rule` brings it back
    into the image's colours, by the channels' deviations.
    """
    weights = found.weights
    if rule is not None and len(rule.std) == weights.shape[1]:
        weights = weights * torch.tensor(rule.std).view(1, -1, 1, 1)
    largest = weights.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
    return 0.5 + 0.5 * weights / torch.where(largest > 0, largest, 1.0)


def _with_filters(model: nn.Module) -> dict[str, Any]:
    kinds = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Linear
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def _inside(model: nn.Module, layer: str, found: dict[str, Any]) -> str:
    """The one layer with filters that a part has. Raises NotFound; Refusal where it has none, or several."""
    parts = dict(model.named_modules())
    if layer not in parts:
        raise NotFound("layer", layer, found)
    inside = [name for name in found if name.startswith(f"{layer}.")]
    if len(inside) == 1:
        return inside[0]
    weight = parts[layer]._parameters.get("weight")
    why = "a window's weights are others at each place" if weight is not None and weight.ndim > 4 else ""
    raise Refusal(
        f"Cannot see the filters of {layer}: "
        + (f"{len(inside)} layers in it have some." if inside else f"a {type(parts[layer]).__name__} has none."),
        why and f"Its weight is {_by(weight.shape)}: {why}.",  # type: ignore[union-attr]
        f"Name one of {', '.join((inside or list(found))[:6])}.",
    )


def _by_filter(weight: Tensor, module: nn.Module) -> Tensor:
    """F×C×h×w, whatever way the layer keeps its weight."""
    if getattr(module, "transposed", False):  # inputs come first, group by group
        groups: Any = module.groups
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    while weight.ndim < 4:
        weight = weight.unsqueeze(2)
    return weight


def _on_grid(layer: str, weights: Tensor, volume: Volume | None, model: nn.Module) -> Tensor:
    """A linear layer's weights as filters as large as the volume that it reads."""
    if volume is None and isinstance(model, Network) and layer in model.graph:
        volume = model.graph[model.graph[layer].inputs[0]].output
    if volume is None:
        return weights
    if volume.size != weights.shape[1]:
        raise Refusal(
            f"Cannot see the filters of {layer} on {volume}: it reads {weights.shape[1]:,} numbers.",
            f"{' * '.join(map(str, volume))} = {volume.size:,}",
        )
    return weights.reshape(-1, *volume)


def _reads_image(model: nn.Module, layer: str, found: dict[str, Any]) -> bool:
    """In a network of ours the graph says so; of any other, its first layer with filters reads the image if the
    channels are an image's.
    """
    if isinstance(model, Network) and layer in model.graph:
        return model.graph[layer].inputs[0] == "input"
    return layer == _first(model, found) and getattr(found[layer], "in_channels", 0) in COLOURS


def _first(model: nn.Module, found: dict[str, Any]) -> str:
    """Of a stranger's network nobody knows what runs first: it is guessed from what each layer reads."""
    if isinstance(model, Network):
        return next(node.name for node in model.graph.nodes if node.name in found)
    reads = {name: getattr(module, "in_channels", 0) for name, module in found.items()}
    return min(reads, key=lambda name: (reads[name] not in COLOURS, not reads[name]))


def _alike(weights: Tensor, norms: Tensor, groups: int, dead: set[int], threshold: float) -> tuple[Alike, ...]:
    """Pairs, some rows at a time: a layer of thousands needs no matrix of all of them at once."""
    count, size = len(weights), prod(weights.shape[1:])
    if size < 2:  # one number each: all that it could differ in is its sign
        return ()
    living = [i for i in range(count) if i not in dead]
    found: list[Alike] = []
    for group in range(groups):
        among = torch.tensor([i for i in living if i * groups // count == group], dtype=torch.int64)
        unit = weights[among].flatten(1) / norms[among, None]
        for start in range(0, len(among), step := max(1, AT_ONCE // max(1, len(among)))):
            cosines = (unit[start : start + step] @ unit.T).triu(start + 1)
            rows, columns = (cosines > threshold).nonzero(as_tuple=True)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                pair = int(among[start + row]), int(among[column])
                found.append(Alike(*pair, float(cosines[row, column])))
    return tuple(sorted(found, key=lambda pair: -pair.cosine))


def _named(pairs: tuple[Alike, ...], most: int = 4) -> str:
    said = ", ".join(f"{pair.first} and {pair.second} ({pair.cosine:.3f})" for pair in pairs[:most])
    return said + (f" and {len(pairs) - most} more" if len(pairs) > most else "")


def _by(sizes: Any) -> str:
    return "×".join(map(str, sizes))
