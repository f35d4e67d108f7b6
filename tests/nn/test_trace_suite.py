"""Small modules of every kind: what is traced equals what scalar loops count, forward and back."""

import pytest
import torch
from torch.utils import _pytree as pytree

from nn.modules_suite import SUITE
from nn.scalar_loops import counted
from striate.cost.backward import backward_macs
from striate.nn import trace


@pytest.mark.parametrize("name", SUITE)
def test_the_ledger_counts_what_scalar_loops_count(name):
    torch.manual_seed(0)
    module, inputs = SUITE[name].make(), SUITE[name].inputs()
    graph = trace(module, inputs)
    assert not graph.unknown, [node.name for node in graph if node.placed.macs is None]
    assert graph.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert not any(repr(node.op) == "never read" for node in graph)
    outs = [leaf for leaf in pytree.tree_leaves(module.eval()(*inputs)) if isinstance(leaf, torch.Tensor)]
    assert sorted(graph[node].output.size for node in graph.taps.values()) == sorted(out.numel() for out in outs)
    forward, back = counted(module, inputs)
    assert graph.macs == forward
    assert sum(backward_macs(graph).values()) == back or not SUITE[name].back
