"""VGG's columns (Simonyan & Zisserman 2014, table 1), one of them or the whole table:

conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool … FC-4096 FC-4096 FC-1000 soft-max
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from striate.blueprint.convolving import Conv
from striate.blueprint.graph import draft
from striate.blueprint.layers import Activation, Linear, LocalResponseNorm, Relu
from striate.blueprint.notation.claims import Block, Claim, Listing, of_figure, weight_layers
from striate.blueprint.notation.figures import AGREES, DIFFERS, Figure
from striate.blueprint.notation.text import near, refuse, short
from striate.blueprint.notation.tidy import Line
from striate.blueprint.pooling import MaxPool
from striate.blueprint.refusal import Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Seq

FORM = "VGG's columns"
NOTES = (
    "a convolution is padded to keep its grid, a maxpool is 2x2 at stride 2",
    "ReLU after each convolution and each FC but the last: the columns do not show it",
)
CUT = "the table is not whole: cells are missing or in the wrong column, so what it states is not judged"
KRIZHEVSKY = LocalResponseNorm(
    5, 1e-4, 0.75, 2.0, average=False
)  # "where applicable, the parameters of (Krizhevsky et al., 2012)"
WORDS = {
    "conv": re.compile(r"conv(?P<kernel>\d{1,2})?-(?P<out>\d{1,9})", re.I),
    "pool": re.compile(r"max-?pool(?:ing)?", re.I),
    "fc": re.compile(r"fc-(?P<out>\d{1,9})", re.I),
    "softmax": re.compile(r"soft-?max", re.I),
    "norm": re.compile(r"lrn", re.I),
    "input": re.compile(r"(?:input|image)", re.I),
}
INPUT = re.compile(
    r"(?:\w{0,6}\s*\(|(?:in)?put\s*)\s*(\d{1,5})\s*x\s*(\d{1,5})\s*(?:x\s*(\d{1,5})|RGB)?[\w\s]{0,20}\)?", re.I
)
COLUMN = re.compile(r"[A-Z](?:-[A-Z]{1,6})?(?:,[A-Z](?:-[A-Z]{1,6})?)*")
DEPTH = re.compile(r"(\d{1,4}) weight layers")
STARTS = re.compile(r"\s*(?:conv\d{0,2}-\w|max-?pool\s|fc-\d|ConvNet Configuration|input\s*\(?\d)", re.I)
MOST_PROSE = 3  # lines between two rows of a column


class Word(NamedTuple):
    kind: str
    out: int
    kernel: int


def word_of(said: str) -> Word | None:
    for kind, pattern in WORDS.items():
        if found := pattern.fullmatch(said):
            numbers = {name: int(value) for name, value in found.groupdict().items() if value}
            return Word(kind, numbers.get("out", 0), numbers.get("kernel", 3))
    return None


def network(words: list[Word]) -> Seq:
    """The column as a network, its layers named as Caffe named VGG's: conv1_1, relu1_1, pool1, fc6."""
    if words and words[-1].kind == "input":  # a column drawn from the bottom up
        words = words[::-1]
    parts: dict[str, Blueprint] = {}
    stage, within = 1, 0
    last_fc = max((i for i, word in enumerate(words) if word.kind == "fc"), default=len(words))
    for i, (kind, out, kernel) in enumerate(words):
        if kind == "conv":
            within += 1
            parts[f"conv{stage}_{within}"] = Conv(out, kernel, padding=kernel // 2)
            parts[f"relu{stage}_{within}"] = Relu
        elif kind == "pool":
            parts[f"pool{stage}"] = MaxPool(2, 2)
            stage, within = stage + 1, 0
        elif kind == "fc":
            parts[f"fc{stage}"] = Linear(out)
            if i < last_fc:
                parts[f"relu{stage}"] = Relu
            stage, within = stage + 1, 0
        elif kind == "norm":  # the paper's LRN normalises what the ReLU gave
            parts[f"norm{stage}_{within}"] = KRIZHEVSKY
        elif kind == "softmax":
            parts["softmax"] = Activation("softmax")
    return Seq(**parts)


def read_vgg(text: str, lines: list[Line], start: int) -> Block | None:
    """The columns that begin at `start`: a table (tabs or bars between cells), lines, or all on one line."""
    if not STARTS.match(lines[start].text):
        return None
    names: tuple[str, ...] = ()
    depths: list[tuple[int, int, int]] = []  # line, column, how many weight layers it says
    volume: Volume | None = None
    rows: list[list[list[Word]]] = []
    used: set[int] = set()
    end, prose = start, 0
    for i in range(start, len(lines)):
        line = lines[i]
        if not line.bare:
            continue
        cells = line.cells
        if "ConvNet Configuration" in line.text:
            if rows:
                break
        elif not rows and len(cells) > 1 and not names and all(COLUMN.fullmatch(cell) for cell in cells if cell):
            names = tuple(cells)
        elif DEPTH.search(line.text):
            found = [(column, DEPTH.fullmatch(cell)) for column, cell in enumerate(cells)]
            depths += [(line.number, column, int(depth[1])) for column, depth in found if depth]
        elif given := INPUT.fullmatch(line.bare):
            if rows:
                break
            volume = Volume(int(given[3] or 3), int(given[1]), int(given[2]))
        elif any(found_words := [_words(text, line, cell) for cell in cells]):
            rows.append(found_words)
        else:
            prose += 1
            if prose > MOST_PROSE or not rows or any(word.kind == "softmax" for cell in rows[-1] for word in cell):
                break
            continue
        used.add(line.number)
        prose, end = 0, i + 1
    if not any(word.kind in ("conv", "fc") for row in rows for cell in row for word in cell):
        return None
    if len(rows) == 1 and not names:  # one row and no head: bars between the layers of one network
        rows = [[[word for cell in rows[0] for word in cell]]]
    width = len(names) or max(len([cell for cell in row if cell]) for row in rows)
    named = names if any(names) else tuple(str(i + 1) for i in range(width)) if width > 1 else ("",)
    called = lines[start].number
    columns = {}
    for column, name in enumerate(named):
        cells_of = [row[0] if _spans(row) else row[column] if column < len(row) else [] for row in rows]
        if name or len(named) == 1:
            columns[name] = network([word for cell in cells_of for word in cell])
    end, counts = _table_2(lines, end) if len(columns) > 1 else (end, [])
    used |= {line for line, _, _ in counts}
    whole = not any(_slipped(row, width) for row in rows) and ("" not in named or len(named) == 1)
    notes = NOTES if whole else (*NOTES, CUT)
    listings = tuple(
        Listing(
            *(FORM, called, part, volume),
            tuple(_claims(part, volume, name, named, depths, counts)) if whole else (),
            *(notes, name),
        )
        for name, part in columns.items()
    )
    return Block(end, listings, frozenset(used))


def _spans(row: list[list[Word]]) -> bool:
    """One cell over all columns: maxpool, FC, soft-max. A lone convolution stays in its own column."""
    return bool(row[0]) and not any(row[1:]) and (len(row) == 1 or row[0][0].kind != "conv")


def _slipped(row: list[list[Word]], width: int) -> bool:
    """Whether a cell is empty between others: VGG's columns grow to the right, so some stand in the wrong column."""
    filled = [column for column, cell in enumerate(row[:width]) if cell]
    return len(filled) > 1 and filled[-1] - filled[0] >= len(filled)


def _words(text: str, line: Line, cell: str) -> list[Word]:
    """The words of a cell, or none if it is prose; refused where most are VGG's and one is not."""
    said = [word for word in re.split(r"[\s,;]+|=>", cell) if word]
    known = [word_of(word) for word in said]
    strange = [word for word, read in zip(said, known, strict=True) if not read]
    if not strange:
        return [word for word in known if word]
    slip = len(said) == 1 and (re.match(r"conv\d{1,2}-|fc-", said[0], re.I) or near(said[0], KNOWN))
    if slip or (len(strange) * 2 <= len(said) and any(word and word.out for word in known)):
        at = line.at(max(0, line.text.find(strange[0])))
        raise refuse(text, at, f"{short(strange[0])} is no layer of VGG's columns.{near(strange[0], KNOWN)}", HINT)
    return []


KNOWN = ("conv3-64", "conv1-256", "maxpool", "FC-4096", "soft-max", "LRN")
HINT = "They are written conv3-64 (3x3, 64 filters), conv1-256, maxpool, FC-4096, soft-max, LRN."


def _table_2(lines: list[Line], at: int) -> tuple[int, list[tuple[int, str, Figure]]]:
    """The paper's table 2, where it follows: (line, column names, millions of parameters)."""
    following = [i for i in range(at, min(at + 12, len(lines))) if lines[i].bare][:3]
    cells = [lines[i].cells for i in following]
    if len(cells) < 3 or "millions" not in lines[following[0]].text or cells[1][0] != "Network":
        return at, []
    counts = [
        (lines[following[2]].number, names, Figure(f"{said} million", said, power=2))
        for names, said in zip(cells[1][1:], cells[2][1:], strict=False)
        if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", said)
    ]
    return following[2] + 1, counts


def _claims(
    part: Seq,
    volume: Volume | None,
    name: str,
    names: tuple[str, ...],
    depths: list[tuple[int, int, int]],
    counts: list[tuple[int, str, Figure]],
) -> Iterator[Claim]:
    try:
        graph = draft(part, volume or Volume(3, 224, 224))
    except Refusal:
        return  # whoever uses the network is told
    about, depth = f"column {name}", weight_layers(graph)
    for line, column, said in depths:
        if names[column : column + 1] == (name,):
            yield Claim(line, about, "weight layers", str(said), str(depth), AGREES if said == depth else DIFFERS)
    for line, whose, figure in counts:
        if name in whose.split(","):
            yield of_figure(line, about, "parameters", figure, graph.parameters, "with biases")
