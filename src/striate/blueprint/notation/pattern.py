"""Patterns: `[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K,SOFTMAX`, with numbers for the letters.

    pattern = piece (- or , or =>) piece …
    piece   = word | ( pattern ) | [ pattern ]    then ? (may be left out), * or x and how often: *3, xN

What a pattern leaves open has a default, and `numbers` changes it: CHANNELS=64 of the first convolutions (doubled after
each pool, to 512), KERNEL=3 (padded to keep the grid), FC=4096, CLASSES=1000; POOL=0 leaves out what may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from striate.blueprint.convolving import Conv
from striate.blueprint.layers import Activation, BatchNorm, Dropout, Linear, LocalResponseNorm, Relu
from striate.blueprint.notation.claims import Listing
from striate.blueprint.notation.text import near, refuse, short
from striate.blueprint.notation.tidy import Line
from striate.blueprint.pooling import AvgPool, MaxPool
from striate.blueprint.refusal import CannotRead
from striate.blueprint.wiring import Blueprint, Seq

FORM = "a pattern"
WORDS = {
    "conv": "conv",
    "pool": "pool",
    "maxpool": "pool",
    "max pool": "pool",
    "avgpool": "avgpool",
    "fc": "fc",
    "relu": "relu",
    "input": "input",
    "softmax": "softmax",
    "norm": "norm",
    "lrn": "norm",
    "bn": "batchnorm",
    "batchnorm": "batchnorm",
    "dropout": "dropout",
}
SIZES = {"CHANNELS": 64, "KERNEL": 3, "FC": 4096, "CLASSES": 1000, "POOL": 1}
MOST_CHANNELS = 512
MOST_LAYERS = 2_000
DEEPEST = 20
TOKEN = re.compile(
    r"\s*(?:(?P<times>[*x]\s*(?P<count>\d{1,4}|[A-Z])(?![A-Za-z]))|(?P<word>[A-Za-z]+(?:-(?=max\b)max)?)|(?P<sign>=>|[-,\[\]()?]))",
)
LAYER = re.compile(r"(?<![A-Za-z0-9])(?:CONV|POOL|MAXPOOL|FC|RELU|SOFTMAX)(?![A-Za-z0-9])", re.I)
FOUND = re.compile(r"(?<![\w\])])[\[(]{1,9}(?:CONV|POOL|FC|RELU|INPUT)(?![A-Za-z0-9])[\w\[\]()\-,*?=>]{0,400}", re.I)
LONGEST = 400


class Piece(NamedTuple):
    """A word, or pieces one after the other; how often: a number or a letter; `maybe`: it may be left out."""

    what: str | tuple[Piece, ...]
    times: int | str = 1
    maybe: bool = False


class Pattern(NamedTuple):
    line: Line
    piece: Piece
    said: str

    def letters(self) -> list[str]:
        return sorted(set(_letters(self.piece)), key="NMK".find)


def find_pattern(text: str, lines: list[Line], i: int) -> tuple[Pattern, int] | None:
    """The pattern in line `i`, and how many lines it takes.

    One that fills its line is refused where it does not parse; in prose it is passed over.
    """
    line = lines[i]
    if len(line.bare) > LONGEST or len(LAYER.findall(line.bare)) < 2:
        return None
    found = FOUND.search(line.text)
    alone = not TOKEN.sub("", line.bare).strip() and bool(
        found or re.search(r"\w-[A-Za-z]|\w=>", line.bare.replace(" ", ""))
    )
    if not alone and not found:
        return None
    start, said, took = (0, line.text.rstrip(), 1) if alone or not found else (found.start(), found[0], 1)
    following = lines[i + 1].bare if i + 1 < len(lines) else ""
    if said.endswith(",") and (more := re.match(r"[A-Z-]{2,9}\b", following)):
        said, took = said + more[0], 2
    try:
        return Pattern(line, _Parser(text, line, start, said.rstrip(" ,.")).whole(), said.strip()), took
    except CannotRead:
        if alone and found and found.start() <= len(line.text) - len(line.text.lstrip()):
            raise
        return None


class _Parser:
    def __init__(self, text: str, line: Line, start: int, said: str) -> None:
        self.text, self.line, self.start, self.said = text, line, start, said
        self.at = self.depth = 0

    def stop(self, what: str, ways: str = "") -> Any:
        raise refuse(self.text, self.line.at(self.start + self.at), what, ways)

    def token(self) -> re.Match[str] | None:
        return TOKEN.match(self.said, self.at)

    def eat(self, *signs: str) -> bool:
        found = self.token()
        if found and found["sign"] in signs:
            self.at = found.end()
            return True
        return False

    def whole(self) -> Piece:
        piece = self.pieces("")
        if self.said[self.at :].strip():
            self.stop(
                f"{short(self.said[self.at :].strip()[:1])} has no meaning here.",
                "A pattern reads as [(CONV-RELU)*2-POOL]*3-FC,SOFTMAX",
            )
        return piece

    def pieces(self, close: str) -> Piece:
        self.depth += 1
        if self.depth > DEEPEST:
            self.stop(f"a pattern nested deeper than {DEEPEST} levels.")
        found = [self.piece()]
        while self.eat("-", ",", "=>"):
            found.append(self.piece())
        if close and not self.eat(close):
            self.stop(f"{short(close)} is missing.")
        self.depth -= 1
        return Piece(tuple(found))

    def piece(self) -> Piece:
        what: Piece
        if self.eat("["):
            what = self.pieces("]")
        elif self.eat("("):
            what = self.pieces(")")
        elif (found := self.token()) and found["word"]:
            word = found["word"].lower().replace("-", "")
            if word not in WORDS:
                self.at = found.start("word")
                self.stop(
                    f"{short(found['word'])} is no layer of a pattern.{near(word, WORDS)}",
                    "Its words are CONV, RELU, POOL, NORM, DROPOUT, FC, SOFTMAX.",
                )
            self.at = found.end()
            what = Piece(WORDS[word])
        else:
            self.stop("a layer is missing here.", "A pattern reads as [(CONV-RELU)*2-POOL]*3-FC,SOFTMAX")
        while (found := self.token()) and (found["times"] or found["sign"] == "?"):
            self.at = found.end()
            if found["times"]:
                count = found["count"]
                what = Piece((what,), int(count) if count.isdigit() else count)
            else:
                what = Piece((what,), 1, True)
        return what


def _letters(piece: Piece) -> list[str]:
    own = [piece.times] if isinstance(piece.times, str) else []
    return own + ([letter for part in piece.what for letter in _letters(part)] if isinstance(piece.what, tuple) else [])


def listing(pattern: Pattern, numbers: Mapping[str, int]) -> Listing:
    """The pattern as a network. Raises CannotRead where a letter has no number, or a number no letter."""
    letters, given = pattern.letters(), {name.upper(): n for name, n in numbers.items()}
    if missing := [letter for letter in letters if letter not in given]:
        several = "have no numbers" if len(missing) > 1 else "has no number"
        ways = " ".join(f"--set {letter}={n}" for letter, n in zip(missing, (2, 3, 1, 1, 1, 1, 1), strict=False))
        raise CannotRead(
            f"Cannot read {short(pattern.said)}: {' and '.join(missing)} {several}.",
            "",
            f"Give them, for instance: {ways}",
        )
    if strange := [name for name in given if name not in letters and name not in SIZES]:
        known = f"To be set are {', '.join([*letters, *SIZES])}."
        what = f"{short(pattern.said)} has no such letter.{near(strange[0], SIZES)}"
        raise CannotRead(f"Cannot set {strange[0]}: {what} {known}")
    sizes = SIZES | given
    words = _unrolled(pattern.piece, sizes)
    if not any(word in ("conv", "fc") for word in words):
        raise CannotRead(f"Cannot read {short(pattern.said)}: with these numbers no CONV and no FC is left.")
    network, scores = _network(words, sizes)
    optional = (
        ["what is marked ? is kept (POOL=0 leaves it out)" if sizes["POOL"] else "what is marked ? is left out"]
        if "?" in pattern.said
        else []
    )
    size, channels = sizes["KERNEL"], sizes["CHANNELS"]
    notes = (
        f"CONV is {size}x{size} at stride 1, padded to keep its grid",
        f"the first have {channels} filters, doubled after each POOL up to {max(MOST_CHANNELS, channels)}",
        f"POOL is 2x2 at stride 2; FC has {sizes['FC']} neurons, the last {sizes['CLASSES']}: the class scores{scores}",
        *optional,
    )
    return Listing(FORM, pattern.line.number, network, None, (), notes)


def _unrolled(piece: Piece, numbers: Mapping[str, int]) -> list[str]:
    if piece.maybe and not numbers["POOL"]:
        return []
    once = [piece.what] if isinstance(piece.what, str) else []
    for part in piece.what if isinstance(piece.what, tuple) else ():
        once += _unrolled(part, numbers)
    count = piece.times if isinstance(piece.times, int) else numbers[piece.times]
    if count < 0 or count * len(once) > MOST_LAYERS:
        raise CannotRead(f"Cannot read a pattern of {count * len(once):,} layers; it takes from 0 to {MOST_LAYERS:,}.")
    return once * count


def _network(words: list[str], sizes: Mapping[str, int]) -> tuple[Seq, str]:
    """The layers by name. Scores are not rectified: where every FC is, one more gives them before SOFTMAX."""
    said = ""
    bare_fc = [i for i, word in enumerate(words) if word == "fc" and words[i + 1 : i + 2] != ["relu"]]
    if words[-1] == "softmax" and not (bare_fc and "relu" not in words[bare_fc[-1] :]):
        words = [*words[:-1], "fc", "softmax"]
        said = "; it is not in the pattern, whose every FC is rectified or missing"
    last_fc = max((i for i, word in enumerate(words) if word == "fc"), default=-1)
    channels, kernel = sizes["CHANNELS"], sizes["KERNEL"]
    parts: dict[str, Blueprint] = {}
    seen: dict[str, int] = {}
    for i, word in enumerate(words):
        seen[word] = seen.get(word, 0) + 1
        layers: dict[str, Any] = {
            "conv": lambda: Conv(channels, kernel, padding=kernel // 2),  # noqa: B023 (called at once)
            "fc": lambda i=i: Linear(sizes["CLASSES"] if i == last_fc else sizes["FC"]),
            "relu": lambda: Relu,
            "pool": lambda: MaxPool(2, 2),
            "avgpool": lambda: AvgPool(2, 2),
            "norm": lambda: LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False),
            "batchnorm": BatchNorm,
            "dropout": Dropout,
            "softmax": lambda: Activation("softmax"),
        }
        if word in layers:
            parts[f"{word}{seen[word]}"] = layers[word]()
        if word in ("pool", "avgpool"):
            channels = min(channels * 2, max(MOST_CHANNELS, sizes["CHANNELS"]))
    return Seq(**parts), said
