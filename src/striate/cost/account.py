"""The ledger: what each node of a network costs, and the whole. Graph × batch × dtype, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import prod
from typing import Any, NamedTuple

from striate.blueprint.graph import Graph
from striate.blueprint.refusal import CannotMake, NotFound, Refusal
from striate.blueprint.volume import LIMIT, Volume
from striate.blueprint.window import Field
from striate.cost.backward import backward_macs
from striate.cost.memory import BYTES, STATE, buffer_bytes, peak_bytes
from striate.cost.notes import notes
from striate.cost.source import source
from striate.cost.training import PRECISIONS, Training
from striate.cost.training import training as trained
from striate.cost.words import words

Json = dict[str, Any]
Pair = tuple[int, int]


class Row(NamedTuple):
    """One node, or several together (`nodes` says how many): bytes and MACs are the whole batch's."""

    name: str
    layer: str  # as its author would type it
    output: Volume  # of one example
    parameters: int  # trained, and not already counted where they are shared
    macs: int | None  # multiply-adds of weights with values; None: not known
    activation_bytes: int  # of the output
    field: Pair  # rows, columns of the network's input that one output cell sees
    jump: tuple[int | Fraction, int | Fraction]  # between the views of neighbouring cells
    unread: Pair  # real rows, columns that no window reaches
    label: str = ""  # the layer in a few words
    gated: bool = False  # a gate made it read the whole input; its field follows the content
    nodes: int = 1
    repeats: int = 1  # equal blocks that stand here together
    backward_macs: int | None = 0  # of the gradients, where training is priced; None: not known


_row = partial(tuple.__new__, Row)  # one for each node: without the call that fills in defaults, a third of the time


class Totals(NamedTuple):
    """MACs, FLOPs and bytes of activations are the whole batch's.

    Where `exact` is false, some row's MACs are not known and these are the least.
    """

    parameters: int
    macs: int
    flops: int  # 2·macs: a multiply and an add
    activation_bytes: int  # every node's output, once
    weight_bytes: int  # the parameters'
    peak_bytes: int  # of inference: weights, buffers, and the values alive at once
    buffer_bytes: int = 0  # running means and such
    exact: bool = True
    backward_macs: int = 0  # where training is priced


COLUMNS = Row._fields[:9]  # of the JSON and CSV
SUMS = Totals._fields[:6]


@dataclass(frozen=True)
class Ledger:
    """What a network costs before it exists; `print` shows it, `to_json` is for programs."""

    network: str
    input: Volume
    batch: int
    dtype: str
    rows: tuple[Row, ...]
    totals: Totals
    graph: Graph
    training: Training | None = None

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Where the rules of thumb of the field hold for this network and where they do not, in numbers."""
        return tuple(notes(self))

    def to_json(self) -> Json:
        """The documented schema (docs/ledger.md): plain lists, numbers and text."""
        training = {"training": self.training._asdict()} if self.training else {}
        rows = [plain(row, bool(training)) for row in self.rows]
        totals = dict(zip(SUMS, self.totals, strict=False))
        if training:
            totals["backward_macs"] = self.totals.backward_macs
        return {
            "network": self.network,
            "input": list(self.input),
            "batch": self.batch,
            "dtype": self.dtype,
            "rows": rows,
            "totals": totals,
        } | training

    def __str__(self) -> str:
        from striate.cost.render import FORMATS

        return FORMATS["table"](self)

    def _repr_html_(self) -> str:
        from striate.cost.page import fragment

        return fragment(self)


def plain(row: Row, training: bool = False) -> Json:
    """A row with the keys of COLUMNS, of lists, numbers and text alone; a fraction (behind upsampling) as a decimal."""
    jump = [step if isinstance(step, int) else float(step) for step in row.jump]
    said = (*row[:2], list(row.output), *row[3:6], list(row.field), jump, list(row.unread))
    return dict(zip(COLUMNS, said, strict=True)) | ({"backward_macs": row.backward_macs} if training else {})


def ledger(
    network: Any,
    volume: Volume | str | None = None,
    *,
    batch: int = 1,
    dtype: str = "float32",
    fit: str | None = None,
    training: bool = False,
    optimizer: str = "sgd",
    precision: str = "fp32",
    checkpointing: bool = False,
) -> Ledger:
    """What a network costs, node by node, without building it.

    `network`: a blueprint, a graph, a zoo name or call ("googlenet(aux=True)"), a text in any notation, a Path, or an
    nn.Module, anybody's. `volume`: the input, C×H×W ("3x224x224"), for a module also example tensors; a zoo network and
    a graph have their own. `dtype`: of weights and values alike. `fit`: for every layer that does not say its own.
    `training` adds what a step holds (`Ledger.training`: gradients, the optimiser's state, the values saved for the way
    back, the peak) and the way back's MACs; `precision` bf16 is torch.autocast's, `checkpointing` keeps less of the
    values and makes the others again.
    Raises NotFound, CannotRead, CannotPlace, CannotJoin, CannotMake.
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= LIMIT:
        raise CannotMake(f"Cannot price a batch of {batch!r}: it must be a whole number from 1 to {LIMIT:,}.")
    if dtype not in BYTES:
        raise NotFound("dtype", str(dtype), BYTES)
    if optimizer not in STATE:
        raise NotFound("optimizer", str(optimizer), STATE)
    if precision not in PRECISIONS:
        raise NotFound("precision", str(precision), PRECISIONS)
    how = {"optimizer": (optimizer, "sgd"), "precision": (precision, "fp32"), "checkpointing": (checkpointing, False)}
    if idle := [option for option, (said, unsaid) in how.items() if said != unsaid and not training]:
        raise Refusal(
            f"Cannot price {' and '.join(idle)} without training: {'they are' if idle[1:] else 'it is'} of its step.",
            ways="Ask for training too: --training on the command line, training=True in Python.",
        )
    if precision == "bf16" and dtype != "float32":
        raise Refusal(
            f"Cannot train weights of {dtype} with autocast: precision bf16 has float32 weights.",
            ways="dtype float32; or precision fp32, and weights and values are of the dtype.",
        )
    if training and dtype == "int8":
        raise Refusal(
            "Cannot train in int8: whole numbers have no gradient.",
            ways="dtype float32, bfloat16 or float16; int8 is for inference.",
        )
    named = source(network)
    graph = named.graph(volume, fit)
    size = BYTES[dtype]
    rows = tuple(_rows(graph, batch, size))
    if training:
        back = backward_macs(graph)
        rows = tuple(row._replace(backward_macs=(n := back[row.name]) and n * batch) for row in rows)
    return Ledger(
        *(named.name, graph.volume, batch, dtype, rows, _totals(graph, rows, batch, size), graph),
        trained(graph, batch, size, optimizer, precision, checkpointing) if training else None,
    )


def _rows(graph: Graph, batch: int, size: int) -> Iterator[Row]:
    """What follows from a layer on a volume is worked out once: blocks repeat, and share what `place` gave."""
    each = batch * size
    worked: dict[int, tuple[str, str, Volume, int, int | None, int, Pair]] = {}
    seen: Field | None = None
    for name, op, _, placed, field, twin, gated in graph.nodes:
        if (costs := worked.get(id(placed))) is None:
            output, weights, _, macs, _, unread = placed
            said, label = (op, op) if isinstance(op, str) else (repr(op), words(op))
            parameters = sum(map(prod, weights.values()))
            costs = said, label, output, parameters, macs and macs * batch, each * output.size, unread
            worked[id(placed)] = costs
        if field is not seen:
            seen, (rows, columns) = field, field
            across = rows.size
            sizes = across, across if columns is rows else columns.size
            jumps = rows.jump, columns.jump
        said, label, output, parameters, macs, made, unread = costs
        own = 0 if twin else parameters
        yield _row((name, said, output, own, macs, made, sizes, jumps, unread, label, gated, 1, 1, 0))


def _totals(graph: Graph, rows: tuple[Row, ...], batch: int, size: int) -> Totals:
    column = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))  # summed as columns: half the time of rows
    parameters, macs, made = (
        sum(column["parameters"]),
        sum(filter(None, column["macs"])),
        sum(column["activation_bytes"]),
    )
    beside = buffer_bytes(graph, size)
    peak = size * parameters + beside + peak_bytes(graph, batch, size)
    exact, back = None not in column["macs"], sum(filter(None, column["backward_macs"]))
    return Totals(parameters, macs, 2 * macs, made, size * parameters, peak, beside, exact, back)
