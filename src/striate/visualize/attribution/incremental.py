"""A network run anew only where its image has changed (Nakandala, Kumar and Papakonstantinou 2019, SIGMOD,
"Incremental and approximate inference for faster occlusion-based deep CNN explanations", section 3; here nothing is
approximate).

Where a window of an image is covered, a convolution's output changes in the cells whose field meets the window, and
nowhere else. So each layer is run on a box around those cells, cut out of what the whole image gave and what has
changed since. Boxes grow from layer to layer; where one is nearly the whole map, the network goes on with whole maps.
The numbers are those of whole runs, but for rounding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from striate.nn import modules as ours
from striate.nn.build import JOINS
from striate.nn.winograd4 import Wide
from striate.visualize.attribution.steps import kind_of, module_of

NEARLY = 0.8  # of a map's cells: then the whole map costs no more
POINTWISE = {
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.GELU, nn.Mish, nn.Sigmoid, nn.Tanh,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity,
    nn.LocalResponseNorm, nn.ChannelShuffle, ours.LocalResponseNorm, ours.ChannelLayerNorm, ours.ScaledTanh,
    ours.DropPath, ours.Select, ours.Scale,
    F.relu, F.relu6, F.leaky_relu, F.elu, F.silu, F.gelu, F.hardswish, F.hardsigmoid, F.dropout, torch.relu,
    torch.sigmoid, torch.tanh, "relu", "sigmoid", "tanh", "contiguous",
}  # fmt: skip
CONVOLUTIONS = nn.Conv2d, Wide
JOINING = {operator.add, torch.add, "add", operator.mul, torch.mul, "mul", torch.cat, *JOINS.values()}
Pair = tuple[int, int]


class Box(NamedTuple):
    """What has changed in each of B copies of a map: `values` B×C×h×w, whose corners are at rows `top` and columns
    `left`, int64 B.
    """

    values: Tensor
    top: Tensor
    left: Tensor


class Slide(NamedTuple):
    """A layer that slides a window over its map; `run` does it without padding, which is `outside`."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    outside: float
    run: Callable[[Tensor], Tensor]


class Known(NamedTuple):
    """A network's steps, and what each made of an image, whole."""

    steps: list[fx.Node]
    interpreter: fx.Interpreter
    clean: dict[fx.Node, Any]
    moved: set[fx.Node]  # what depends on the image


def known(interpreter: fx.Interpreter, x: Tensor) -> Known:
    """What each step makes of one image, 1×C×H×W."""
    clean: dict[fx.Node, Any] = {}
    moved: set[fx.Node] = set()
    for node in (nodes := [*interpreter.graph.nodes]):
        if node.op == "placeholder":
            clean[node] = x
        else:
            clean[node] = _done(interpreter, node, lambda n: clean[n])
        if node.op == "placeholder" or any(read in moved for read in node.all_input_nodes):
            moved.add(node)
    return Known(nodes, interpreter, clean, moved)


def _done(interpreter: fx.Interpreter, node: fx.Node, value: Callable[[fx.Node], Any]) -> Any:
    args, kwargs = fx.node.map_arg(node.args, value), fx.node.map_arg(node.kwargs, value)
    return getattr(interpreter, node.op)(node.target, args, kwargs)


def changed(known: Known, box: Box) -> Tensor:
    """What the network answers where box is what the images are changed in: B×…"""
    many, made = len(box.top), dict[fx.Node, Any]()

    def whole(node: fx.Node) -> Any:
        if isinstance(value := made.get(node, known.clean[node]), Box):
            made[node] = value = cut(known.clean[node], value, *_whole(known.clean[node], many))
        return value

    for node in known.steps:
        if node not in known.moved:
            continue
        if node.op == "placeholder":
            made[node] = box
        else:
            made[node] = _local(known, node, made) if _of_boxes(node, made) else None
            if made[node] is None:
                made[node] = _done(known.interpreter, node, whole)
        for read in node.all_input_nodes:
            if read in made and all(user in made for user in read.users):
                del made[read]
    answer: Tensor = made[node]
    return answer


def _of_boxes(node: fx.Node, made: dict[fx.Node, Any]) -> bool:
    return bool(node.all_input_nodes) and all(isinstance(made.get(read), Box) for read in node.all_input_nodes)


def _local(known: Known, node: fx.Node, made: dict[fx.Node, Any]) -> Box | None:
    """What a step makes of boxes; None where it wants whole maps."""
    clean = known.clean[node]
    if not isinstance(clean, Tensor) or clean.ndim != 4:
        return None
    module = module_of(known.interpreter, node)
    kind = kind_of(module, node)
    normalises = isinstance(module, nn.BatchNorm2d) and module.running_mean is None  # by what is in the batch
    if kind in POINTWISE and not normalises:
        box: Box = made[node.all_input_nodes[0]]
        return box._replace(values=_done(known.interpreter, node, lambda n: made[n].values))
    if kind in JOINING:
        return _join(known, node, made)
    if (slide := _slide(module)) is not None:
        return _slid(known.clean[node.all_input_nodes[0]], made[node.all_input_nodes[0]], clean, slide)
    return None


def _join(known: Known, node: fx.Node, made: dict[fx.Node, Any]) -> Box | None:
    """Boxes of one map are brought to what holds them all."""
    reads = node.all_input_nodes
    clean, boxes = known.clean[node], [made[read] for read in reads]
    along = (*node.args[1:], node.kwargs.get("dim", 0))[0] if node.target is torch.cat else 1
    if along != 1 or {known.clean[read].shape[2:] for read in reads} != {clean.shape[2:]}:
        return None
    top, height = _hull([box.top for box in boxes], [box.values.shape[2] for box in boxes], clean.shape[2])
    left, width = _hull([box.left for box in boxes], [box.values.shape[3] for box in boxes], clean.shape[3])
    cuts = {
        read: cut(known.clean[read], box, top, left, (height, width)) for read, box in zip(reads, boxes, strict=True)
    }
    return Box(_done(known.interpreter, node, lambda n: cuts[n]), top, left)


def _hull(starts: list[Tensor], sizes: list[int], most: int) -> tuple[Tensor, int]:
    """Where runs begin that hold all of some runs, and how long they are; within 0 to most."""
    start = torch.stack(starts).amin(0)
    stop = torch.stack([start + size for start, size in zip(starts, sizes, strict=True)]).amax(0)
    size = int((stop - start).max())
    return start.clamp(max=most - size), size


def _slide(module: Any) -> Slide | None:
    if type(module) in CONVOLUTIONS and module.padding_mode == "zeros" and not isinstance(module.padding, str):
        alone = copy(module)
        alone.padding = (0, 0)
        sizes = module.kernel_size, module.stride, module.padding, module.dilation
        return Slide(*sizes, 0.0, alone)  # type: ignore[arg-type]
    if type(module) is nn.MaxPool2d and not module.return_indices:
        kernel, stride, padding, dilation = map(
            _two, (module.kernel_size, module.stride, module.padding, module.dilation)
        )
        run = lambda x: F.max_pool2d(x, kernel, stride, 0, dilation)  # noqa: E731
        return Slide(kernel, stride, padding, dilation, float("-inf"), run)
    if type(module) is nn.AvgPool2d and not module.ceil_mode and module.divisor_override is None:
        kernel, stride, padding = map(_two, (module.kernel_size, module.stride, module.padding))
        if module.count_include_pad or padding == (0, 0):
            return Slide(kernel, stride, padding, (1, 1), 0.0, lambda x: F.avg_pool2d(x, kernel, stride))
    return None


def _two(sides: int | Pair) -> Pair:
    return (sides, sides) if isinstance(sides, int) else sides


def _slid(before: Tensor, box: Box, clean: Tensor, slide: Slide) -> Box | None:
    """The box that a box becomes; None where it is nearly the whole map. Maps before and after are 1×C×H×W."""
    sides = zip((box.top, box.left), box.values.shape[2:], clean.shape[2:], *slide[:4], strict=True)
    starts, sizes, first, reads = [], [], [], []
    for start, length, most, kernel, stride, padding, dilation in sides:
        reach = dilation * (kernel - 1)
        low = (-((reach - padding - start) // stride)).clamp(0, most - 1)  # ceil((start + padding - reach)/stride)
        high = ((start + length - 1 + padding) // stride).clamp(0, most - 1)
        size = int((high - low).max()) + 1
        low = low.clamp(max=most - size)
        starts.append(low)
        sizes.append(size)
        first.append(low * stride - padding)
        reads.append((size - 1) * stride + reach + 1)
    if sizes[0] * sizes[1] > NEARLY * clean.shape[2] * clean.shape[3]:
        return None
    read = cut(before, box, first[0], first[1], (reads[0], reads[1]), slide.outside)
    return Box(slide.run(read), starts[0], starts[1])


def _whole(clean: Tensor, many: int) -> tuple[Tensor, Tensor, Pair]:
    corner = torch.zeros(many, dtype=torch.int64, device=clean.device)
    return corner, corner, (clean.shape[2], clean.shape[3])


def cut(clean: Tensor, box: Box, top: Tensor, left: Tensor, size: Pair, outside: float = 0.0) -> Tensor:
    """B×C×size out of B copies of a map 1×C×H×W, each changed in its box, from rows `top` and columns `left` on, which
    may be beyond the map: `outside` is there.

    All cells lie in one table, a row each: those of the map, of the boxes, and outside; so one selection of rows does
    it, channels last.
    """
    many, channels, tall, wide = box.values.shape
    height, width = clean.shape[2:]
    if (tall, wide) == size and torch.equal(top, box.top) and torch.equal(left, box.left):
        return box.values
    rows = top[:, None] + torch.arange(size[0], device=top.device)
    columns = left[:, None] + torch.arange(size[1], device=top.device)
    down, across = rows - box.top[:, None], columns - box.left[:, None]  # in the box
    inside = ((down >= 0) & (down < tall))[:, :, None] & ((across >= 0) & (across < wide))[:, None]
    beyond = ((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None]
    copies = torch.arange(many, device=top.device)[:, None, None]
    new = height * width + (copies * tall + down[:, :, None]) * wide + across[:, None]
    old = rows[:, :, None] * width + columns[:, None]
    which = torch.where(inside, new, torch.where(beyond, height * width + many * tall * wide, old))
    cells = [part.movedim(1, -1).reshape(-1, channels) for part in (clean, box.values)]
    table = torch.cat([*cells, clean.new_full((1, channels), outside)])
    return table.index_select(0, which.flatten()).view(many, *size, channels).movedim(-1, 1)
