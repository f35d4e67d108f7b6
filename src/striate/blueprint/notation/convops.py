"""Lists of operations side by side: `[3x3 conv, 192]  28x28x192x3x3x256` and, below them, `Total: 854M ops`.

Each line is a convolution: its output's height and width, filters, kernel, channels read. Those that read fewer
channels than the rest follow a 1×1 that gives so many (an inception module's bottleneck); the arms are concatenated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from striate.blueprint.convolving import Conv
from striate.blueprint.graph import Graph, draft
from striate.blueprint.notation.claims import Block, Claim, Listing, of_figure
from striate.blueprint.notation.figures import AGREES, DIFFERS, Figure, figure_in, judge, spelled
from striate.blueprint.notation.text import refuse
from striate.blueprint.notation.tidy import Line
from striate.blueprint.refusal import Refusal
from striate.blueprint.volume import Volume
from striate.blueprint.wiring import Blueprint, Concat, Seq

FORM = "a list of operations"
NOTES = (
    "the arms are concatenated, each convolution padded to keep its grid; no ReLU, no bias",
    "what reads fewer channels follows a 1x1 that gives so many",
)
ITEM = re.compile(r"\[\s*(\d{1,3})\s*x\s*(\d{1,3})\s+conv\s*,\s*(\d{1,7})\s*\]\s*(\S.*)?", re.I)
PRODUCT = re.compile(r"\d{1,7}(?:\s*[x*]\s*\d{1,7}){5}")
TOTAL = re.compile(r"total\s*:?\s*(\d.*?ops)", re.I)
NEAR = 4  # lines with words between the last item and the total


class Item(NamedTuple):
    line: Line
    out: int
    kernel: tuple[int, int]
    grid: tuple[int, int]
    reads: int
    product: str

    @property
    def called(self) -> str:
        return f"{self.kernel[0]}x{self.kernel[1]} conv, {self.out}"

    @property
    def conv(self) -> Conv:
        rows, columns = self.kernel
        if rows == columns:
            return Conv(self.out, rows, padding=rows // 2, bias=False)
        return Conv(self.out, self.kernel, padding=(rows // 2, columns // 2), bias=False)


def read_convops(text: str, lines: list[Line], start: int) -> Block | None:
    """The list that begins at `start`, with its total where one follows."""
    items: list[Item] = []
    claims: list[Claim] = []
    used, end, prose = set[int](), start, 0
    total: tuple[Line, Figure] | None = None
    for i in range(start, len(lines)):
        line = lines[i]
        if not line.bare:
            continue
        if found := ITEM.fullmatch(line.bare):
            items.append(_item(text, line, found))
            prose = 0
        elif (sums := TOTAL.match(line.bare)) and (figure := figure_in(sums[1])) and items:
            total = (line, figure)
        else:
            prose += 1
            if not items or prose > NEAR:
                break
            continue
        used.add(line.number)
        end = i + 1
        if total:
            break
    if not items:
        return None
    volume = Volume(max(item.reads for item in items), *Counter(item.grid for item in items).most_common(1)[0][0])
    network = Concat(*_arms(items, volume.channels))
    claims += _claims(items, total)
    return Block(end, (Listing(FORM, items[0].line.number, network, volume, tuple(claims), NOTES),), frozenset(used))


def _item(text: str, line: Line, found: re.Match[str]) -> Item:
    product = (found[4] or "").strip()
    if not PRODUCT.fullmatch(product):
        at = line.text.find("]") + 1
        ways = "For instance: [3x3 conv, 192] 28x28x192x3x3x256"
        raise refuse(text, line.at(at), "the product of a convolution has six numbers.", ways)
    height, width, _, _, _, reads = (int(n) for n in re.findall(r"\d+", product))
    return Item(line, int(found[3]), (int(found[1]), int(found[2])), (height, width), reads, re.sub(r"\s", "", product))


def _arms(items: list[Item], channels: int) -> Iterator[Blueprint]:
    """What reads the volume is an arm; what reads less takes the first free 1×1 that gives so much before it."""
    free = [item for item in items if item.reads == channels and item.kernel == (1, 1)]
    taken: list[Item] = []
    arms: list[Blueprint] = []
    for item in items:
        reduce = next((one for one in free if one.out == item.reads and one not in taken), None)
        if item.reads != channels and reduce:
            taken.append(reduce)
            arms.append(Seq(reduce=reduce.conv, conv=item.conv))
    alone = [item for item in items if item.reads == channels and not any(item is one for one in taken)]
    yield from [item.conv for item in alone]
    yield from arms


def _graph(item: Item) -> Graph | None:
    try:
        return draft(item.conv, Volume(item.reads, *item.grid))
    except Refusal:
        return None


def _claims(items: list[Item], total: tuple[Line, Figure] | None) -> Iterator[Claim]:
    macs: list[int] = []
    for item in items:
        graph = _graph(item)
        if graph is None:
            return  # whoever uses the network is told
        macs.append(graph.macs)
        line, stated = item.line, prod(int(number) for number in re.findall(r"\d+", item.product))
        verdict = AGREES if stated == graph.macs else DIFFERS
        said = f"{item.product} = {stated:,}"
        yield Claim(line.number, item.called, "operations", said, spelled(graph.macs), verdict, "multiply-adds")
    if total:
        line, figure = total
        claim = of_figure(line.number, "total", "operations", figure, sum(macs), "multiply-adds")
        twice = [item for item, n in zip(items, macs, strict=True) if judge(figure, sum(macs) + n)[0] != DIFFERS]
        if claim.verdict == DIFFERS and twice:
            once = twice[0]
            why = f"{figure.text} counts {once.called} of line {once.line.number} twice"
            claim = claim._replace(note=f"{claim.note}; {why}")
        yield claim
