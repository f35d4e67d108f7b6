"""Writes a graph while a program is read: nodes and their names, whose weights are whose, what each step sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import Tensor

from striate.blueprint import CannotPlace, Field, Layer, Node, Pen, Placed, Refusal, Volume
from striate.blueprint.layer import Shape
from striate.blueprint.window import Interval, Reading
from striate.blueprint.wiring import JOINS
from striate.nn.tracing.axes import CELL_BY_CELL, CHANNELS, COLUMNS, EVERYTHING, ROWS, Dim, Piece, Value, cut, renewed
from striate.nn.tracing.capture import Captured
from striate.nn.tracing.leaf import Traced

Windows = tuple[Reading | None, Reading | None]  # rows, columns; None: all of them


@dataclass(frozen=True)
class Const:
    """A tensor that does not depend on the input: a weight, a buffer, or what is made of them."""

    shape: Shape | None
    reads: tuple[str, ...] = ()  # parameters and buffers
    direct: bool = False  # it is that parameter, not made of it
    macs: int | None = 0  # spent on making it, counted where it is first used
    back: int = 0  # and on its gradient
    data: Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Call:
    """One step of a program: its op by name, its arguments by name, the shapes of what it gives."""

    op: str  # without its namespace, its overload and the underscore of an in-place form
    said: str  # with them
    arguments: Mapping[str, Any]
    shapes: tuple[Shape | None, ...]
    several: bool
    path: str = ""  # the module it happens in
    visit: str = ""  # and which call of that
    tags: Sequence[Any] = ()

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    @property
    def shape(self) -> Shape | None:
        return self.shapes[0] if self.shapes else None

    def found(self, kind: type) -> list[Any]:
        """Arguments of a kind, those in lists too."""
        flat: list[Any] = []
        for value in self.arguments.values():
            flat += [v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, kind)]
        return flat


class Read(NamedTuple):
    """A value that a step reads: how its grid is read, and the multiply-adds of its gradient."""

    value: Value
    windows: Windows = CELL_BY_CELL
    back: int = 0


class Scribe:
    """The graph so far. `value` and `layer` write nodes; nothing else does."""

    def __init__(self, captured: Captured, volume: Volume) -> None:
        self.captured = captured
        self.pen = Pen({}, {}, {})
        self.pen._write(Node("input", "input", (), Placed(volume), Field()))
        self._owner: dict[tuple[str, ...], str] = {}  # all tensors of a node -> the node
        self.owned: set[str] = set()
        self._visits: set[str] = set()
        self._solid: dict[Value, Value] = {}

    def node(self, value: Value) -> Node:
        return self.pen.nodes[value.node]

    def more_input(self, volume: Volume) -> str:
        """A second input, and so on: its field is of its own cells."""
        return self.pen._write(Node(self._free("input"), "input", (), Placed(volume), Field()))

    # Ours

    def layer(
        self, call: Call, layer: Layer, x: Value, consts: Iterable[Const | None] = (), word: str = ""
    ) -> str | None:
        """Place one of our layers on a whole value; None where torch does something else than it would."""
        given = [const for const in consts if const is not None]
        if not all(const.direct and const.macs == 0 for const in given):
            return None
        tensors = [const.reads[0] for const in given]
        for fitted in (layer, replace(layer, fit="floor") if hasattr(layer, "fit") else layer):  # type: ignore[call-arg]
            try:
                placed = fitted.place(x.home)
                break
            except CannotPlace:
                continue
            except Refusal:
                return None
        else:
            return None
        if "num_batches_tracked" in placed.buffers and tensors:
            tensors.append(f"{tensors[-1].rpartition('.')[0]}.num_batches_tracked".lstrip("."))
        wanted = [*placed.weights.values(), *placed.buffers.values()]
        return self._placed(call, fitted, x, tensors, word) if self._sizes(tensors) == wanted else None

    def leaf(self, call: Call, layer: Layer, x: Value) -> str | None:
        """A module that was recognised whole: its tensors have the names that the layer gives them."""
        placed = layer.place(x.home)
        return self._placed(call, layer, x, [f"{call.path}.{key}" for key in (*placed.weights, *placed.buffers)], "")

    def _sizes(self, tensors: list[str]) -> list[Shape | None]:
        known = self.captured.parameters | self.captured.buffers
        parameters = [known.get(name) for name in tensors if name in self.captured.parameters]
        return parameters + [known.get(name) for name in tensors if name not in self.captured.parameters]

    def _placed(self, call: Call, layer: Layer, x: Value, tensors: list[str], word: str) -> str | None:
        key = tuple(tensors)
        twin = self._owner.get(key) if key else None
        if twin is None and self.owned & set(key):
            return None  # some of them are another's
        name = self.name(call, word, tensors)
        replace(self.pen, room=name, twin_of=(name, twin) if twin else None).place(layer, x.node)
        self._own(key, name)
        return name

    def join(self, call: Call, how: str, values: list[Value]) -> str:
        assert how in JOINS
        return replace(self.pen, room=self.name(call, how)).join(how, [value.node for value in values])

    def _own(self, key: tuple[str, ...], name: str) -> None:
        if key:
            self._owner.setdefault(key, name)
            self.owned.update(key)

    # What is no layer of ours

    def traced(
        self,
        call: Call,
        reads: Sequence[Read],
        dims: Sequence[Sequence[Any]],
        *,
        macs: int | None = 0,
        to_weights: int = 0,
        label: str = "",
        said: str = "",
        consts: Sequence[Const] = (),
        content: bool = False,  # one number for a channel does not widen the field of the grid it is spread over
        shape: Shape | None = None,
    ) -> Value:
        """A step as a `Traced` leaf with a volume of its own."""
        output, axes = renewed(dims)
        spent = [const.macs for const in consts]
        if macs is not None:
            macs = None if None in spent else macs + sum(m or 0 for m in spent)
        used = [name for const in consts for name in const.reads]
        to_weights += sum(const.back for const in consts)
        key = tuple(dict.fromkeys(used))
        params = {n: self.captured.parameters[n] for n in key if n in self.captured.parameters}
        buffers = {n: self.captured.buffers[n] for n in key if n in self.captured.buffers}
        twin = self._owner.get(key) if key else None
        name = self.name(call, label.replace(" ", "_") or call.op, list(key))
        if twin is None:
            params = {n: shape for n, shape in params.items() if n not in self.owned}
            buffers = {n: shape for n, shape in buffers.items() if n not in self.owned}
        near = f"{call.path}." if call.path else ""
        placed = Placed(
            output,
            {n.removeprefix(near): shape for n, shape in params.items()},
            {n.removeprefix(near): shape for n, shape in buffers.items()},
            macs,
            None,
        )
        sources = list(dict.fromkeys(read.value.node for read in reads))
        back = tuple(sum(read.back for read in reads if read.value.node == source) for source in sources)
        first = reads[0].value.home if reads else output
        op = Traced(call.said, first, placed, label or call.op.replace("_", " "), said, to_weights, back)
        seen, gated = self._seen(reads, output, content)
        if twin is not None:
            twin = self.pen.nodes[twin].twin or twin
            placed = placed._replace(weights=self.pen.nodes[twin].placed.weights)
        self.pen._write(Node(name, op, tuple(sources), placed, seen, twin, gated))
        self._own(key, name)
        return Value(name, output, call.shape if shape is None else shape, axes)

    def _seen(self, reads: Sequence[Read], output: Volume, content: bool) -> tuple[Field, bool]:
        gated = any(self.node(read.value).gated for read in reads)
        if content and not output.is_vector and any(not read.value.home.is_vector for read in reads):
            gated = gated or any(read.value.home.is_vector for read in reads)
            reads = [read for read in reads if not read.value.home.is_vector]
        whole = [Interval(0, n - 1, 1) for n in self.pen.nodes["input"].output.grid]
        fields = []
        for read in reads:
            axes = zip(self.node(read.value).field, read.windows, whole, strict=True)
            fields.append(Field(*(all_ if window is None else seen.through(window) for seen, window, all_ in axes)))
        if not fields:
            return Field(), gated
        rows, columns = fields[0]
        for other in fields[1:]:
            rows, columns = rows.join(other.rows), columns.join(other.columns)
        return Field(rows, columns), gated

    def solid(self, call: Call, value: Value) -> Value:
        """A node whose whole volume the value is: itself, or the slice drawn as one (drawn once)."""
        if value.whole:
            return value
        if value not in self._solid:
            self._solid[value] = self._cut(call, value)
        return self._solid[value]

    def _cut(self, call: Call, value: Value) -> Value:
        call = replace(call, op="slice", said="aten.slice")
        return self.traced(call, [Read(value, cut(value))], value.dims, shape=value.shape)

    def arranged(self, call: Call, value: Value) -> Value:
        """The value as N×C×H×W, each axis by where it stands: as it is where it lies so, else rearranged as a step."""
        value = self.solid(call, value)
        if value.plain:
            return value
        kinds = (None, CHANNELS, *[ROWS] * max(1, len(value.dims) - 3), COLUMNS)
        if value.shape is None:
            return value
        pure = all({p.kind for p in dim} <= {kind} for dim, kind in zip(value.dims, kinds, strict=False))
        if pure and len(value.dims) in (3, 4):
            return value  # the right cells, whatever their order
        made = [self._as(kind, n) for kind, n in zip(kinds, value.shape, strict=False)]
        return self.traced(
            replace(call, op="rearrange", said="aten.reshape"), [Read(value, EVERYTHING)], made, shape=value.shape
        )

    @staticmethod
    def _as(kind: int | None, n: int) -> Dim:
        return () if n == 1 else (Piece(CHANNELS if kind is None else kind, 1, n),)

    def never_read(self) -> None:
        """Parameters that no step reads still weigh: a node each for the parts of the module they stand in."""
        parts: dict[str, dict[str, Shape]] = {}
        for name, shape in self.captured.parameters.items():
            if name not in self.owned:
                part, _, rest = name.partition(".")
                parts.setdefault(part if rest else "", {})[rest or part] = shape
        for part, weights in parts.items():
            placed = Placed(Volume(0), weights, macs=0)
            op = Traced("never read", Volume(0), placed, "never read")
            self.pen._write(Node(self._free(part or "parameters"), op, (), placed, Field()))

    # Names

    def name(self, call: Call, word: str, tensors: Sequence[str] = ()) -> str:
        """After the module the step happens in: by its path alone where it is that module's only step or has its own
        tensors, else with a word; further ones are numbered.
        """
        word = word or call.op
        path, captured = call.path, self.captured
        first = call.visit not in self._visits
        own = bool(tensors) and all(name.rpartition(".")[0] == path for name in tensors) and path not in self.pen.nodes
        self._visits.add(call.visit)
        bare = path and ((path in captured.childless and first) or (own and word in WEIGHTY))
        return self._free(path if bare else f"{path}.{word}" if path else word)

    def _free(self, name: str) -> str:
        if name not in self.pen.nodes:
            return name
        return next(new for i in range(2, 10**9) if (new := f"{name}@{i}") not in self.pen.nodes)


WEIGHTY = {"conv", "linear", "batch_norm", "layer_norm", "group_norm", "norm", "embedding"}
