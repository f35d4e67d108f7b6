"""A network as steps that can be taken apart: written down without being run, norms folded into convolutions, the
linear start apart from the rest. Modules that do more than their type says (hooks, parametrizations) are run as they
are. What a stranger's forward does besides its steps (no_grad, gradients of its own) is not in them: so who runs steps
in a model's stead tries first whether they give the same.
"""

from __future__ import annotations

import operator
from copy import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from striate.nn import winograd4
from striate.nn.build import JOINS, Network
from striate.nn.fusing import HOOKS

ALIKE = {  # what treats each channel by itself, and all alike
    nn.ReLU, nn.ReLU6, nn.Dropout, nn.Identity, nn.AdaptiveAvgPool2d, nn.Flatten, F.relu, F.dropout,
    F.adaptive_avg_pool2d, torch.relu, torch.flatten, "relu", "flatten",
}  # fmt: skip
APART = {  # done in place -> done apart
    operator.iadd: operator.add, operator.imul: operator.mul, torch.relu_: torch.relu, F.relu_: F.relu,
    "relu_": "relu", "add_": "add", "mul_": "mul",
}  # fmt: skip
LINEAR = {nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AvgPool2d, nn.ZeroPad2d, nn.Flatten, nn.Identity, nn.Dropout}
FAILURES = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)  # of a stranger's steps, run otherwise
ROUNDING = 256  # units in the last place of the largest score: how far apart two ways to the same scores may be


def program(model: nn.Module) -> fx.Interpreter | None:
    """A network's steps, to be interpreted (nothing is compiled: names come from files of others); None where they
    depend on values, so that nobody can write them down beforehand.
    """
    try:
        graph = _of_ours(model) if isinstance(model, Network) else fx.Tracer().trace(model)
    except Exception:  # whatever a stranger's forward says to a symbol
        return None
    for node in graph.nodes:
        if node.op != "call_module":
            node.target = APART.get(node.target, node.target)
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
    one = sum(node.op == "placeholder" for node in graph.nodes) == 1
    return fx.Interpreter(model, graph=graph) if one else None


def near(one: Tensor, other: Tensor) -> bool:
    """Whether scores are the same but for rounding."""
    one, other = one.detach(), other.detach()
    return torch.allclose(one, other, rtol=0, atol=ROUNDING * torch.finfo(torch.float32).eps * float(other.abs().max()))


def _of_ours(model: Network) -> fx.Graph:
    graph = fx.Graph()
    made = {"input": graph.placeholder("x")}
    for node in model.graph.nodes[1:]:
        read = [made[name] for name in node.inputs]
        if isinstance(node.op, str):
            made[node.name] = graph.call_function(JOINS[node.op], (read,))
        else:
            made[node.name] = graph.call_module(node.twin or node.name, (read[0],))
    graph.output(made[model.graph.taps["out"]])
    return graph


def narrowed(steps: fx.Interpreter, which: int) -> bool:
    """Have the steps answer for one class only, where the last of them are a convolution for the classes and what
    treats channels alike. Tells whether they do.
    """
    [output] = (node for node in steps.graph.nodes if node.op == "output")
    node = output.args[0]
    while isinstance(node, fx.Node) and len(node.all_input_nodes) == 1 and len(node.users) == 1:
        module = module_of(steps, node)
        if type(module) is nn.Conv2d and module.groups == 1:
            node.op, node.target = "call_function", _with(module, *_only(module, which))
            return True
        if kind_of(module, node) not in ALIKE:
            break
        node = node.all_input_nodes[0]
    return False


def module_of(steps: fx.Interpreter, node: fx.Node) -> nn.Module | None:
    """What a step runs, where that is a module."""
    found = steps.fetch_attr(str(node.target)) if node.op == "call_module" else node.target
    return found if isinstance(found, nn.Module) else None


def kind_of(module: nn.Module | None, node: fx.Node) -> Any:
    """A module's type; of other steps the function, or the method's name."""
    return node.target if module is None else type(module)


def _only(conv: nn.Conv2d, which: int) -> tuple[Tensor, Tensor | None]:
    """The weights of a convolution that make one of its channels."""
    weight, bias = (None if value is None else value.detach()[which : which + 1] for value in (conv.weight, conv.bias))
    return weight, bias  # type: ignore[return-value]


def folded(steps: fx.Interpreter) -> fx.Interpreter:
    """The steps, with each norm folded into the convolution before it, and the weights laid out once and for all as
    channels-last images want them. The modules themselves stay as they are.
    """
    for node in [*steps.graph.nodes]:
        conv = module_of(steps, node)
        if type(conv) is not nn.Conv2d or not plain(conv):
            continue
        after = next(iter(node.users)) if len(node.users) == 1 else node
        norm = module_of(steps, after)
        if type(norm) is nn.BatchNorm2d and plain(norm) and norm.running_mean is not None:
            after.replace_all_uses_with(node)
            steps.graph.erase_node(after)
            node.target = _scaled(conv, norm)
        else:
            node.target = _scaled(conv)
        node.op = "call_function"
    return steps


def widened(steps: fx.Interpreter) -> fx.Interpreter:
    """The folded steps, wide 3×3 convolutions among them by tiles: for who runs them often, without gradients."""
    for node in steps.graph.nodes:
        conv = node.target
        if type(conv) is nn.Conv2d and winograd4.fits(conv):
            node.target = winograd4.wide(conv)
    return steps


def ours(model: nn.Module) -> bool:
    """Whether its steps are all that a network does on the way there and back: one of ours, of plain modules."""
    return type(model) is Network and all(map(plain, model.modules()))


def plain(module: nn.Module | None) -> bool:
    """Whether a module does in evaluation what its type says, no more."""
    return (
        module is not None
        and not module.training
        and "forward" not in vars(module)
        and not any(getattr(module, hooks) for hooks in HOOKS)
    )


def _scaled(conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> nn.Conv2d:
    """A convolution with what the norm behind it does, its weights channels last."""
    weight, bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
    if norm is not None:
        scale = (norm.running_var.double() + norm.eps).rsqrt()  # type: ignore[union-attr]
        scale = (scale if norm.weight is None else scale * norm.weight.detach()).to(weight.dtype)
        moved = -norm.running_mean if bias is None else bias - norm.running_mean  # type: ignore[operator]
        bias = moved * scale if norm.bias is None else moved * scale + norm.bias.detach()
        weight = weight * scale.view(-1, 1, 1, 1)
    return _with(conv, weight.contiguous(memory_format=torch.channels_last), bias)


def _with(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    part = copy(conv)
    kept = {"weight": weight, "bias": bias}
    part._parameters = {
        name: None if value is None else nn.Parameter(value, requires_grad=False) for name, value in kept.items()
    }
    part.out_channels = len(weight)
    return part


def halves(steps: fx.Interpreter) -> tuple[fx.Interpreter, fx.Interpreter]:
    """The steps in two: those at the beginning that are linear but for a constant, each reading only the one before it
    and read by nobody else; and what follows from the value that they end in.
    """
    chain = [node for node in steps.graph.nodes if node.op == "placeholder"]
    while len(chain[-1].users) == 1:
        node = next(iter(chain[-1].users))
        module = module_of(steps, node)
        if type(module) not in LINEAR or not plain(module) or getattr(module, "running_mean", 0) is None:
            break
        chain.append(node)
    others = [node for node in steps.graph.nodes if node not in chain]
    return _from(steps, chain[0], chain[1:], chain[-1]), _from(steps, chain[-1], others)


def _from(steps: fx.Interpreter, first: fx.Node, nodes: list[fx.Node], last: fx.Node | None = None) -> fx.Interpreter:
    """Steps by themselves that read the value of one; they end in the last of them, where no output is among them."""
    graph = fx.Graph()
    made = {first: graph.placeholder("x")}
    for node in nodes:
        made[node] = graph.node_copy(node, made.__getitem__)
    if last is not None:
        graph.output(made[last])
    return fx.Interpreter(steps.module, graph=graph)
