"""A line as it was meant: without bullets, bold marks, tags and TeX, and each sign knowing where it stood."""

from __future__ import annotations

import re
from functools import cached_property

LONGEST_LINE = 4_000  # signs; a row of ResNet's table in TeX takes 700

SIGNS = [  # how it stands in a text, how it is read on
    (r"\\begin\{[bp]?matrix\}", "["),
    (r"\\end\{[bp]?matrix\}", "]"),
    (r"\\(?:begin|end)\{aligned\}|&(?=[=<>≈])", ""),
    (r"\\\\", ";"),
    (r"\\times(?![a-zA-Z])|[×✕]", "x"),
    (r"\\cdot(?![a-zA-Z])|[·⋅∗]|\^\{?\*\}?", "*"),
    (r"\\(?:Rightarrow|rightarrow|implies|to)(?![a-zA-Z])|[→⇒]|[-=]>", "=>"),
    (r"\\approx(?![a-zA-Z])|[≈≃≅]", "≈"),
    (r"\\(?:text|textbf|textit|mathbf|mathrm|boldsymbol|bf|rm|left|right|displaystyle)(?![a-zA-Z])", ""),
    (r"\\[,;:! ]|\\q?quad(?![a-zA-Z])|\u00a0|\u3000", " "),
    (r"</?[a-zA-Z][^<>]{0,60}>", ""),
    (r"\*\*|__|\$+|[{}`\ufeff]", ""),
    (r"\\(?=[^\w\s])", ""),
    (r"[−–]", "-"),
]
READ_ON = [after for _, after in SIGNS]
STOOD = re.compile("|".join(f"({before})" for before, _ in SIGNS))
BULLET = re.compile(r" *(?:(?:[-•*+>#■▪◦]+|·|\d{1,2}[.)]) +)*")


class Line:
    """One line of a text: `number` from 1, `text` as it was meant, `cells` where tabs or bars part it."""

    def __init__(self, number: int, raw: str, start: int) -> None:
        self.number, self.raw, self.start = number, raw, start
        text: list[str] = []
        at: list[int] = []
        here = BULLET.match(raw).end()  # type: ignore[union-attr]  # matches anything
        for found in STOOD.finditer(raw, here):
            text += raw[here : found.start()]
            at += range(here, found.start())
            after = READ_ON[(found.lastindex or 1) - 1]
            text += after
            at += [found.start()] * len(after)
            here = found.end()
        self.text = "".join(text) + raw[here:]
        self._at: list[int] = [*at, *range(here, len(raw) + 1)]

    def at(self, column: int) -> int:
        """Where in the whole text the sign at `column` of the tidied line stood."""
        return self.start + self._at[min(column, len(self._at) - 1)]

    @cached_property
    def bare(self) -> str:
        return self.text.strip()

    @cached_property
    def cells(self) -> tuple[str, ...]:
        if "\t" in self.text:
            return tuple(cell.strip() for cell in self.text.split("\t"))
        cells = tuple(cell.strip() for cell in self.text.strip().split("|"))
        return cells[cells[0] == "" : len(cells) - (cells[-1] == "")] if len(cells) > 2 else (self.bare,)


def tidy(text: str) -> list[Line]:
    """The lines of a text; those longer than any listing's are left empty (and so passed over)."""
    lines, start = [], 0
    for number, raw in enumerate(text.split("\n"), 1):
        lines.append(Line(number, raw.rstrip("\r") if len(raw) <= LONGEST_LINE else "", start))
        start += len(raw) + 1
    return lines
