"""Figures as people write them (150K, 3.2M, 1,728, 1.8×10^9), sums, and when a figure may stand for a number.

A figure may stand for a computed number in one of these ways, and the verdict says which:

- agrees: it is that number.
- rounds to: it has a suffix, a decimal point, a power of ten or an ≈, and the number is at most half a unit of its last
  written place away; or was cut off there ("150K" for 150,528); or rounds to it at the digits before its zeros, which
  then only fill up ("800K" for 802,816), and is at most 1 % away; or one of the first two holds with a K of 1,024.
- differs: none of these. A plain whole number ("1600") has to be exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

AGREES, ROUNDS, DIFFERS = "agrees", "rounds to", "differs"
LARGEST = 10**40  # of what a sum may come to on its way
MOST_TOKENS = 80
POWERS = {"": 0, "k": 1, "thousand": 1, "m": 2, "million": 2, "g": 3, "b": 3, "billion": 3, "t": 4}
UNITS = r"bytes?|ops|operations|params?|parameters|weights|neurons|multiplications"

NUMBER = re.compile(
    r"(?P<digits>(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,18})(?:\.\d{1,9})?)(?![\d.]\d|\d)"
    r"(?P<suffix>\s?x\s?10\s?\^\s?(?P<ten>\d{1,2})|\s{0,3}(?P<word>million|billion|thousand)(?![a-z])|(?P<letter>[KkMGTB])B?(?![A-Za-z]))?"
    rf"(?:\s{{1,3}}(?:{UNITS})\b(?!\s*:))?"
)
TOKEN = re.compile(
    r"\s+|(?P<equals>\(\s*=(?!>)|=(?![>=])|≈)|(?P<arrow>=>)|(?P<sign>[-+*/()])|(?P<times>x(?=\s*[\d(]))|(?P<other>\w+|.)"
)


class Figure(NamedTuple):
    """A number as it stands in a text; `power` is which power of a thousand its suffix is, `ten` which power of ten."""

    text: str
    digits: str
    ten: int = 0
    power: int = 0
    about: bool = False  # behind an ≈

    @property
    def written(self) -> Fraction:
        return Fraction(self.digits.replace(",", ""))

    @property
    def value(self) -> Fraction:
        return self.written * self.scale()

    def scale(self, base: int = 1000) -> int:
        """What the suffix multiplies by."""
        return int(base**self.power * 10**self.ten)

    @property
    def exact(self) -> bool:
        return not (self.power or self.ten or "." in self.digits or self.about)

    def place(self, zeros: bool = False) -> Fraction:
        """The unit of the last written digit, before the suffix; with `zeros`, of the last that is no filling zero."""
        whole, _, decimals = self.digits.replace(",", "").partition(".")
        if decimals:
            return Fraction(1, 10 ** len(decimals))
        return Fraction(10 ** (len(whole) - len(whole.rstrip("0")))) if zeros and whole.strip("0") else Fraction(1)


def judge(stated: Figure, computed: int | Fraction) -> tuple[str, str]:
    """(agrees | rounds to | differs, in which way it rounds)."""
    computed = Fraction(computed)
    if stated.value == computed:
        return AGREES, ""
    if stated.exact:
        return DIFFERS, ""
    for base in (1000, 1024) if stated.power else (1000,):
        scale = stated.scale(base)
        value, unit, kilo = stated.written * scale, stated.place() * scale, "" if base == 1000 else "a K of 1,024"
        away = abs(value - computed)
        if away * 2 <= unit:
            return ROUNDS, kilo
        if 0 <= computed - value < unit:
            return ROUNDS, f"cut off{kilo and ', ' + kilo}"
        if base == 1000 and away * 2 <= stated.place(zeros=True) * scale and away * 100 <= abs(computed):
            return ROUNDS, "its zeros only fill up"
    return DIFFERS, ""


def spelled(number: int | Fraction, like: Figure | None = None) -> str:
    """1,728 or 2.333; with `like`, a short form in its suffix beside it: 9,408 (9.4K)."""
    if number != int(number):
        return f"{float(number):.4g}"
    said = f"{int(number):,}"
    if like is None or not (like.power or like.ten) or not number:
        return said
    short = Fraction(number) / like.scale()
    return f"{said} ({float(short):.4g}{like.text.removeprefix(like.digits)})"


class Sum(NamedTuple):
    """One side of an equals sign: a sum that was computed, or a lone figure."""

    text: str
    value: Fraction
    figure: Figure | None = None


class Chain(NamedTuple):
    """What a text says is equal: `sum = figure`, `sum = sum = figure`; `at` is where it starts, `end` where it ends."""

    sums: tuple[Sum, ...]
    at: int
    end: int

    @property
    def sum(self) -> Sum:
        """The side that is computed: the first that is more than a lone figure."""
        return next((side for side in self.sums if side.figure is None), self.sums[0])

    @property
    def stated(self) -> Sum:
        """The side that is claimed: the last other one."""
        return next((side for side in reversed(self.sums) if side is not self.sum), self.sums[0])

    @property
    def text(self) -> str:
        about = self.stated.figure and self.stated.figure.about
        return f"{self.sum.text} {'≈' if about else '='} {self.stated.text}"


class Token(NamedTuple):
    kind: str
    at: int
    end: int
    figure: Figure | None = None


def tokens(text: str) -> Iterator[Token]:
    at, operand = 0, False
    while at < len(text):
        if found := NUMBER.match(text, at):
            word, suffix = found["word"], (found["suffix"] or "").strip()
            power = POWERS[(word or found["letter"] or "").lower()]
            said = found["digits"] + (f" {word}" if word else suffix)
            yield Token("number", at, found.end(), Figure(said, found["digits"], int(found["ten"] or 0), power))
            operand = True
        else:
            found = TOKEN.match(text, at)
            assert found, text[at]
            kind = found.lastgroup
            if kind in ("sign", "times"):
                sign = text[at] if kind == "sign" else "*"
                yield Token(sign if kind == "sign" or operand else "other", at, found.end())
                operand = sign == ")"
            elif kind:
                yield Token("=" if kind == "equals" else "other", at, found.end())
                operand = False
        at = found.end()


def figure_in(text: str) -> Figure | None:
    """The first number of a text that is not a part of a word."""
    return next((token.figure for token in tokens(text) if token.figure), None)


def chains(text: str) -> list[Chain]:
    """Every `sum = figure` of a line. A sum has an operation in it; what cannot be computed (5/0) is left out."""
    found: list[Chain] = []
    sides: list[list[Token]] = [[]]
    for token in [*tokens(text), Token("other", len(text), len(text))]:
        if token.kind == "other":
            found += _chain(text, sides)
            sides = [[]]
        elif token.kind == "=":
            sides.append([token])
        else:
            sides[-1].append(token)
    return found


def _chain(text: str, sides: list[list[Token]]) -> Iterator[Chain]:
    """What stands between two words: its first side may begin later than the words end, its last may end earlier."""
    read: list[tuple[Sum, int, int]] = []
    for n, side in enumerate(sides):
        about = bool(side and side[0].kind == "=" and text[side[0].at] == "≈")
        side = side[1:] if side and side[0].kind == "=" else side
        if len(side) > MOST_TOKENS:
            continue
        last = n == len(sides) - 1
        for first in range(1 if read else len(side)):
            if first and side[first - 1].kind in "+-*/":  # the middle of a sum is not what is meant
                continue
            value, used = _total(side[first:])
            if value is not None and ((last and read) or first + used == len(side)):
                start, end = side[first].at, side[first + used - 1].end
                figure = side[first].figure if used == 1 else None
                read.append(
                    (Sum(" ".join(text[start:end].split()), value, figure and figure._replace(about=about)), start, end)
                )
                break
    if len(read) > 1 and any(side.figure is None for side, _, _ in read):
        yield Chain(tuple(side for side, _, _ in read), read[0][1], read[-1][2])


def _total(side: list[Token]) -> tuple[Fraction | None, int]:
    """The value of the longest sum that `side` begins with, and how many tokens it took."""
    value, at = _product(side, 0)
    while value is not None and at < len(side) and side[at].kind in "+-":
        more, after = _product(side, at + 1)
        if more is None:
            break
        value, at = _bounded(value + more if side[at].kind == "+" else value - more), after
    return value, at


def _product(side: list[Token], at: int) -> tuple[Fraction | None, int]:
    value, at = _factor(side, at)
    while value is not None and at < len(side) and side[at].kind in "*/":
        more, after = _factor(side, at + 1)
        if more is None:
            break
        if side[at].kind == "/" and not more:
            return None, at
        value, at = _bounded(value * more if side[at].kind == "*" else value / more), after
    return value, at


def _factor(side: list[Token], at: int) -> tuple[Fraction | None, int]:
    if at < len(side) and side[at].figure:
        return side[at].figure.value, at + 1  # type: ignore[union-attr]
    if at < len(side) and side[at].kind == "(":
        value, used = _total(side[at + 1 :])
        after = at + 1 + used
        if value is not None and after < len(side) and side[after].kind == ")":
            return value, after + 1
    return None, at


def _bounded(value: Fraction) -> Fraction | None:
    return value if max(abs(value.numerator), value.denominator) < LARGEST else None
