"""Which of their tensors is which of ours: by names where they are known, else by order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from striate.blueprint import CannotLoad, Graph, Node, NotFound
from striate.nn.weights.names import Names, translate
from striate.nn.weights.peers import PEERS
from striate.nn.weights.source import Shape, Source

COUNTER = "num_batches_tracked"  # a number that BatchNorm keeps and does not use; older files lack it
LEAVES = ("weight", "bias", "running_mean", "running_var")
WRAPPERS = ("module.", "model.", "_orig_mod.")  # what DataParallel, trainers and torch.compile put in front
ENOUGH = 0.5  # of our names found: these are their names; below, order is tried


def pair(graph: Graph, source: Source, ours: Sequence[str], fits: Callable[[str, str], bool]) -> dict[str, str]:
    """Ours -> theirs, as far as they have it. Raises CannotLoad where neither names nor order say."""
    front = _wrapper(source)
    tables = (
        {layer: layer for layer in _layers(graph)},
        *(translate(graph, t) for p in PEERS.values() for t in p.values()),
    )
    found = [_found(names, front, source, ours) for names in tables]
    best = max(found, key=len)
    if len(best) >= ENOUGH * len(ours):
        return best
    return _in_order(source, ours, fits)


def _found(names: Names, front: str, source: Source, ours: Sequence[str]) -> dict[str, str]:
    theirs = ((name, f"{front}{names.get(_layer(name), '?').rstrip('@')}.{_leaf(name)}") for name in ours)
    return {name: there for name, there in theirs if there in source.shapes}


def _in_order(source: Source, ours: Sequence[str], fits: Callable[[str, str], bool]) -> dict[str, str]:
    """Both lists side by side; a pair must fit, and have the same last word where theirs is one of torch's."""
    mine, theirs = ([name for name in names if not name.endswith(COUNTER)] for names in (ours, source.shapes))
    unknown = f'its names ("{next(iter(source.shapes))}", …) are in no table here'
    if not source.ordered:
        raise CannotLoad(f"Cannot load {source.label}: {unknown}, and its kind of file keeps no order.", ways=_RENAME)
    for at, (name, there) in enumerate(zip(mine, theirs, strict=False), 1):
        if not fits(name, there) or (_leaf(there) in LEAVES and _leaf(there) != _leaf(name)):
            raise CannotLoad(
                f"Cannot load {source.label}: {unknown}, and in order they differ at {at} of {len(mine)}: "
                f"{there} is {by(source.shapes[there])}, where {name} is wanted.",
                ways=_RENAME,
            )
    if len(mine) != len(theirs):
        raise CannotLoad(
            f"Cannot load {source.label}: {unknown}, and it holds {len(theirs)} tensors where {len(mine)} are wanted.",
            ways=_RENAME,
        )
    return dict(zip(mine, theirs, strict=True))


def unexpected(source: Source, taken: Iterable[str], apart: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of the source nobody takes: in parts that this network does not have at all (side heads, a head that was cut
    off), and in parts that it has otherwise.
    """
    taken, front = set(taken), _wrapper(source)
    part = lambda name: name.removeprefix(front).split(".")[0]  # noqa: E731
    used = {part(name) for name in taken}
    left = [n for n in source.shapes if n not in taken and not under(n, apart) and not n.endswith(COUNTER)]
    return [n for n in left if part(n) not in used], [n for n in left if part(n) in used]


def peer_names(graph: Graph, peer: str, family: str = "") -> Names:
    """Every layer that holds numbers, by its name at "torchvision" or "timm". Raises NotFound, CannotLoad."""
    if peer not in PEERS:
        raise NotFound("table of names", peer, PEERS)
    if family and family not in PEERS[peer]:
        raise NotFound(f"family of {peer}", family, PEERS[peer])
    layers, best = _layers(graph), Names()
    for table in [PEERS[peer][family]] if family else PEERS[peer].values():
        names = translate(graph, table)
        if len(layers) == len(set(names.values())):
            return names
        best = max(best, names, key=len)
    lost = next(layer for layer in layers if layer not in best)
    raise CannotLoad(
        f"Cannot say this network in {peer}'s names: {lost} is in none of its tables.",
        ways="Networks of the zoo that it has too can be said.",
    )


def under(name: str, parts: Iterable[str]) -> bool:
    """Whether a tensor belongs to one of the parts."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def by(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "a number"


def _layers(graph: Graph) -> list[str]:
    return [node.name for node in graph if holds(node)]


def holds(node: Node) -> bool:
    """Whether it has numbers of its own."""
    return bool(node.placed.weights or node.placed.buffers) and node.twin is None


def _wrapper(source: Source) -> str:
    front = ""
    while more := next((w for w in WRAPPERS if all(name.startswith(front + w) for name in source.shapes)), ""):
        front += more
    return front


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


_RENAME = "With names of torchvision's, timm's or ours it can be: rename them, and move(state, network)."
