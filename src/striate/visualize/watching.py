"""Values inside a network while it runs, and the network afterwards as it was before.

Any nn.Module is watched by its submodules' names; one of ours by its graph's nodes too, joins among them. What is kept
is a value's own tensor while the network goes on with a copy: whatever a later layer does in place, it is not done to
what was kept, and gradients pass through both. Of a module that runs several times the last run counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from striate.blueprint import Node, NotFound, Refusal, replay
from striate.data.memory import keep_freed
from striate.judging.dense import STRICT
from striate.judging.trained import answer, as_read, there
from striate.nn.build import Network

FAILURES = (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError)  # of a stranger's forward
OUT = "out"  # the layer that the network's answer is: scores N×classes, before any soft-max
Change = Callable[[str, Tensor], Tensor]


def layers(model: nn.Module) -> list[str]:
    """The names that a layer can be watched by, in the order they are written down."""
    named = [name for name, _ in model.named_modules() if name]
    if not isinstance(model, Network):
        return [*named, *([OUT] if OUT not in named else [])]
    nodes = [node.name for node in model.graph.nodes[1:]]
    return [*dict.fromkeys([*named, *nodes]), *([OUT] if OUT not in {*named, *nodes} else [])]


def known(model: nn.Module, name: str) -> str:
    """The name under which `watched` keeps that layer: of a part of ours, the last node in it. Raises NotFound."""
    nodes = model.graph.nodes[1:] if isinstance(model, Network) else ()
    inside = [node.name for node in nodes if node.name == name or (node.name.startswith(f"{name}.") and name != OUT)]
    if inside:
        return inside[-1]
    if name not in (names := layers(model)):
        open_to_hooks(model)  # it may be a layer of what is inside
        raise NotFound("layer", name, names)
    return name


def parts(model: nn.Module) -> list[nn.Module]:
    """A model's modules, itself first, each once: `modules` without the names, which take most of its time."""
    found = [model]
    for module in found:  # it grows meanwhile
        if inside := module._modules:
            found += [part for part in inside.values() if part is not None]
    return [*dict.fromkeys(found)]


@contextmanager
def undisturbed(model: nn.Module, weights: bool = False, inplace: bool = False) -> Iterator[list[nn.Module]]:
    """The model, whose parts these are, in evaluation mode, nothing done in place unless `inplace`, its weights without
    gradients unless `weights`; afterwards modes, flags and gradients are as they were. Raises Refusal where weights are
    not there.
    """
    keep_freed()
    modules = parts(model)
    training = [module for module in modules if module.training]
    apart = [] if inplace else [module for module in modules if getattr(module, "inplace", None) is True]
    parameters = [p for module in modules for p in module._parameters.values() if p is not None]
    # What is as it should be is not noted: that takes longer than to look.
    flagged = [p for p in parameters if p.requires_grad != weights]
    gradients = [(p, p.grad) for p in parameters] if weights else []
    there(model, flagged)
    try:
        if training:
            model.eval()
        for module in apart:
            module.inplace = False  # type: ignore[assignment]
        for parameter in flagged:
            parameter.requires_grad_(weights)
        for parameter, _ in gradients:
            parameter.grad = None
        yield modules
    finally:
        for module in training:
            module.training = True
        for module in apart:
            module.inplace = True  # type: ignore[assignment]
        for parameter in flagged:
            parameter.requires_grad_(not weights)
        for parameter, gradient in gradients:
            parameter.grad = gradient


@contextmanager
def watched(model: nn.Module, names: Iterable[str], change: Change | None = None) -> Iterator[dict[str, Tensor]]:
    """While it lasts, each run of the model puts the values of these layers (names as `known` gives them) into the
    dict, N×C×H×W or whatever the layer gives. With `change`, the network goes on with what that makes of a value.
    """
    wanted, found = {*names}, dict[str, Tensor]()

    def keep(name: str, value: Any) -> Any:
        tensor = value[0] if isinstance(value, tuple | list) and value else value
        if name not in wanted or not isinstance(tensor, Tensor):
            return value
        found.pop(name, None)  # in the order of their last runs
        found[name] = tensor
        on = tensor.clone() if change is None else change(name, tensor)
        return on if tensor is value else (on, *value[1:])

    with _hung(model, wanted, keep):
        yield found


@contextmanager
def _hung(model: nn.Module, wanted: set[str], keep: Callable[[str, Any], Any]) -> Iterator[None]:
    """`keep` where values come about: in our network's run, else in hooks. Raises Refusal where there are none."""
    if wanted - {OUT}:
        open_to_hooks(model)
    if isinstance(model, Network):
        before, model.watch = model.watch, keep
        try:
            yield
        finally:
            model.watch = before
        return
    own = isinstance(getattr(model, OUT, None), nn.Module)  # else the answer, which no module of that name gives
    modules = {name: model.get_submodule(name) for name in wanted if name != OUT or own}
    hooks = [
        module.register_forward_hook(lambda _, __, value, name=name: keep(name, value))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def open_to_hooks(model: nn.Module) -> None:
    """Raises Refusal where nobody can look inside."""
    scripted = isinstance(model, torch.jit.ScriptModule)
    if scripted or "_orig_mod" in model._modules or getattr(model, "_compiled_call_impl", None):
        raise Refusal(
            f"Cannot look inside {type(model).__name__}: it is {'scripted' if scripted else 'compiled'}, "
            "and tells nobody of its layers.",
            ways="Give the module that it was made of; gradients of the image and occlusion look at no layer.",
        )


def ran(model: nn.Module, x: Tensor, scored: bool = False) -> Any:
    """What a network makes of x, as it reads it; `scored`: as `answer` gives it. Raises Refusal where it does not run
    on such images.
    """
    try:
        return answer(model, x) if scored else model(as_read(model, x))
    except (Refusal, torch.OutOfMemoryError):
        raise
    except FAILURES as error:
        raise unread(model, x, error) from error


def unread(model: nn.Module, x: Tensor, error: BaseException) -> Refusal:
    """Why a network does not run on x, as its own first line has it."""
    return Refusal(
        f"Cannot run {type(model).__name__} on {'×'.join(map(str, x.shape[1:])) or 'one number'}.",
        str(error).split("\n")[0],
        "Images N×C×H×W of channels and a size that it reads.",
    )


def values(model: nn.Module, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """What these layers (as a user writes them) make of x, without gradients. Raises NotFound, and Refusal for a layer
    that did not run or gave no tensor.
    """
    by_name = {name: known(model, name) for name in names}
    with torch.no_grad(), undisturbed(model), watched(model, by_name.values()) as found:
        found[OUT] = ran(model, x, OUT in by_name.values())
    return {name: value_of(found, inner, name) for name, inner in by_name.items()}


def value_of(found: dict[str, Tensor], inner: str, name: str = "") -> Tensor:
    """The value that was kept under a name. Raises Refusal where none was."""
    if inner not in found or not isinstance(found[inner], Tensor):
        raise Refusal(
            f"Cannot see {name or inner}: it did not run, or gave no tensor.",
            ways="Name a layer that the network runs on an image.",
        )
    return found[inner]


class _Enough(BaseException):
    """All that is wanted has been seen; no error, and nobody else's to catch."""


@contextmanager
def as_far_as(model: nn.Module, names: Iterable[str]) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
    """A way to run the model on x no further than these layers (as a user writes them) need, with gradients where they
    are on: x -> their values by these names. Sizes of x that only later layers refuse are read.

    One of ours is cut behind the last of them. Of any other the first run goes to its end, to learn how often each of
    the layers runs; from then on a run is broken off once they have run as often. Raises NotFound, Refusal.
    """
    by_name = {name: known(model, name) for name in names}
    inner, answered = {*by_name.values()}, OUT in by_name.values()
    often, counts = Counter[str](), Counter[str]()

    def count(name: str, value: Tensor) -> Tensor:
        counts[name] += 1
        if often and counts >= often:
            raise _Enough
        return value.clone()

    short = upper(model, inner) if isinstance(model, Network) and not answered else model
    with watched(short, inner, None if answered or short is not model else count) as found:

        def run(x: Tensor) -> dict[str, Tensor]:
            found.clear()
            counts.clear()
            try:
                out = ran(short, x, answered)
                if answered:
                    found[OUT] = out
            except _Enough:
                pass
            except Refusal:  # of shapes: of no matter behind the last of them
                if inner - {*found}:
                    raise
            often.update(counts if not often else ())
            return {name: value_of(found, inside, name) for name, inside in by_name.items()}

        yield run


def _tolerant(node: Node) -> Any:
    return replace(node.op, fit="floor") if getattr(node.op, "fit", "floor") in STRICT else node.op  # type: ignore[type-var]


def upper(model: Network, names: Iterable[str]) -> Network:
    """The model as far as the last of these nodes, as a network whose parts are the model's own. Windows that would not
    tile an image of another size leave its last cells unread.
    """
    wanted = {*names}
    end = max(i for i, node in enumerate(model.graph.nodes) if node.name in wanted)
    nodes = model.graph.nodes[: end + 1]
    graph = replay(replace(model.graph, nodes=nodes, taps={OUT: nodes[end].name}), _tolerant)
    with torch.device("meta"):
        made = Network(graph)
    for node in nodes[1:]:
        if not isinstance(node.op, str) and node.twin is None:
            room, _, leaf = node.name.rpartition(".")
            setattr(made.get_submodule(room), leaf, model.get_submodule(node.name))
    made.training = model.training  # of it alone: the parts have their own
    return made
