"""BatchNorms folded into the convolutions before them: the same function in evaluation, fewer steps."""

from __future__ import annotations

import torch

from striate.blueprint import fold_norms
from striate.blueprint.passes import foldable
from striate.nn.build import Network


@torch.no_grad()
def fold(network: Network) -> Network:
    """A new network in evaluation mode, whose norms are part of the convolutions' weights; the given one is left as it is."""
    pairs = {conv: norm for norm, conv in foldable(network.graph).items()}
    folded = Network(fold_norms(network.graph)).eval()
    mine, state = network.state_dict(), {}
    for name in folded.state_dict():
        layer, _, kind = name.rpartition(".")
        if layer not in pairs:
            state[name] = mine[name]
            continue
        norm = network.get_submodule(pairs[layer])
        scale = (norm.running_var + norm.eps).rsqrt() * (norm.weight if norm.affine else 1.0)
        if kind == "weight":
            weight, transposed = mine[name], getattr(network.get_submodule(layer), "transposed", False)
            groups = getattr(network.get_submodule(layer), "groups", 1)
            if transposed:  # its weight is in × out/groups × kh × kw
                state[name] = (weight.view(groups, -1, *weight.shape[1:]) * scale.view(groups, 1, -1, 1, 1)).view_as(weight)
            else:
                state[name] = weight * scale.view(-1, *[1] * (weight.dim() - 1))
        else:
            bias = mine.get(name, torch.zeros_like(norm.running_mean))
            state[name] = (bias - norm.running_mean) * scale + (norm.bias if norm.affine else 0.0)
    folded.load_state_dict(state)
    folded.metadata = dict(network.metadata)
    return folded
