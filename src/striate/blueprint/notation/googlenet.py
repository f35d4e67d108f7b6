"""GoogLeNet's table (Szegedy et al. 2014, table 1), whole or some of its rows:

inception (3a)  |  | 28×28×256 | 2 | 64 | 96 | 128 | 16 | 32 | 32 | 159K | 128M
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from striate.blueprint.convolving import Conv
from striate.blueprint.graph import Graph, draft
from striate.blueprint.layers import Activation, Dropout, Linear, Relu
from striate.blueprint.notation.claims import Block, Claim, Listing, of_figure, of_volume, weight_layers, weights_of
from striate.blueprint.notation.figures import AGREES, DIFFERS, Figure, figure_in
from striate.blueprint.notation.text import refuse, short
from striate.blueprint.notation.tidy import Line
from striate.blueprint.pooling import AvgPool, MaxPool
from striate.blueprint.refusal import Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Concat, Seq

FORM = "GoogLeNet's table"
NOTES = (
    "the table has no input row: 3×224×224 is the paper's",
    "convolutions are padded to keep their grid and followed by ReLU: the table does not say",
    "a pool's last window may hang over the edge (fit=ceil): the table does not say",
)
KINDS = r"convolution|max pool|avg pool|average pool|inception|dropout|linear|softmax"
ROW = re.compile(rf"({KINDS})\s*(?:\((\w{{1,8}})%?\))?", re.I)
PATCH = re.compile(r"(\d{1,3})\s*x\s*(\d{1,3})\s*/\s*(\d{1,2})(?:\s*\(\w\))?")
SIZE = re.compile(r"(\d{1,6})\s*x\s*(\d{1,6})\s*x\s*(\d{1,7})")
COLUMNS = 12  # type, patch, output, depth, six numbers of filters, params, ops
WIDTHS = ("#1x1", "#3x3 reduce", "#3x3", "#5x5 reduce", "#5x5", "pool proj")


class Row(NamedTuple):
    line: Line
    kind: str
    name: str
    given: str  # what stands in brackets
    cells: tuple[str, ...]

    @property
    def widths(self) -> list[int]:
        """The six numbers of filters; 0 where the cell is empty."""
        return [int(cell) if cell.isdigit() and len(cell) < 8 else 0 for cell in self.cells[4:10]]

    @property
    def size(self) -> tuple[int, ...] | None:
        found = SIZE.fullmatch(self.cells[2])
        return tuple(map(int, found.groups())) if found else None


def read_googlenet(text: str, lines: list[Line], start: int) -> Block | None:
    """The rows that begin at `start`, with or without the table's head; tabs or bars between cells."""
    rows: list[Row] = []
    used, end = set[int](), start
    for i in range(start, len(lines)):
        line = lines[i]
        if not line.bare or set(line.bare) <= set("|-: "):
            continue
        if line.cells[0].lower() == "type" and len(line.cells) >= COLUMNS and not rows:
            used.add(line.number)
        elif len(line.cells) >= 4 and (found := ROW.fullmatch(line.cells[0])):
            cells = line.cells + ("",) * (COLUMNS - len(line.cells))
            kind, given = found[1].lower(), found[2] or ""
            number = sum(row.kind == kind for row in rows) + 1
            name = f"inception{given}" if kind == "inception" and given else f"{kind.replace(' ', '')}{number}"
            rows.append(Row(line, kind, name, given, cells))
            used.add(line.number)
        else:
            break
        end = i + 1
    if not rows:
        return None
    parts: dict[str, Blueprint] = {}
    for row in rows:
        if row.name in parts:
            raise refuse(text, row.line.at(0), f"{short(row.cells[0])} stands in the table twice.")
        parts[row.name] = _part(text, row)
    volume = _input(rows)
    network = Seq(**parts)
    claims = tuple(_claims(rows, parts, volume)) if volume else ()
    return Block(end, (Listing(FORM, lines[start].number, network, volume, claims, NOTES),), frozenset(used))


def _part(text: str, row: Row) -> Blueprint:
    widths, patch = row.widths, PATCH.fullmatch(row.cells[1])
    kernel, stride = (int(patch[1]), int(patch[3])) if patch else (0, 1)
    match row.kind:
        case "inception" if all(widths):
            one, three_in, three, five_in, five, pool = widths
            return Concat(
                one=_conv(one, 1),
                three=Seq(reduce=_conv(three_in, 1), conv=_conv(three, 3)),
                five=Seq(reduce=_conv(five_in, 1), conv=_conv(five, 5)),
                pool=Seq(pool=MaxPool(3, 1, 1), project=_conv(pool, 1)),
            )
        case "inception":
            missing = [(i, said) for i, said in enumerate(WIDTHS) if not widths[i]]
            what = f"the numbers of filters {', '.join(said for _, said in missing)} are missing."
            raise refuse(text, _at(row, 4 + missing[0][0]), what, f"A row has six: {', '.join(WIDTHS)}.")
        case "convolution" if kernel and row.size:
            reduce = next((width for width in widths[1:4:2] if width), 0)
            conv = _conv(row.size[2], kernel, stride)
            return Seq(reduce=_conv(reduce, 1), conv=conv) if reduce else conv
        case "max pool" if kernel:
            return MaxPool(kernel, stride, fit="ceil")
        case "avg pool" | "average pool" if kernel:
            return AvgPool(kernel, stride)
        case "dropout":
            return Dropout(min(int(row.given), 100) / 100 if row.given.isdigit() else 0.5)
        case "linear" if row.size:
            return Linear(row.size[2])
        case "softmax":
            return Activation("softmax")
    wanted = (
        ("output size, as 1x1x1000", 2) if row.kind == "linear" or kernel else ("patch size and stride, as 3x3/2", 1)
    )
    raise refuse(
        text,
        _at(row, wanted[1]),
        f"the row {short(row.cells[0])} needs its {wanted[0]}, not {short(row.cells[wanted[1]])}.",
    )


def _conv(width: int, kernel: int, stride: int = 1) -> Seq:
    return Seq(conv=Conv(width, kernel, stride, padding=kernel // 2), act=Relu)


def _at(row: Row, cell: int) -> int:
    """Where a cell stands in the text."""
    ends = [found.start() for found in re.finditer(r"[\t|]", row.line.text)]
    return row.line.at(ends[cell - 1] + 1 if 0 < cell <= len(ends) else 0)


def _input(rows: list[Row]) -> Volume | None:
    """What goes in: the paper's picture, or, where the rows begin at an inception, no one says."""
    return Volume(3, 224, 224) if rows[0].kind == "convolution" else None


def _claims(rows: list[Row], parts: dict[str, Blueprint], volume: Volume) -> Iterator[Claim]:
    for row in rows:
        try:
            graph: Graph = draft(parts[row.name], volume)
        except Refusal:
            return  # whoever uses the network is told
        line, depth = row.line.number, weight_layers(graph)
        if row.size:
            yield of_volume(line, row.name, row.size, graph.output)
        if row.cells[3].isdigit() and len(row.cells[3]) < 8:
            ours = 2 if row.kind == "inception" else depth  # arms side by side count once
            said = int(row.cells[3])
            yield Claim(line, row.name, "weight layers", str(said), str(ours), AGREES if said == ours else DIFFERS)
        for cell, kind, computed, note in (
            (row.cells[10], "parameters", graph.parameters, f"with biases; {weights_of(graph)[0]:,} without"),
            (row.cells[11], "operations", graph.macs, "multiply-adds"),
        ):
            figure: Figure | None = figure_in(cell)
            if figure:
                yield of_figure(line, row.name, kind, figure, computed, note)
        volume = graph.output
