"""How numbers and names are said on a terminal."""

from __future__ import annotations

import unicodedata

UNSEEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # categories that steer a terminal, turn a line, or are no character


def counted(n: int, noun: str, plural: str = "") -> str:
    """1 epoch, 1,200 epochs; of what takes more than an s, with its plural: 2 classes."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def visible(text: str, but: str = "") -> str:
    r"""`text` with what would steer a terminal written out as JSON does (\u001b), but for the characters in `but`.

    Names come from files of others: labels, paths, layers. What is JSON stays JSON, and says the same.
    """
    return "".join(c if c in but or unicodedata.category(c) not in UNSEEN else _escaped(c) for c in text)


def _escaped(c: str) -> str:
    pair = c.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[i : i + 4]}" for i in range(0, len(pair), 4))
