"""Every network of the zoo as a module: the graph's parameters, forward, and a gradient that reaches every weight."""

import pytest
import torch

from striate import zoo
from striate.blueprint import Refusal, draft
from striate.nn import Network, as_graph, initialise


def small(name):
    """The network's graph on the smallest square input that leaves its weights as they are: the same code, sooner."""
    graph = as_graph(name)
    blueprint, wanted = zoo.call(name)[1], [node.placed.weights for node in graph]
    for side in (32, 35, 48, 64, 75, 96, 128, 160):
        if side < graph.volume.height:
            try:
                other = draft(blueprint, graph.volume._replace(height=side, width=side))
            except Refusal:
                continue
            if [node.placed.weights for node in other] == wanted:
                return other
    return graph


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_runs_forward_and_backward(name):
    graph = small(name)
    torch.manual_seed(0)
    network = Network(graph)
    initialise(network)
    assert sum(weight.numel() for weight in network.parameters()) == graph.parameters == as_graph(name).parameters
    out = network(torch.randn(2, *graph.volume))
    assert out.shape == ((2, graph.output.channels) if graph.output.is_vector else (2, *graph.output))
    assert out.isfinite().all()
    out.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def test_auxiliary_heads_leave_by_name():
    graph = draft(zoo.googlenet(aux=True, classes=10), "3x224x224")
    outs = Network(graph)(torch.randn(2, 3, 224, 224))
    assert {name: tuple(out.shape) for name, out in outs.items()} == dict.fromkeys(("aux1", "aux2", "out"), (2, 10))


@pytest.mark.parametrize(("name", "accepted"), [("resnet50", 65), ("googlenet", 65), ("vgg16", 3)])
def test_which_sizes_a_network_takes_whole(name, accepted):
    blueprint, count = zoo.call(name)[1], 0
    for side in range(192, 257):
        try:
            draft(blueprint, f"3x{side}x{side}")
        except Refusal:
            continue
        count += 1
    assert count == accepted
