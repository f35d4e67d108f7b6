"""Where to cut a network for checkpointing: keep what crosses the cuts, make the rest again (Chen et al. 2016, arXiv
1604.06174: with n equal layers and √n cuts, memory is of the order of √n).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise

from striate.blueprint.graph import Graph
from striate.cost.autograd import parts
from striate.cost.holds import kinds
from striate.cost.memory import OVERWRITES

COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)  # of segments that are tried, about so many


def segments(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """The nodes but the input, in runs. Of several ways to cut, the one whose crossing values together with the largest
    run's saved ones are the fewest bytes; a batch does not change it.

    A cut may be crossed by several values, but by none that somebody behind it overwrites.
    """
    nodes, part, kind = graph.nodes[1:], parts(graph, 1), kinds(graph)
    last: dict[str, int] = {}
    rewritten: dict[str, int] = {}  # home -> the last node that writes into it
    for i, node in enumerate(nodes):
        last |= dict.fromkeys((part[name].home for name in node.inputs), i)
        if kind[node.name] in OVERWRITES and part[node.name].home != node.name:
            rewritten[part[node.name].home] = i
    held: set[object] = set()
    gone = [0] * (len(nodes) + 1)
    crossing, forbidden, saved = [0], [False], [0]
    alive = 0
    until = -1  # up to here some value made before is still to be overwritten
    for i, node in enumerate(nodes):
        mine = part[node.name]
        if mine.home == node.name:
            alive += mine.bytes
            gone[last.get(node.name, i)] += mine.bytes
            until = max(until, rewritten.get(node.name, -1))
        alive -= gone[i]
        new = {
            key: size or (part[key].bytes if isinstance(key, str) else 0) for key, size in mine.saves if key not in held
        }
        held.update(new)
        saved.append(sum(new.values()))
        crossing.append(alive)
        forbidden.append(until > i)
    total = list(accumulate(saved))
    allowed = [i for i in range(1, len(nodes)) if not forbidden[i]]
    best = min((_cuts(total, crossing, allowed, count) for count in COUNTS), key=lambda found: found[0])
    cuts = [0, *best[1], len(nodes)]
    return tuple(tuple(node.name for node in nodes[a:b]) for a, b in pairwise(cuts))


def _cuts(total: list[int], crossing: list[int], allowed: list[int], count: int) -> tuple[int, list[int]]:
    """(bytes, places) of about so many runs, each cut where least crosses in the second half of what a run may save."""
    budget, start, found = total[-1] / count, 0, []
    while total[-1] - total[start] > budget:
        low = bisect_left(allowed, bisect_left(total, total[start] + budget / 2, start + 1))
        high = bisect_right(allowed, bisect_right(total, total[start] + budget, start + 1) - 1)
        choice = allowed[low:high] or allowed[low : low + 1]
        if not choice:
            break
        start = min(choice, key=lambda i: (crossing[i], -i))
        found.append(start)
    runs = [total[b] - total[a] for a, b in pairwise([0, *found, len(total) - 1])]
    return sum(crossing[i] for i in found) + max(runs), found
