"""What torch really holds while a network that striate built runs on meta tensors: the other side of `cost.memory`."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Bytes of the storages alive, and the most there were at once. A kernel's own scratch memory is not seen.

    A mode that looks on changes one thing: autograd then adds a second gradient into a new tensor, where else it adds
    it into the first if nobody else holds that. While `backward` is set, such a sum is done as without us.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.most = 0
        self.backward = False

    def own(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.alive.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.backward and func is torch.ops.aten.add.Tensor and _of_one_shape(args) and _only_holder(args[0]):
            return args[0].add_(args[1])
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.own(tensor)
        return out


def _of_one_shape(args: Any) -> bool:
    return isinstance(args[1], Tensor) and args[0].shape == args[1].shape


def _only_holder(tensor: Tensor) -> bool:
    """Whether the storage is this tensor's and our handle's alone."""
    return torch._C._storage_Use_Count(tensor.untyped_storage()._cdata) <= 2


def training_peak(module: Any, batch: int, optimizer: str = "sgd", autocast: bool = False, device: str = "meta") -> int:
    """The most bytes alive in a training step of a network that striate built: in `device="meta"` nothing is computed,
    and what is counted is the same. The optimiser's state is there from the start; its step, fused, makes nothing.
    """
    from striate.cost.memory import STATE
    from striate.training.loop import loss_of
    from striate.training.recipe import Recipe

    graph, held = module.graph, Held()
    grid = () if graph.output.is_vector else tuple(graph.output.grid)
    x = torch.zeros(batch, *graph.volume, device=device)
    labels = torch.zeros(batch, *grid, dtype=torch.long, device=device)
    parameters = list(module.parameters())
    for tensor in (*parameters, *module.buffers(), x, labels):
        held.own(tensor)
    module.train()
    with held:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = module(x)
        loss = loss_of(outputs, labels, Recipe())
        del outputs
        held.backward = True
        loss.backward()
        held.backward = False
        for parameter in parameters:
            parameter.grad = None
    return held.most + STATE[optimizer][0] * sum(p.numel() * p.element_size() for p in parameters)


def allocated_peak(module: Any, batch: int, repeat: int = 2) -> int:
    """The same as torch's own allocator on the CPU has it, for plain SGD in float32: kernels' workspaces too."""
    from torch.profiler import ProfilerActivity, profile

    graph = module.graph
    x, labels = torch.zeros(batch, *graph.volume), torch.zeros(batch, dtype=torch.long)
    module.train()

    def step() -> None:
        torch.nn.functional.cross_entropy(module(x), labels).backward()
        for parameter in module.parameters():
            parameter.grad = None

    for _ in range(repeat - 1):
        step()  # what is made once and kept is no part of it
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    now = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    own = (*module.parameters(), *module.buffers(), x, labels)
    return most + sum(tensor.untyped_storage().nbytes() for tensor in own)


def cuda_peak(module: Any, batch: int) -> int:
    """The same as torch's allocator on a GPU has it, workspaces and its rounding too: SGD with momentum, fused."""
    graph = module.cuda().train().graph
    optimizer = torch.optim.SGD(module.parameters(), 0.01, 0.9, fused=True)
    x = torch.zeros(batch, *graph.volume, device="cuda")
    labels = torch.zeros(batch, dtype=torch.long, device="cuda")
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        torch.nn.functional.cross_entropy(module(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cuda.max_memory_allocated()


def inference_peak(module: nn.Module, x: Tensor) -> int:
    """The most bytes alive at once: weights, buffers, input, values."""
    held = Held()
    for tensor in (*module.state_dict(keep_vars=True).values(), x):
        held.own(tensor)
    with torch.no_grad(), held:
        out = module.eval()(x)
    del out
    return held.most


def saved(module: nn.Module, x: Tensor) -> int:
    """Bytes that autograd keeps from the way forward, each storage once, without the parameters and buffers."""
    own = {tensor.untyped_storage()._cdata for tensor in module.state_dict(keep_vars=True).values()}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module.train()(x)
    total = sum(storage.nbytes() for storage in kept.values())
    del out
    return total


def way_back(out: Tensor) -> set[str]:
    """The names of what autograd will go back through."""
    found, left = set(), [out.grad_fn]
    while left:
        if (node := left.pop()) and node not in found:
            found.add(node)
            left += [before for before, _ in node.next_functions]
    return {type(node).__name__ for node in found}


def kept_by(run: Callable[[], object], *others: Tensor) -> int:
    """Bytes that are saved for the way back, but for these tensors'."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        left = run()
    del left
    ours = {tensor.data_ptr() for tensor in others}
    return sum(much for at, much in kept.items() if at not in ours)


def trained_on(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """What leaves in a training step under bfloat16 autocast, and every gradient."""
    module.train().zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x)
    F.cross_entropy(out.float(), torch.arange(len(x)) % out.shape[1]).backward()
    return out, {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
