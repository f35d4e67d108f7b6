"""What can be looked at inside a network, as text: a layer `layer3.2`, one of its channels `conv2:17`, one cell of that
`conv2:17@3,5`, a class `out:281` or `out:collie`; in quotes `out:"7"` is the class of that name, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotRead, NotFound, Refusal
from striate.blueprint.said import counted
from striate.judging.trained import main_way_out, metadata_of
from striate.nn.build import Network
from striate.visualize.watching import OUT, layers, open_to_hooks, ran, undisturbed, watched

FORM = re.compile(r"""(?P<layer>[^:@]*)(?::(?P<channel>"[^"]*"|[^@]*))?(?:@(?P<row>\d{1,9}),(?P<column>\d{1,9}))?""")
QUOTED = re.compile(r'"[^"]*"')
POOLS = (
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.FractionalMaxPool2d, nn.LPPool2d,
)  # fmt: skip
THROUGH = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten, nn.Upsample)


class Unit(NamedTuple):
    """A layer of a network, by name; one of its channels (of a vector: its numbers), or all; one cell of its map, row
    and column, or all.
    """

    layer: str
    channel: int | None = None
    at: tuple[int, int] | None = None

    def __str__(self) -> str:
        channel = "" if self.channel is None else f":{self.channel}"
        return self.layer + channel + ("" if self.at is None else f"@{self.at[0]},{self.at[1]}")

    def of(self, value: Tensor) -> Tensor:
        """The unit in its layer's value, N×C×H×W or N×C: N×C×H×W, N×H×W, N×C or N. Raises Refusal where the layer has
        no such channel or cell.
        """
        if self.channel is not None:
            if value.ndim < 2 or not 0 <= self.channel < value.shape[1]:
                raise _beyond(self, "channel", self.channel, value.shape[1] if value.ndim > 1 else 0)
            value = value[:, self.channel]
        if self.at is not None:
            grid = value.shape[-2:] if value.ndim > 2 else ()
            for place, kind, size in zip(self.at, ("row", "column"), grid or (0, 0), strict=True):
                if not place < size:
                    raise _beyond(self, kind, place, size)
            value = value[..., self.at[0], self.at[1]]
        return value


def _beyond(unit: Unit, kind: str, number: int, count: int) -> Refusal:
    if not count:
        return Refusal(f"Cannot see {unit}: {unit.layer} has no {kind}s.")
    return Refusal(
        f"Cannot see {unit}: {unit.layer} has {counted(count, kind)}, {kind} {number} is not among them.",
        ways=f"0 to {count - 1}.",
    )


def unit(model: nn.Module, text: str) -> Unit:
    """The unit that a text means; whether its layer has so many channels is found when it is looked at. Raises NotFound
    (near names), CannotRead.
    """
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise CannotRead(
            f'Cannot read "{text}" as a unit.', ways="layer, layer:channel or layer:channel@row,column: conv2:17@3,5"
        )
    layer, channel = match["layer"], match["channel"]
    if layer not in (names := layers(model)):
        raise NotFound("layer", layer, names)
    at = None if match["row"] is None else (int(match["row"]), int(match["column"]))
    return Unit(layer, None if channel is None else _channel(model, layer, channel), at)


def _channel(model: nn.Module, layer: str, text: str) -> int:
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    classes = metadata_of(model).get("classes") or ()
    if layer == OUT and classes:
        text = text[1:-1] if text not in classes and QUOTED.fullmatch(text) else text
        if text not in classes:
            raise NotFound("class", text, classes)
        return int(classes.index(text))
    raise CannotRead(f'Cannot read "{text}" as a channel of {layer}.', ways=f"A number from 0: {layer}:17")


def channels_first(model: nn.Module, value: Tensor) -> Tensor:
    """A layer's value, its channels before its rows: as it is, but of N×H×W×C, which networks of attention over windows
    (Swin, Liu et al. 2021, arXiv 2103.14030) and ConvNeXt's blocks hand on, a view N×C×H×W.

    That is known by the sizes: the last axis is one that a LayerNorm or Linear of the model reads, and no other can be
    the channels. Where all three are the same, a value is taken as it is.
    """
    if value.ndim != 4 or isinstance(model, Network):
        return value
    norms = (part.normalized_shape for part in model.modules() if isinstance(part, nn.LayerNorm))
    read = {shape[0] for shape in norms if len(shape) == 1}
    if not read:
        return value
    linear = (part for part in model.modules() if isinstance(part, nn.Linear))
    read |= {n for part in linear for n in (part.in_features, part.out_features)}
    _, first, second, last = value.shape
    known_first = first in read and first != second  # rows and columns that happen to be as many as channels
    return value.permute(0, 3, 1, 2) if last in read and last != second and not known_first else value


def map_layer(model: nn.Module, x: Tensor) -> str:
    """The layer to look at where none is named: the last with a map N×C×H×W of more than one cell, no pool, and not yet
    the classes' own scores. Runs the network on the first image of x. Raises Refusal where there is none.
    """
    ran: list[tuple[str, Tensor, bool]] = []  # and whether it may be chosen

    def ended(module: nn.Module, value: object, name: str) -> None:
        if name and isinstance(value, Tensor) and value.ndim == 4:
            strange = channels_first(model, value) is not value
            passed = (
                strange
                or isinstance(module, POOLS + THROUGH)
                or any(value is other and not may for _, other, may in ran)
            )
            ran.append((name, value, not passed and value.shape[2] * value.shape[3] > 1))

    with torch.no_grad(), undisturbed(model):
        out = _run(model, x[:1], ended)
    with suppress(Refusal):  # whatever is no answer has no classes
        out = main_way_out(out)
    classes = out.shape[1] if isinstance(out, Tensor) and out.ndim == 2 else -1
    maps = [(name, value) for name, value, may in ran if may]
    before = [name for name, value in maps if value.shape[1] != classes] or [name for name, _ in maps]
    if not before:
        raise Refusal(
            "Cannot choose a layer to look at: none gives a map, channels over a grid of cells.",
            ways="Name a layer, or take a method by gradients of the image.",
        )
    return before[-1]


def _run(model: nn.Module, x: Tensor, ended: Callable[[nn.Module, object, str], None]) -> object:
    """Run, and tell of each layer that ended: of ours its nodes, joins among them, else modules, outer after inner."""
    if isinstance(model, Network):
        parts = dict(model.named_modules())

        def told(name: str, value: Tensor) -> Tensor:
            ended(parts.get(model.graph[name].twin or name, model), value, name)
            return value

        with watched(model, [node.name for node in model.graph.nodes[1:]], told):
            return ran(model, x)
    open_to_hooks(model)
    hooks = [
        module.register_forward_hook(lambda module, _, value, name=name: ended(module, value, name))
        for name, module in model.named_modules()
    ]
    try:
        return ran(model, x)
    finally:
        for hook in hooks:
            hook.remove()
