"""BatchNorms folded into the convolutions before them: the same function in evaluation, fewer steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from striate.blueprint import fold_norms
from striate.blueprint.passes import foldable
from striate.nn.build import Network


@torch.no_grad()
def fold(network: Network) -> Network:
    """A new network in evaluation mode, whose norms are part of the convolutions' weights; the given one is left as it
    is.
    """
    norms = {conv: norm for norm, conv in foldable(network.graph).items()}
    folded = Network(fold_norms(network.graph)).eval()
    mine, state = network.state_dict(), {}
    for name in folded.state_dict():
        layer, _, kind = name.rpartition(".")
        if layer not in norms:
            state[name] = mine[name]
            continue
        norm: Any = network.get_submodule(norms[layer])
        scale = (norm.running_var + norm.eps).rsqrt() * (norm.weight if norm.affine else 1.0)
        if kind == "weight":
            state[name] = _scaled(mine[name], scale, network.get_submodule(layer))
        else:
            bias = mine[name] if name in mine else torch.zeros_like(norm.running_mean)
            state[name] = (bias - norm.running_mean) * scale + (norm.bias if norm.affine else 0.0)
    folded.load_state_dict(state)
    folded.metadata = dict(network.metadata)
    return folded


def _scaled(weight: Tensor, scale: Tensor, layer: nn.Module) -> Tensor:
    """Each output channel's weights times its scale."""
    if isinstance(layer, nn.ConvTranspose2d):  # in × out/groups × kh × kw
        by_group = weight.view(layer.groups, -1, *weight.shape[1:])
        return (by_group * scale.view(layer.groups, 1, -1, 1, 1)).view_as(weight)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1))
