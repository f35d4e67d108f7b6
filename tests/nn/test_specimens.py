"""What a placed layer says of itself against what torch does, swept over tests/specimens.py."""

from itertools import product

import pytest
import torch

from specimens import SPECIMENS
from striate.blueprint import (
    CannotBuild,
    Conv,
    Dropout,
    DropPath,
    FractionalMaxPool,
    Linear,
    LocallyConnected,
    Pool,
    RadialBasis,
    Seq,
    draft,
    replay,
)
from striate.nn import build, fold, load, save

swept = pytest.mark.parametrize("name", SPECIMENS)


def graph_of(name):
    specimen = SPECIMENS[name]
    return draft(specimen.blueprint, specimen.fits)


def positive(module):
    """Every weight above 0, so that no contribution cancels."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.rand_like(weight) + 0.1)
    return module


@swept
def test_every_node_has_the_volume_torch_gives_it(name):
    graph = graph_of(name)
    network = build(graph)
    own = [node for node in graph.nodes[1:] if not isinstance(node.op, str) and not node.twin]
    seen = {}

    def watch(name):
        def hook(_module, _inputs, out):
            seen.setdefault(name, tuple(out.shape[1:]))

        network.get_submodule(name).register_forward_hook(hook)

    for node in own:
        watch(node.name)
    network(torch.randn(2, *graph.volume))
    assert seen == {node.name: tuple(node.output) for node in own}


@swept
def test_ways_out_have_their_volumes(name):
    graph = graph_of(name)
    outs = build(graph)(torch.randn(2, *graph.volume))
    outs = outs if isinstance(outs, dict) else {"out": outs}
    for tap, node in graph.taps.items():
        volume = graph[node].output
        assert tuple(outs[tap].shape) == (2, volume.channels) if volume.is_vector else (2, *volume)


@swept
def test_weights_and_buffers_are_the_state_dict(name):
    graph = graph_of(name)
    wanted = {
        f"{node.name}.{key}": shape
        for node in graph
        if not node.twin
        for key, shape in {**node.placed.weights, **node.placed.buffers}.items()
    }
    network = build(graph, device="meta")
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == wanted
    assert sum(weight.numel() for weight in network.parameters()) == graph.parameters


def counted(layer, volume, output):
    """Multiply-adds by scalar loops, one at a time: each weight with each value it meets, padding included."""
    count = 0
    cells = range(output.height), range(output.width)
    if isinstance(layer, Conv | LocallyConnected):
        kernel = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size,) * 2
        groups = layer.groups or volume.channels
        read = volume.channels // groups
        if isinstance(layer, Conv) and layer.transposed:
            cells = range(volume.height), range(volume.width)
        for _ in product(range(output.channels), range(read), *cells, *map(range, kernel)):
            count += 1
    elif isinstance(layer, Linear | RadialBasis):
        for _ in product(range(output.channels), range(volume.size)):
            count += 1
    return count


@swept
def test_macs_are_what_scalar_loops_count(name):
    graph = graph_of(name)
    for node in graph.nodes[1:]:
        if not isinstance(node.op, str):
            assert node.placed.macs == counted(node.op, graph[node.inputs[0]].output, node.output), node


def smooth(node):
    """The same windows, but every cell under them counts: a maximum's gradient reaches only one."""
    if isinstance(node.op, Pool):
        return Pool("average", *(getattr(node.op, f) for f in ("kernel_size", "stride", "padding")), fit=node.op.fit)
    return None if isinstance(node.op, Dropout | DropPath) else node.op


@pytest.mark.parametrize("name", [n for n in SPECIMENS if "fractional" not in n and "global max" not in n])
def test_the_field_is_the_support_of_the_gradient(name):
    graph = replay(graph_of(name), smooth)
    node = graph[graph.taps["out"]]
    if any(isinstance(n.op, FractionalMaxPool) for n in graph) or node.gated:
        pytest.skip("a gate reads everything, and its field follows the content")
    network = positive(build(graph)).double().eval()
    x = (torch.rand(1, *graph.volume, dtype=torch.double) + 0.1).requires_grad_()
    outs = network(x)
    out = (outs["out"] if isinstance(outs, dict) else outs).reshape(1, *node.output)
    for row, column in product(range(node.output.height), range(node.output.width)):
        picked = out[0, :, row, column] * torch.rand(node.output.channels)  # a soft-max sums to a constant
        gradient = torch.autograd.grad(picked.sum(), x, retain_graph=True)[0].abs().sum((0, 1))
        rows, columns = (gradient.sum(axis).nonzero().flatten() for axis in (1, 0))
        for seen, interval, cell, n in zip((rows, columns), node.field, (row, column), graph.volume.grid, strict=True):
            first, last = interval.of(cell)
            if gradient.any():
                assert (int(seen[0]), int(seen[-1])) == (max(first, 0), min(last, n - 1)), (name, row, column)
        if not gradient.any():  # padding alone
            ends = [i.of(cell) for i, cell in zip(node.field, (row, column), strict=True)]
            outside = [last < 0 or first >= n for (first, last), n in zip(ends, graph.volume.grid, strict=True)]
            assert any(outside), (name, row, column)


@pytest.mark.parametrize("name", [name for name in SPECIMENS if graph_of(name).parameters])
def test_gradients_reach_every_weight(name):
    graph = graph_of(name)
    network = build(graph)
    outs = network(torch.rand(4, *graph.volume))
    outs = outs.values() if isinstance(outs, dict) else [outs]
    sum(out.square().sum() for out in outs).backward()
    assert all(weight.grad is not None for weight in network.parameters())


@swept
def test_folded_norms_compute_the_same(name):
    graph = graph_of(name)
    network = build(graph).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    x = torch.randn(2, *graph.volume)
    for mine, theirs in zip(flat(network, x), flat(fold(network), x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@swept
def test_a_model_file_gives_the_network_back(name, tmp_path):
    network = build(graph_of(name)).eval()
    path = save(network, tmp_path / "model.safetensors", classes=["ant", "bee"])
    again = load(path)
    assert again.graph == network.graph
    assert again.metadata["classes"] == ["ant", "bee"]
    x = torch.randn(2, *network.graph.volume)
    for mine, theirs in zip(flat(network, x), flat(again, x), strict=True):
        assert torch.equal(mine, theirs)


def flat(network, x):
    torch.manual_seed(0)  # fractional pooling draws its windows
    outs = network(x)
    return list(outs.values()) if isinstance(outs, dict) else [outs]


@pytest.mark.parametrize("name", ["double", "training", "forward", "graph"])
def test_a_name_that_torch_keeps_for_itself_is_refused(name):
    with pytest.raises(CannotBuild, match=f'Cannot build a part named "{name}"'):
        build(draft(Seq(**{name: Seq(Conv(4, 3))}), "3x8x8"))
