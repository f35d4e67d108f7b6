"""A traced module is the graph it was built from, and a trace leaves a module as it found it."""

from dataclasses import replace

import pytest

from specimens import SPECIMENS
from striate import zoo
from striate.blueprint import Conv, LocallyConnected, LocalResponseNorm, Pad, Placed, Pool, RadialBasis, Volume, draft
from striate.blueprint.layer import pair
from striate.nn import build, trace

QUICK = (
    "lenet5_paper",
    "alexnet_paper",
    "vgg_a_lrn",
    "googlenet",
    "resnet18",
    "resnet20",
    "densenet121",
    "mobilenet_v2",
)


def plainly(node, volume):
    """What torch cannot tell apart is said one way: windows by their numbers, and each node without its name."""
    op = node.op
    if isinstance(op, Conv | Pool | LocallyConnected):
        windows = []
        for n, window in zip(volume.grid, op.windows(volume), strict=True):
            slid = window.slide(n, op.fit or "floor") if hasattr(op, "fit") else None
            over = 0
            if op.fit == "ceil" and slid is not None:
                over = max(0, (slid.positions - 1) * window.stride + window.reach - n - window.before - window.after)
            windows.append(window._replace(after=window.after + over))
        rest = [getattr(op, f, None) for f in ("kind", "transposed", "bias", "count_include_pad")]
        op = (type(op), windows, *rest)
    if isinstance(op, Pad):
        op = Pad(tuple(pair(sides) for sides in pair(op.grid)), op.channels)
    if isinstance(op, LocalResponseNorm) and not op.average:
        op = replace(op, alpha=op.alpha * op.size, average=True)
    placed: Placed = node.placed._replace(
        windows=None, weights=dict(node.placed.weights), buffers=dict(node.placed.buffers)
    )
    return op, placed, node.field, node.gated


def alike(mine, theirs):
    """Node for node the same, names aside."""
    assert [node.op if isinstance(node.op, str) else type(node.op) for node in mine] == [
        node.op if isinstance(node.op, str) else type(node.op) for node in theirs
    ]
    names = {a.name: b.name for a, b in zip(mine, theirs, strict=True)}
    for a, b in zip(mine, theirs, strict=True):
        assert tuple(names[name] for name in a.inputs) == b.inputs, (a, b)
        assert (names[a.twin] if a.twin else None) == b.twin, (a, b)
        before = mine[a.inputs[0]].output if a.inputs else Volume(1)
        assert plainly(a, before) == plainly(b, before), (a.name, b.name)
    assert {tap: names[name] for tap, name in mine.taps.items()} == theirs.taps


@pytest.mark.parametrize("name", SPECIMENS)
def test_what_was_built_is_traced_back(name):
    specimen = SPECIMENS[name]
    graph = draft(specimen.blueprint, specimen.fits)
    alike(trace(build(graph), graph.volume), graph)


def traced_back(name):
    network, blueprint = zoo.call(name)
    graph = draft(blueprint, network.input)
    numbers = any(isinstance(node.op, RadialBasis) for node in graph)  # its codes are in no shape
    alike(trace(build(graph, device="cpu" if numbers else "meta"), graph.volume), graph)


@pytest.mark.parametrize("name", [name for name in QUICK if name in zoo.NETWORKS])
def test_a_network_of_the_zoo_is_traced_back(name):
    traced_back(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in zoo.NETWORKS if name not in {*QUICK, "resnet1202"}])
def test_every_network_of_the_zoo_is_traced_back(name):
    traced_back(name)
