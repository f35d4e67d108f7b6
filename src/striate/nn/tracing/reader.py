"""Reads a program step by step, knowing of each value where it comes from and how it lies; the scribe writes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from striate.blueprint import Graph, Refusal, Volume
from striate.nn.tracing.axes import Piece, Shape, Value, guessed, plain, renewed
from striate.nn.tracing.capture import Captured
from striate.nn.tracing.leaf import DETACHED
from striate.nn.tracing.ours import OURS
from striate.nn.tracing.rest import operands, spent, traced
from striate.nn.tracing.scribe import Call, Const, Read, Scribe
from striate.nn.tracing.views import VIEWS

FACTORIES = {  # of what they are given they read the shape alone
    *(f"{what}_like" for what in ("empty", "full", "ones", "rand", "randint", "randn", "zeros")),
    *(f"new_{what}" for what in ("empty", "empty_strided", "full", "ones", "zeros")),
}


class Several(NamedTuple):
    """A step that gives more than one tensor: the first, and the shapes of all."""

    first: Value
    call: Call


class Reader:
    """Runs a program step by step on what is known of its values."""

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        self.known: dict[Any, Any] = {}
        self.bases: dict[Any, Any] = {}  # a view of a tensor -> the tensor
        self.scribe: Scribe

    def graph(self) -> Graph:
        program = self.captured.program
        self._take(program)
        outputs = self._run(program.graph_module, self.known)
        kinds = [spec.kind.name for spec in program.graph_signature.output_specs]
        given = [value for value, kind in zip(outputs, kinds, strict=True) if kind == "USER_OUTPUT"]
        taps = self._taps(given)
        self.scribe.never_read()
        return Graph(tuple(self.scribe.pen.nodes.values()), taps)

    def _take(self, program: torch.export.ExportedProgram) -> None:
        """The program's placeholders: parameters, buffers, constants, inputs."""
        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        inputs = [n for n in program.graph.nodes if n.op == "placeholder" and specs[n.name].kind.name == "USER_INPUT"]
        tensors = [node for node in inputs if isinstance(node.meta.get("val"), torch.Tensor)]
        if not tensors:
            raise Refusal("Cannot trace a module that is given no tensor: a graph begins with a volume.")
        for i, node in enumerate(tensors):
            shape = _shape(node.meta["val"])
            dims = _input_dims(shape)
            home, axes = renewed(dims)
            if i == 0:
                self.scribe = Scribe(self.captured, home)
            name = "input" if i == 0 else self.scribe.more_input(home)
            self.known[node] = Value(name, home, shape, axes)
        for node in program.graph.nodes:
            if node.op != "placeholder" or node in self.known:
                continue
            spec = specs[node.name]
            value = node.meta.get("val")
            if spec.kind.name in ("PARAMETER", "BUFFER"):
                first = self.captured.first_names.get(spec.target, spec.target)
                self.known[node] = Const(_shape(value), (first,), True)
            elif isinstance(value, torch.Tensor):
                self.known[node] = Const(_shape(value), data=program.constants.get(spec.target))
            else:
                self.known[node] = value

    def _run(self, module: torch.fx.GraphModule, known: dict[Any, Any]) -> list[Any]:
        for node in module.graph.nodes:
            if node.op == "get_attr":
                known[node] = getattr(module, node.target) if hasattr(module, node.target) else None
                if isinstance(known[node], torch.Tensor):
                    known[node] = Const(tuple(known[node].shape), data=known[node])
            elif node.op == "call_function":
                known[node] = self._step(node, known)
            elif node.op == "output":
                return list(
                    pytree.tree_leaves(
                        _resolved(node.args[0], known), is_leaf=lambda x: x is None or isinstance(x, Several)
                    )
                )
        return []

    def _step(self, node: torch.fx.Node, known: dict[Any, Any]) -> Any:
        args, kwargs = _resolved(node.args, known), _resolved(node.kwargs, known)
        if node.target is operator.getitem:
            return self._item(node, *args) if node.users else None
        schema = getattr(node.target, "_schema", None)
        bodies = [a for a in args if isinstance(a, torch.fx.GraphModule)]
        if len(bodies) == 1 and "wrap" in str(node.target):  # torch.no_grad(), autocast: the same steps inside
            inner = dict(zip(_placeholders(bodies[0]), args[args.index(bodies[0]) + 1 :], strict=True))
            given = self._run(bodies[0], inner)
            learning = args[0] is not False
            return given if learning else [self._cut_off(value, node) for value in given]
        if schema is None and not _tensors(node.meta.get("val")):
            return node.meta.get("val")
        call = _call(node, schema, args, kwargs)
        result = self._read(call)
        self._written(node, schema, known, result)
        return self._cut_off(result, node) if call.op == "detach" else result

    def _cut_off(self, value: Any, node: torch.fx.Node) -> Any:
        """No gradient goes back through what is detached, or was made under torch.no_grad()."""
        if not isinstance(value, Value):
            return value
        call = replace(_call(node, None, (), {}), op="detach", said=DETACHED, shapes=(value.shape,), several=False)
        return self.scribe.traced(call, [Read(value)], value.dims)

    def _read(self, call: Call) -> Any:
        values = call.found(Value)
        if not values or call.op in FACTORIES:
            return _constant(call, self.captured.parameters)
        first = next(iter(call.arguments.values()))
        if call.op in VIEWS and isinstance(first, Value):
            seen = VIEWS[call.op](self.scribe, call, first)
            if seen is not None:
                return seen
        made = OURS[call.op](self.scribe, call) if call.op in OURS else None
        if made is None:
            made = traced(self.scribe, call)
        return Several(made, call) if call.several else made

    def _item(self, node: torch.fx.Node, of: Any, index: Any) -> Any:
        if isinstance(of, Several):
            if index == 0:
                return of.first
            shape = _shape(node.meta["val"])
            call = Call(
                f"{of.call.op}",
                f"{of.call.said}[{index}]",
                {"x": of.first},
                (shape,),
                False,
                of.call.path,
                of.call.visit,
            )
            return self.scribe.traced(
                call,
                [Read(of.first)],
                guessed(shape) if shape is not None else (),
                label=f"{of.call.op.replace('_', ' ')} [{index}]",
            )
        if isinstance(of, Const):
            return Const(_shape(node.meta.get("val")), of.reads, False, of.macs)
        return of[index]

    def _written(self, node: torch.fx.Node, schema: Any, known: dict[Any, Any], result: Any) -> None:
        """What is written into a view is in the tensor it is a view of."""
        source = node.args[0] if node.args else None
        if not isinstance(source, torch.fx.Node):
            return
        op = str(getattr(schema, "name", "")).rpartition("::")[2]
        if op.endswith("_") and not op.startswith("_") and source in self.bases:
            base = self.bases[source]
            known[base] = self._with(known[base], known[source], result, node)
        elif op in VIEWS and op != "index":
            self.bases[node] = self.bases.get(source, source)

    def _with(self, whole: Any, view: Any, part: Any, node: torch.fx.Node) -> Any:
        """A tensor after something was written into a view of it."""
        both = isinstance(view, Value) and isinstance(part, Value) and view.whole and part.whole
        if both and whole.shape is not None and (everything := part.viewed(whole.shape)) is not None:
            return everything
        if isinstance(whole, Const) and isinstance(part, Const):
            spent = None if None in (whole.macs, part.macs) else (whole.macs or 0) + (part.macs or 0)
            return Const(
                whole.shape, tuple(dict.fromkeys(whole.reads + part.reads)), False, spent, whole.back + part.back
            )
        if not isinstance(whole, Value | Const) or not isinstance(part, Value | Const) or whole.shape is None:
            return whole
        call = replace(_call(node, None, (), {}), op="written", said="aten.copy_", shapes=(whole.shape,), several=False)
        reads = [Read(v) for v in (whole, part) if isinstance(v, Value)]
        dims = whole.dims if isinstance(whole, Value) and whole.whole else guessed(whole.shape)
        return self.scribe.traced(call, reads, dims, consts=[v for v in (whole, part) if isinstance(v, Const)])

    def _taps(self, given: list[Any]) -> dict[str, str]:
        """The ways out by name: "out" the main one, the others by where in the module's result they stand."""
        spec = self.captured.program.call_spec.out_spec
        keys = [""] * len(given)
        if spec is not None and spec.num_leaves == len(given):
            paths, _ = pytree.tree_flatten_with_path(pytree.tree_unflatten(list(range(len(given))), spec))
            keys = [
                ".".join(str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path)
                for path, _ in paths
            ]
        call = Call("out", "aten.alias", {}, (None,), False)
        outs = []
        for key, value in zip(keys, given, strict=True):
            value = value.first if isinstance(value, Several) else value
            if isinstance(value, Value):
                outs.append((key, self.scribe.solid(call, value).node))
        if not outs:
            raise Refusal("Cannot trace a module whose result does not depend on its input: there is nothing to price.")
        main = next((i for i, (key, _) in enumerate(outs) if key == "out"), 0)
        return {
            ("out" if i == main else key if key and key != "out" else str(i)): node
            for i, (key, node) in enumerate(outs)
        }


def _input_dims(shape: Shape | None) -> tuple[tuple[Piece, ...], ...]:
    if shape is None:
        return ()
    if len(shape) == 4 and shape[0] == 1:
        return plain(Volume(*shape[1:]))
    return guessed(shape)


def _constant(call: Call, parameters: Mapping[str, Any]) -> Any:
    """What is made of constants alone."""
    consts = call.found(Const)
    cost = spent(call)
    macs = [const.macs for const in consts] + [cost.macs if cost else None]
    total = None if None in macs else sum(m or 0 for m in macs)
    reads = tuple(dict.fromkeys(name for const in consts for name in const.reads))
    if call.op in ("alias", "detach", "clone", "contiguous", "lift_fresh_copy", "lift_fresh") and consts:
        return replace(consts[0], macs=total)
    back = sum(const.back for const in consts)
    if cost and cost.back:
        learned = (any(name in parameters for name in getattr(o, "reads", ())) for o in operands(call))
        back += sum(n for n, wanted in zip(cost.back, learned, strict=True) if wanted)
    return Const(call.shape, reads, False, total, back)


def _call(node: torch.fx.Node, schema: Any, args: Any, kwargs: Any) -> Call:
    arguments = {}
    if schema is not None:
        for i, argument in enumerate(schema.arguments):
            if i < len(args):
                arguments[argument.name] = args[i]
            elif argument.name in kwargs:
                arguments[argument.name] = kwargs[argument.name]
            else:
                arguments[argument.name] = argument.default_value if argument.has_default_value() else None
    else:
        arguments = {str(i): arg for i, arg in enumerate(args)} | dict(kwargs)
    value = node.meta.get("val")
    several = isinstance(value, list | tuple)
    shapes = tuple(_shape(v) for v in (value if isinstance(value, list | tuple) else [value]))
    said = str(schema.name).replace("::", ".") if schema is not None else str(node.target)
    space, _, op = said.rpartition(".")
    op = op if space in ("aten", "striate") or schema is None else said  # another's "linear" is not torch's
    said = said.replace("striate.", "aten.", 1)
    op = op[:-1] if op.endswith("_") and not op.endswith("__") else op
    stack = list((node.meta.get("nn_module_stack") or {}).items())
    visit, (path, _) = stack[-1] if stack else ("", ("", None))
    return Call(op, said, arguments, shapes, several, path, visit, tuple(getattr(node.target, "tags", ())))


def _resolved(value: Any, known: dict[Any, Any]) -> Any:
    return torch.fx.node.map_arg(value, lambda node: known[node])


def _placeholders(module: torch.fx.GraphModule) -> list[Any]:
    return [node for node in module.graph.nodes if node.op == "placeholder"]


def _tensors(value: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(value))


def _shape(value: Any) -> Shape | None:
    """None where a length is known only when it runs."""
    shape = getattr(value, "shape", None)
    if shape is None or not all(isinstance(n, int) for n in shape):
        return None
    return tuple(int(n) for n in shape)
