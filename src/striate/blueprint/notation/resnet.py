r"""ResNet's table (He et al. 2015, table 1), a column of it, or a cell:

$\begin{bmatrix} 1 \times 1, 64 \\ 3 \times 3, 64 \\ 1 \times 1, 256 \end{bmatrix} \times 3$
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from striate.blueprint.graph import draft
from striate.blueprint.layers import Activation, Linear, Relu
from striate.blueprint.notation.claims import Block, Claim, Listing, of_figure, of_volume
from striate.blueprint.notation.figures import DIFFERS, figure_in
from striate.blueprint.notation.text import refuse, short
from striate.blueprint.notation.tidy import Line
from striate.blueprint.parts import conv_norm_act
from striate.blueprint.pooling import GlobalPool, MaxPool
from striate.blueprint.refusal import CannotPlace, Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Residual, Seq

FORM = "ResNet's table"
NOTES = (
    "the table has no input row: 3×224×224 is the paper's",
    "batch norm after each convolution, ReLU between: the table does not show them",
    "a stage from conv3_x on begins at stride 2, in its first convolution, as in the paper",
)
MOST_BLOCKS = 1_000
CELL = re.compile(r"\[([^\[\]]*)\]\s*x\s*(\d{1,4})")
LAYER = re.compile(r"\s*(\d{1,2})\s*x\s*(\d{1,2})\s*,\s*(\d{1,6})\s*")
CONV = re.compile(r"(\d{1,2})\s*x\s*(\d{1,2})\s*,\s*(\d{1,6})\s*,\s*stride\s*(\d)")
POOL = re.compile(r"(\d{1,2})\s*x\s*(\d{1,2})\s*max\s*pool\s*,\s*stride\s*(\d)")
HEAD = re.compile(r"average pool\s*,\s*(\d{1,6})-d fc\s*(,\s*softmax)?")
COLUMN = re.compile(r"(\d{1,4}|ResNet-?\d{1,4})(?:-layer)?", re.I)
SIZE = re.compile(r"(\d{1,5})\s*x\s*(\d{1,5})")


class Row(NamedTuple):
    line: Line
    name: str
    size: tuple[int, ...] | None
    cells: tuple[str, ...]

    def of(self, column: int) -> str:
        """A cell of this column, or the only one of the row, which then is of them all."""
        said = [cell for cell in self.cells if cell]
        return said[0] if len(said) == 1 else self.cells[column] if column < len(self.cells) else ""


def read_resnet(text: str, lines: list[Line], start: int) -> Block | None:
    """The table with its head, or cells alone, one a line (then the network is only these stages)."""
    first = lines[start]
    if first.cells[0].lower() == "layer name" and len(first.cells) > 2:
        return _table(text, lines, start)
    if "," not in first.text or not CELL.fullmatch(first.bare) or not (cells := _cells(lines, start)):
        return None
    stages = {f"conv{i + 2}_x": _stage(text, line, cell, i > 0) for i, (line, cell) in enumerate(cells)}
    used = frozenset(line.number for line, _ in cells)
    return Block(
        start + cells[-1][0].number - first.number + 1,
        (Listing(FORM, first.number, Seq(**stages), None, (), NOTES[1:]),),
        used,
    )


def _cells(lines: list[Line], start: int) -> list[tuple[Line, str]]:
    found: list[tuple[Line, str]] = []
    for line in lines[start:]:
        if line.bare and not ("," in line.bare and CELL.fullmatch(line.bare)):
            break
        if line.bare:
            found.append((line, line.bare))
    return found


def _table(text: str, lines: list[Line], start: int) -> Block | None:
    head = lines[start]
    names = [(i, cell) for i, cell in enumerate(head.cells) if i > 1 and COLUMN.fullmatch(cell)]
    rows: list[Row] = []
    used, end = {head.number}, start + 1
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if not line.bare or set(line.bare) <= set("|-: "):
            continue
        if len(line.cells) < 3 or not (line.cells[0] or any(line.cells[1:])):
            break
        size = SIZE.fullmatch(line.cells[1])
        rows.append(Row(line, line.cells[0], tuple(map(int, size.groups())) if size else None, line.cells[2:]))
        used.add(line.number)
        end = i + 1
    if not names or not rows:
        return None
    listings = []
    for column, name in names:
        parts = _network(text, rows, column - 2)
        claims = tuple(_claims(rows, parts, name, column - 2))
        flat = Seq(**{said: part for named in parts.values() for said, part in named.items()})
        listings.append(Listing(FORM, head.number, flat, Volume(3, 224, 224), claims, NOTES, name))
    return Block(end, tuple(listings), frozenset(used))


def _network(text: str, rows: list[Row], column: int) -> dict[int, dict[str, Blueprint]]:
    """The parts that each row (by its place) stands for, by name."""
    parts: dict[int, dict[str, Blueprint]] = {}
    known: set[str] = set()
    name, stages = "", 0
    for i, row in enumerate(rows):
        name, cell = row.name or name, row.of(column)
        if row.name.lower().startswith("flops") or not cell:
            continue
        if conv := CONV.fullmatch(cell):
            parts[i] = {name: conv_norm_act(int(conv[3]), int(conv[1]), int(conv[4]))}
        elif pool := POOL.fullmatch(cell):
            parts[i] = {"pool": MaxPool(int(pool[1]), int(pool[3]), int(pool[1]) // 2)}
        elif head := HEAD.fullmatch(cell):
            parts[i] = {
                "mean": GlobalPool(),
                "fc": Linear(int(head[1])),
                **({"softmax": Activation("softmax")} if head[2] else {}),
            }
        elif "[" in cell or "matrix" in cell:
            parts[i] = {name: _stage(text, row.line, cell, stages > 0)}
            stages += 1
        else:
            where = row.line.at(max(0, row.line.text.find(cell)))
            raise refuse(
                text,
                where,
                f"{short(cell)} is no cell of ResNet's table.",
                r"A cell is [3x3, 64; 3x3, 64] x 2, or the same as a bmatrix.",
            )
        if not name or known & parts[i].keys():
            raise refuse(text, row.line.at(0), f"a row is called {short(name)}; each has a name of its own.")
        known |= parts[i].keys()
    return parts


def _stage(text: str, line: Line, cell: str, down: bool) -> Seq:
    """A cell: blocks of the convolutions in its brackets, the first at stride 2 if `down`."""
    found = CELL.fullmatch(cell)
    layers = [LAYER.fullmatch(layer) for layer in re.split(r"[;\n]", found[1])] if found else []
    if not found or not layers or not all(layers) or not 1 <= int(found[2]) <= MOST_BLOCKS:
        where = line.at(max(0, line.text.find(cell)))
        raise refuse(
            text,
            where,
            f"{short(cell)} is no cell of ResNet's table.",
            "A cell is [3x3, 64; 3x3, 64] x 2, or the same as a bmatrix.",
        )
    sizes = [(int(layer[3]), (int(layer[1]), int(layer[2]))) for layer in layers if layer]

    def block(stride: int) -> Seq:
        last = len(sizes) - 1
        body = [
            conv_norm_act(width, kernel, stride if i == 0 else 1, **({} if i < last else {"act": None}))
            for i, (width, kernel) in enumerate(sizes)
        ]
        project = conv_norm_act(sizes[-1][0], 1, stride, act=None)
        return Seq(sum=Residual(Seq(*body), project=project), act=Relu)

    return Seq(block(2 if down else 1), *[block(1)] * (int(found[2]) - 1))


def _claims(rows: list[Row], parts: dict[int, dict[str, Blueprint]], column: str, index: int) -> Iterator[Claim]:
    volume, name, macs, size = Volume(3, 224, 224), "", 0, None
    for i, row in enumerate(rows):
        name, size = row.name or name, row.size if row.name or row.size else size
        about = f"{name or 'head'} of {column}"
        if row.name.lower().startswith("flops"):
            if figure := figure_in(row.of(index)):
                yield of_figure(row.line.number, column, "operations", figure, macs, "multiply-adds")
            continue
        for part in parts.get(i, {}).values():
            try:
                graph = draft(part, volume)
            except CannotPlace as refusal:
                yield Claim(row.line.number, about, "volume", "", "cannot be placed", DIFFERS, refusal.why)
                return
            except Refusal:
                return  # whoever uses the network is told
            volume, macs = graph.output, macs + graph.macs
        following = rows[i + 1] if i + 1 < len(rows) else None
        if (
            size and parts.get(i) and not (following and not following.name and not following.size)
        ):  # a row may be two lines
            yield of_volume(row.line.number, about, size, volume, flat=True)
