"""The canonical form's tokens, one at a time: words, quoted text, signs. A newline is a sign; a comment is space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from striate.blueprint.notation.text import DEEPEST, refuse, short

SPACE, BREAKS = (re.compile(rf"(?:[ \t\r\f\v\u00a0\ufeff{more}]+|#[^\n]*)*") for more in ("", "\n;"))
TOKEN = re.compile(r'(?P<word>(?:[\w.×+]|-(?!>))+)|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<sign>->|[{}():;,*\n])')
SIGNS = {
    "=": 'a field and its value stand side by side, without "=".',
    '"': "the text that begins here does not end on its line.",
}


class Token(NamedTuple):
    kind: str  # "word", "text", "end", or the sign itself
    said: str
    at: int
    end: int

    def __str__(self) -> str:
        return {"end": "the end of the text", "\n": "the end of the line"}.get(self.kind, short(self.said))


class Tokens:
    """A text and the token at which its reading stands."""

    def __init__(self, text: str) -> None:
        self.text, self.depth = text, 0
        self.token = self.after(0)

    def after(self, at: int) -> Token:
        at = SPACE.match(self.text, at).end()  # type: ignore[union-attr]
        if at == len(self.text):
            return Token("end", "", at, at)
        if not (match := TOKEN.match(self.text, at)):
            sign = self.text[at]
            raise refuse(self.text, at, SIGNS.get(sign, f"{short(sign)} has no meaning here."))
        return Token(match[0] if match.lastgroup == "sign" else str(match.lastgroup), match[0], at, match.end())

    def next(self) -> Token:
        token, self.token = self.token, self.after(self.token.end)
        return token

    def eat(self, *kinds: str) -> Token | None:
        return self.next() if self.token.kind in kinds else None

    def need(self, kind: str, where: str) -> Token:
        return self.eat(kind) or self.stop(f"{short(kind)} is wanted {where}, not {self.token}.")

    def lines(self) -> None:
        """Past any newlines, semicolons, spaces and comments."""
        if self.token.kind in ("\n", ";"):
            self.token = self.after(BREAKS.match(self.text, self.token.at).end())  # type: ignore[union-attr]

    def stop(self, what: str, ways: str = "", at: Token | None = None) -> NoReturn:
        raise refuse(self.text, (at or self.token).at, what, ways)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > DEEPEST:
            self.stop(f"this is nested deeper than {DEEPEST} levels.")
        yield
        self.depth -= 1
