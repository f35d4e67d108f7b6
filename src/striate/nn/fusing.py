"""Which parts of a network are run in a way of our own, and when: a convolution of few channels, ReLU and a 2×2 max
pool as one; a 3×3 convolution of many channels in fewer multiplications.

The modules stay as they are, with their names and weights; how they are run is decided anew each time, and wherever
anything is unusual each module is run by itself.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook

from striate.blueprint import Activation, Conv, Graph, Node, Pool
from striate.nn.convpool import conv_pool
from striate.nn.winograd import conv3x3

FEW = 8  # channels read; from 16 on torch's own convolution is quicker (measured: Zen 4, one core)
WIDE = 256  # channels read, and filters; of fewer, turning tiles takes longer than the products that it saves
MANY = 64  # examples; with fewer the rows along the batch are too short
TILES = 128  # of 2×2 outputs; of fewer, turning the filters takes longer than the products that it saves
RUNS = (("conv", "relu", "pool"), ("conv", "pool", "relu"), ("conv", "pool"), ("wide",))
STARTS = {run[0] for run in RUNS}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
Path = tuple[str, ...]


class Fused(NamedTuple):
    """Modules that stand one behind another, each the only reader of the one before."""

    paths: tuple[Path, ...]

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        modules = [module_at(network, path) for path in self.paths]
        conv: Any = modules[0]
        if len(modules) > 1 and len(x) >= MANY and together(modules):
            relu = any(type(module) is nn.ReLU for module in modules)
            return conv_pool(x, conv.weight, conv.bias, conv.padding, relu)
        if len(modules) == 1 and _tiled(conv, x) and together(modules):
            return conv3x3(x, conv.weight, conv.bias)
        for module in modules:
            x = module(x)
        return x


def module_at(network: nn.Module, path: Path) -> Any:
    """The module at a path, looked up each time, for it may have been exchanged; without `getattr`, which for modules
    is slow.
    """
    for name in path:
        network = network._modules[name]  # type: ignore[assignment]
    return network


def fused(graph: Graph, steps: list[Any]) -> list[Any]:
    """The steps of a network, those of a run as one; the very same where there is none."""
    found = runs(graph)
    by_name = {step[0]: step for step in steps}
    inside = {name for names in found for name in names[:-1]}
    ends = {names[-1]: names for names in found}
    made = []
    for step in steps:
        if names := ends.get(step[0]):
            _, _, inputs, done = by_name[names[0]]
            made.append((step[0], Fused(tuple(by_name[name][1] for name in names)), inputs, done))
        elif step[0] not in inside:
            made.append(step)
    return made if found else steps


def runs(graph: Graph) -> list[tuple[str, ...]]:
    """The names of the nodes of each run, which are neighbours in the graph's order."""
    readers = Counter([name for node in graph.nodes for name in node.inputs] + list(graph.taps.values()))
    shared = {node.twin for node in graph.nodes if node.twin}
    words = [_word(node, graph) for node in graph.nodes]
    found = []
    for at, word in enumerate(words):
        for run in RUNS if word in STARTS else ():
            nodes = graph.nodes[at : at + len(run)]
            alone = all(later.inputs == (node.name,) and readers[node.name] == 1 for node, later in pairwise(nodes))
            own = not any(node.twin or node.name in shared for node in nodes)
            if tuple(words[at : at + len(run)]) == run and alone and own:
                found.append(tuple(node.name for node in nodes))
                break
    return found


def _word(node: Node, graph: Graph) -> str:
    """What a node can be in a run. The module has the last word (`together`)."""
    match node.op:
        case Conv(transposed=False) if graph[node.inputs[0]].output.channels <= FEW:
            return "conv"
        case Conv(transposed=False) if _is_wide(*node.placed.weights["weight"]):
            return "wide"
        case Activation("relu"):
            return "relu"
        case Pool("max"):
            return "pool"
    return ""


def _is_wide(filters: int, channels: int, *kernel: int) -> bool:
    return kernel == (3, 3) and min(filters, channels) >= WIDE


def _tiled(conv: Any, x: Tensor) -> bool:
    """Whether what it gives is of x's own grid, which is tiles of 2×2, none in part outside, and enough of them."""
    rows, columns = x.shape[2:]
    return conv.padding == (1, 1) and rows % 2 == columns % 2 == 0 and len(x) * rows * columns >= 4 * TILES


def pays(x: Tensor) -> bool:
    """Whether runs are worth looking for: a training step on a processor under bfloat16 autocast, with nobody looking
    on and nothing but plain gradients asked for.
    """
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") is torch.bfloat16
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not _has_any_global_hook()
    )


def together(modules: list[nn.Module]) -> bool:
    """Whether these modules are what they were built as, and nobody looks at what goes between them."""
    conv: Any = modules[0]
    return (
        type(conv) is nn.Conv2d
        and {conv.stride, conv.dilation, (conv.groups, 1)} == {(1, 1)}
        and isinstance(conv.padding, tuple)
        and conv.padding_mode == "zeros"
        and all(side % 2 for side in conv.kernel_size)
        and type(conv.weight) is nn.Parameter
        and conv.weight.dtype is torch.float32
        and conv.weight.requires_grad
        and all(_plain(module) for module in modules[1:])
        and not any(getattr(module, hooks) for module in modules for hooks in HOOKS)
    )


def _plain(module: Any) -> bool:
    if type(module) is nn.MaxPool2d:
        sizes = [tuple(_two(size)) for size in (module.kernel_size, module.stride, module.padding, module.dilation)]
        return sizes == [(2, 2), (2, 2), (0, 0), (1, 1)] and not module.ceil_mode and not module.return_indices
    return type(module) is nn.ReLU


def _two(size: int | tuple[int, int]) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)
