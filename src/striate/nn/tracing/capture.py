"""Somebody's module as torch.export's program: nothing of the module is changed, no number is computed.

What is exported is a copy whose tensors have shapes but no memory (torch's fake tensors: meta tensors that say they lie
on the CPU, so that a forward may make others beside them), in evaluation mode, without anybody's hooks.
"""

from __future__ import annotations

import copy
import gc
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import config as fx_config

from striate.blueprint import Identity, Layer, Refusal, Volume
from striate.nn.build import Network
from striate.nn.tracing.recognise import recognise
from striate.nn.tracing.steps import one_step, recurrent

LARGE = 2**16  # numbers of a tensor that is no parameter and no buffer, above which its values are not kept


class Captured(NamedTuple):
    """A program, and what its module knows: the layers recognised by path, and each tensor's first name."""

    program: torch.export.ExportedProgram
    leaves: dict[str, Layer]
    first_names: dict[str, str]
    parameters: dict[str, tuple[int, ...]]
    buffers: dict[str, tuple[int, ...]]
    childless: set[str]


def capture(module: nn.Module, inputs: Any) -> Captured:
    """`inputs`: a Volume, or the example arguments themselves. Raises Refusal."""
    _initialised(module)
    first, parameters = _first_names(module.named_parameters(remove_duplicate=False))
    more, buffers = _first_names(module.named_buffers(remove_duplicate=False))
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        fakes = _copied(module, mode)
        shapes = _shapes(module, inputs)
        examples = [_examples(module, shape) for shape in shapes] if shapes else [_faked(inputs, mode)]
    leaves = _marked(module, fakes)
    failed: Exception | None = None
    for example in examples:
        try:
            program = _exported(fakes, example)
        except Exception as error:  # whatever somebody's forward raises
            failed = failed or error
        else:
            childless = {name for name, part in module.named_modules() if not any(True for _ in part.children())}
            return Captured(program, leaves, first | more, parameters, buffers, childless)
    assert failed is not None
    raise _refused(module, inputs, failed) from None


def _exported(fakes: nn.Module, example: tuple[Any, ...]) -> torch.export.ExportedProgram:
    with _quick(), warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(fakes, example, strict=False)


@contextmanager
def _quick() -> Iterator[None]:
    """Without what makes exporting half as long again: a stack for each step, and collecting what is still in use."""
    stacks, collecting = getattr(fx_config, "do_not_emit_stack_traces", None), gc.isenabled()
    gc.disable()
    if stacks is not None:
        fx_config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        if stacks is not None:
            fx_config.do_not_emit_stack_traces = stacks
        if collecting:
            gc.enable()


def _initialised(module: nn.Module) -> None:
    lazy = [name for name, tensor in module.named_parameters() if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise Refusal(
            f"Cannot trace {type(module).__name__}: {lazy[0]} has no shape yet, it is a lazy module's.",
            ways="Run one example through the module first.",
        )


def _first_names(named: Iterator[tuple[str, Tensor]]) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """{each name: the first name of that tensor}, {first name: shape}."""
    names: dict[int, str] = {}
    first: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in named:
        first[name] = names.setdefault(id(tensor), name)
        shapes.setdefault(first[name], tuple(tensor.shape))
    return first, shapes


def _copied(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """A copy that shares nothing with the module and takes no memory. Of its hooks only torch's own are kept, for
    they make weights (spectral and weight norm).
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = (
                    _fake(value, mode) if value.is_meta or value.numel() > LARGE else value.detach().clone()
                )
            elif name.endswith("_hooks") and isinstance(value, dict):
                kept = {i: hook for i, hook in value.items() if "pre_hooks" in name and _torchs(hook)}
                memo[id(value)] = OrderedDict(kept)
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            if id(tensor) not in memo:
                memo[id(tensor)] = _fake(tensor, mode)
    try:
        return copy.deepcopy(module, memo).eval()
    except Exception as error:  # whatever a part of it has against being copied
        raise Refusal(
            f"Cannot trace {type(module).__name__}: it cannot be copied ({_first_line(error)}), and the module itself "
            "is never run.",
            ways="Keep locks, files, generators and the like out of its attributes.",
        ) from None


def _torchs(hook: Any) -> bool:
    return str(type(hook).__module__).startswith("torch.nn.utils")


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    with mode:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=made.is_floating_point() or made.is_complex())
    return made


def _faked(inputs: Any, mode: FakeTensorMode) -> tuple[Any, ...]:
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    for x in given:
        if isinstance(x, Tensor) and x.dim() == 4 and x.shape[0] != 1:
            fact = f"Cannot trace a batch of {x.shape[0]}: a graph is of one example."
            raise Refusal(fact, ways="Give a batch of 1; the ledger has batch= for more.")
    return torch.utils._pytree.tree_map(lambda x: _fake(x.detach(), mode) if isinstance(x, Tensor) else x, given)


def _shapes(module: nn.Module, inputs: Any) -> list[tuple[int, ...]]:
    """Shapes to try for a volume, a batch of one; none where example inputs are given."""
    if not isinstance(inputs, Volume):
        return []
    shapes: list[tuple[int, ...]] = [(1, *inputs)]
    if inputs.is_vector:
        shapes.insert(len(shapes) if isinstance(module, Network) else 0, (1, inputs.channels))
    return shapes


def _examples(module: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    floating = (t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point())
    return (torch.empty(shape, dtype=next(floating, torch.float32), device="cpu"),)


def _marked(module: nn.Module, fakes: nn.Module) -> dict[str, Layer]:
    """Each module that is a layer of ours becomes one step of the copy. `recognise` sees the module itself, for it has
    its numbers.
    """
    leaves: dict[str, Layer] = {}
    ours = [name for name, part in module.named_modules() if isinstance(part, Network)]
    for name, part in module.named_modules():
        layer = recognise(part)
        if (
            layer is None
            and type(part) is nn.Identity
            and any(name.startswith(f"{net}." if net else "") for net in ours)
        ):
            layer = Identity()
        if layer is not None:
            leaves[name] = layer
            fakes.get_submodule(name).forward = one_step(layer)  # type: ignore[method-assign,assignment]
        elif isinstance(part, nn.RNNBase):
            there: Any = fakes.get_submodule(name)
            there.forward = recurrent(there)
    return leaves


def _refused(module: nn.Module, inputs: Any, error: Exception) -> Refusal:
    """What somebody's forward said, where, and what may help."""
    if isinstance(error, Refusal):
        return error
    name, on = type(module).__name__, f" on {inputs}" if isinstance(inputs, Volume) else ""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/torch/" not in f.filename and f.name == "forward"
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    by_value = any(word in type(error).__name__ for word in ("DataDependent", "UserError", "GuardOnData"))
    if by_value:
        ways = "What it does depends on numbers, and a trace has only shapes: give it the part that does not."
    else:
        ways = "Give it the inputs it takes: a volume C×H×W, or example tensors as a tuple."
    return Refusal(f"Cannot trace {name}{on}: {_first_line(error)}.{where}", ways=ways)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
