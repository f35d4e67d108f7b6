"""What torch really holds while a network that striate built runs on meta tensors: the other side of `cost.memory`."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Bytes of the storages alive, and the most there were at once. A kernel's own scratch memory is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.most = 0

    def own(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, key, None)
            self.most = max(self.most, sum(self.alive.values()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.own(tensor)
        return out


def inference_peak(module: nn.Module, x: torch.Tensor) -> int:
    """The most bytes alive at once: weights, buffers, input, values."""
    held = Held()
    for tensor in (*module.state_dict(keep_vars=True).values(), x):
        held.own(tensor)
    with torch.no_grad(), held:
        out = module.eval()(x)
    del out
    return held.most


def saved(module: nn.Module, x: torch.Tensor) -> int:
    """Bytes that autograd keeps from the way forward, each storage once, without the parameters and buffers."""
    own = {tensor.untyped_storage()._cdata for tensor in module.state_dict(keep_vars=True).values()}
    kept: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module.train()(x)
    total = sum(storage.nbytes() for storage in kept.values())
    del out
    return total
