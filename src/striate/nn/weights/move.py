"""Weights from anywhere into a network, and back into the names of others.

Names propose first (ours, then torchvision's and timm's by the tables of `peers`); where nobody's names are known,
order does: both lists are walked side by side. Every shape must then fit, and the first doubt is a refusal that changes
nothing. That the numbers mean the same is shown in tests/parity, by equal logits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import CannotLoad, NotFound
from striate.blueprint.passes import heads
from striate.nn.build import Network
from striate.nn.weights.adapt import by_class, channels, first_readers, told_channels
from striate.nn.weights.match import COUNTER, by, pair, peer_names, under, unexpected
from striate.nn.weights.source import Shape, Source, from_state, open_weights


class Report(NamedTuple):
    """What became of every tensor, by our names (`unexpected`: by theirs). `str()` is for people."""

    source: str
    network: str
    loaded: tuple[str, ...]
    adapted: Mapping[str, str]  # name -> how
    skipped: Mapping[str, str]  # name -> why it is as it was
    unexpected: tuple[str, ...]  # in the source, of parts that this network does not have

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.adapted) + len(self.skipped)
        lines = [f"{self.source} -> {self.network}: {len(self.loaded)} of {total} tensors loaded as they are"]
        lines += [f"    adapted     {name}: {how}" for name, how in self.adapted.items()]
        for why in dict.fromkeys(self.skipped.values()):
            lines.append(f"    skipped     {_some([n for n, said in self.skipped.items() if said == why])}: {why}")
        if self.unexpected:
            lines.append(f"    unexpected  {_some(self.unexpected)}: in no part of this network")
        return "\n".join(lines)


class Step(NamedTuple):
    """How a tensor of ours is made of one of theirs; `told` is empty where it is taken as it is."""

    theirs: str
    make: Callable[[Tensor, Tensor], Tensor]  # theirs, ours as it was -> ours
    told: str = ""


@torch.no_grad()
def move(
    state: Mapping[str, Tensor] | Source | str | Path,
    network: Network,
    *,
    except_: str | Sequence[str] = (),
    classes: Sequence[str] = (),
    new_head: bool = False,
) -> Report:
    """The weights of a state dict or a file into `network`: all, or none and a refusal.

    `except_` names parts ("fc", "layer4.2"), ours or theirs, that stay out; with `new_head`, heads stay as they are
    where theirs do not fit. `classes` names the source's classes: where the network's metadata names its own too, the
    rows of a head go by name. The channels of the input are adapted (`adapt.channels`).
    Raises CannotLoad, CannotRead, NotFound.
    """
    source = _source(state)
    label = str(network.metadata.get("network", "the network"))
    apart = (except_,) if isinstance(except_, str) else tuple(except_)
    mine = network.state_dict()
    for part in apart:
        if not any(under(name, [part]) for name in (*mine, *source.shapes)):
            raise NotFound("part", part, dict.fromkeys(name.split(".")[0] for name in mine))
    fit = _fitter(network, source, list(classes or source.metadata.get("classes", ())))
    wanted = [name for name in mine if not under(name, apart)]
    theirs = pair(network.graph, source, wanted, lambda name, there: fit(name, there) is not None)
    wanted = [name for name in wanted if not under(theirs.get(name, ""), apart) and not _old_counter(name, theirs)]
    steps = {name: step for name in wanted if name in theirs and (step := fit(name, theirs[name]))}
    lost = [name for name in wanted if name not in steps]
    kept = [name for name in lost if new_head and name in theirs and under(name, heads(network.graph))]
    if len(kept) < len(lost):
        raise _misfit(network, source, label, len(steps), len(wanted), lost, theirs)
    left, doubtful = unexpected(source, theirs.values(), apart)
    if doubtful:
        raise CannotLoad(
            f"Cannot load {source.label} into {label}: all {len(wanted)} tensors fit, and {len(doubtful)} more are "
            f"there: {_some(doubtful)}. It looks like another network's.",
            ways=f'To leave them out: except_="{doubtful[0].rpartition(".")[0]}", and so on.',
        )
    made = {name: _made(source, step, mine[name]) for name, step in steps.items()}
    for name, tensor in made.items():
        mine[name].copy_(tensor)
    told = {name: step.told for name, step in steps.items() if step.told}
    loaded = tuple(name for name in steps if name not in told)
    other = {name: _other(tuple(mine[name].shape), source.shapes[theirs[name]]) for name in kept}
    skipped = {n: other.get(n, "left out by except_") for n in mine if n not in steps and not n.endswith(COUNTER)}
    return Report(source.label, label, loaded, told, skipped, tuple(left))


def to_names(network: Network, peer: str, family: str = "") -> dict[str, Tensor]:
    """The network's state under the names of "torchvision" or "timm", as their `load_state_dict(strict=True)` wants it.

    `family` says which of its tables where a peer has two spellings ("legacy_seresnet" of timm beside "seresnet").
    Raises NotFound for another peer or family; CannotLoad where a layer stands in none of the tables.
    """
    names, graph = peer_names(network.graph, peer, family), network.graph
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, tensor in network.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        whole = names[layer].endswith("@") and leaf == "weight"
        state[f"{names[layer].rstrip('@')}.{leaf}"] = (
            tensor.view(-1, *graph[graph[layer].inputs[0]].output) if whole else tensor
        )
    state._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]  # torchvision's MnasNet asks for its layout's
    return state


def _old_counter(name: str, theirs: Mapping[str, str]) -> bool:
    """Whether it is a batch counter that a file of before 2018 lacks, the statistics themselves being there."""
    return name.endswith(COUNTER) and name not in theirs and name.replace(COUNTER, "running_mean") in theirs


def _source(state: Mapping[str, Tensor] | Source | str | Path) -> Source:
    if isinstance(state, Source):
        return state
    return open_weights(state) if isinstance(state, str | Path) else from_state(state)


def _fitter(network: Network, source: Source, theirs: list[str]) -> Callable[[str, str], Step | None]:
    """Whether a tensor of theirs can become one of ours, and how."""
    shapes: dict[str, Shape] = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    last, first = heads(network.graph), first_readers(network.graph)
    ours = [str(name) for name in network.metadata.get("classes", ())]

    def fit(name: str, there: str) -> Step | None:
        want, have = shapes[name], source.shapes[there]
        layer, _, leaf = name.rpartition(".")
        if layer in last and ours and len(theirs) == have[0] and ours != theirs:
            rows = by_class(ours, theirs)
            same = rows is not None and len(ours) == want[0] and want[1:] == have[1:]
            return Step(there, partial(_rows, rows.taken), rows.told) if rows and same else None
        if want == have or (want[:1] == have[:1] and prod(want) == prod(have) and _flat(want, have)):
            return Step(there, lambda tensor, was: tensor.reshape(was.shape))
        if leaf == "weight" and (cells := first.get(layer)) and _but_channels(want, have, cells):
            told = f"{by(have)} -> {by(want)}, {told_channels(have[1] // cells, want[1] // cells)}"
            return Step(there, partial(_spread, cells), told)
        return None

    return fit


def _other(want: Shape, have: Shape) -> str:
    return f"{by(have)} there, of {'other classes' if want[1:] == have[1:] else 'another size'}; as initialised"


def _flat(one: Shape, other: Shape) -> bool:
    """Whether one is the other as torch flattens it: a Linear and the convolution over its whole input."""
    return 2 in (len(one), len(other)) and {len(one), len(other)} <= {2, 4}


def _but_channels(want: Shape, have: Shape, cells: int) -> bool:
    whole = len(have) > 1 and have[1] > 0 and have[1] % cells == 0 == want[1] % cells
    return whole and len(want) == len(have) and want[0] == have[0] and want[2:] == have[2:]


def _spread(cells: int, tensor: Tensor, was: Tensor) -> Tensor:
    split = tensor.view(tensor.shape[0], tensor.shape[1] // cells, -1)
    return channels(split, was.shape[1] // cells).reshape(was.shape)


def _rows(taken: Sequence[int | None], tensor: Tensor, was: Tensor) -> Tensor:
    return torch.stack([was[i] if row is None else tensor[row].to(was) for i, row in enumerate(taken)])


def _made(source: Source, step: Step, was: Tensor) -> Tensor:
    tensor = source.read(step.theirs)
    if tensor.is_floating_point() != was.is_floating_point() or tuple(tensor.shape) != source.shapes[step.theirs]:
        kind = f"{by(tuple(tensor.shape))} of {tensor.dtype}"
        raise CannotLoad(
            f"Cannot load {source.label}: {step.theirs} is {kind}, wanted {by(tuple(was.shape))} of {was.dtype}."
        )
    if not bool(tensor.isfinite().all()):
        odd = int((~tensor.isfinite()).sum())
        raise CannotLoad(
            f"Cannot load {source.label}: {odd:,} of the {tensor.numel():,} numbers of {step.theirs} are not finite.",
            ways="The training that wrote it had diverged, or the file is damaged: take an earlier one.",
        )
    return step.make(tensor.to(was.device, was.dtype), was)


def _misfit(
    network: Network, source: Source, label: str, fitting: int, total: int, lost: list[str], theirs: Mapping[str, str]
) -> CannotLoad:
    name = next((name for name in lost if name in theirs), lost[0])
    wanted = by(tuple(network.state_dict()[name].shape))
    if name not in theirs:
        fact = f"{name} ({wanted}) is not there."
    elif (have := source.shapes[theirs[name]]) != tuple(network.state_dict()[name].shape):
        fact = f"{name} is {by(have)}, wanted {wanted}."
    else:
        fact = f"{name} has rows for other classes."
    parts = {head for head in heads(network.graph) if any(under(name, [head]) for name in lost)}
    own = parts and all(under(name, parts) for name in lost)
    named = f'"{min(parts)}"' if len(parts) == 1 else str(sorted(parts))
    ways = f" To keep your own head: except_={named}." if own else ""
    return CannotLoad(f"Cannot load {source.label} into {label}: {fitting} of {total} tensors fit; {fact}{ways}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f", … ({len(names)} in all)" if len(names) > 3 else "")
