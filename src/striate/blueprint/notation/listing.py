"""The forms in which lectures and papers write networks: one reader a form, in the table below; sentences are `walk`'s.

A text may hold several networks: each begins with its input line, its table's head or its first row. `read_listing`
wants one of them; `check` holds all that is claimed against what comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from striate.blueprint.notation.claims import Block, Claim, Listing, of_sum
from striate.blueprint.notation.convops import read_convops
from striate.blueprint.notation.figures import AGREES, DIFFERS, ROUNDS, chains
from striate.blueprint.notation.googlenet import read_googlenet
from striate.blueprint.notation.pattern import Pattern, find_pattern
from striate.blueprint.notation.pattern import listing as fill
from striate.blueprint.notation.resnet import read_resnet
from striate.blueprint.notation.text import UNSAID, Reading, Skipped, check_length, near
from striate.blueprint.notation.tidy import Line, tidy
from striate.blueprint.notation.vgg import read_vgg
from striate.blueprint.notation.walk import Walk
from striate.blueprint.refusal import CannotRead

BLOCKS: tuple[Callable[[str, list[Line], int], Block | None], ...] = (
    read_vgg,
    read_googlenet,
    read_resnet,
    read_convops,
)


class Found(NamedTuple):
    """All that a text holds: its networks, patterns, claims by line, and the lines that were passed over."""

    listings: tuple[Listing, ...]
    patterns: tuple[Pattern, ...]
    claims: tuple[Claim, ...]
    skipped: tuple[Skipped, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many claims agree, round and differ."""
        return {AGREES: 0, ROUNDS: 0, DIFFERS: 0} | Counter(claim.verdict for claim in self.claims)


def check(text: str) -> Found:
    """What a text claims, held against what comes out, line by line.

    Raises CannotRead, with line and column, where a row cannot be read.
    """
    check_length(text)
    lines, walk = tidy(text), Walk(text)
    blocks: list[Listing] = []
    patterns: list[Pattern] = []
    used: set[int] = set()
    i = 0
    while i < len(lines):
        line, i = lines[i], i + 1
        if not line.bare:
            continue
        block = next((found for read in BLOCKS if (found := read(text, lines, i - 1))), None)
        if block:
            walk.close()
            blocks += block.listings
            used |= block.used
            i = max(i, block.end)
        elif pattern := find_pattern(text, lines, i - 1):
            patterns.append(pattern[0])
            used |= {lines[i - 1 + n].number for n in range(pattern[1])}
            i += pattern[1] - 1
        elif walk.take(line):
            used.add(line.number)
    walk.close()
    listings = sorted([*blocks, *walk.listings], key=lambda one: one.line)
    claims = [claim for listing in listings for claim in listing.claims]
    for line in lines:
        sums = [of_sum(line.number, chain) for chain in chains(line.text) if (line.number, chain.at) not in walk.told]
        claims += sums
        used |= {claim.line for claim in sums}
    skipped = tuple(Skipped(line.number, line.raw.strip()) for line in lines if line.bare and line.number not in used)
    return Found(tuple(listings), tuple(patterns), tuple(sorted(claims, key=lambda one: one.line)), skipped)


def read_listing(text: str, column: str | None = None, numbers: Mapping[str, int] = UNSAID.numbers) -> Reading:
    """The one network of a text in a form of lectures and papers.

    `column` chooses in a table of several ("D", "50-layer"); `numbers` are for the letters of a pattern and what it
    leaves open ({"N": 2, "CLASSES": 10}).

    Raises CannotRead: no network, several, a column that is not there, a letter without a number.
    """
    found = check(text)
    listings = list(found.listings)
    if found.patterns and (numbers or not listings):
        listings = [fill(found.patterns[0], numbers)]
    elif numbers:
        raise CannotRead(f"Cannot set {', '.join(numbers)}: the text has no pattern such as [(CONV-RELU)*N-POOL]*M-FC.")
    if not listings:
        raise CannotRead(
            "Cannot read a network from this text: no line is a row of a listing.", "", f"Forms it may have: {FORMS}"
        )
    chosen = _chosen(listings, column)
    return Reading(chosen.blueprint, chosen.volume, chosen.form, found.skipped, chosen.claims, chosen.notes)  # type: ignore[arg-type]


FORMS = "conv3-64 maxpool FC-1000 | [55x55x96] CONV1: 96 11x11 filters at stride 4 | [(CONV-RELU)*2-POOL]*3-FC"


def _chosen(listings: list[Listing], column: str | None) -> Listing:
    columns = list(dict.fromkeys(listing.column for listing in listings if listing.column))
    if column is not None:
        plain = column.lower().removesuffix("-layer")
        named = [
            listing for listing in listings if listing.column and listing.column.lower().removesuffix("-layer") == plain
        ]
        if not named:
            known = f"Its columns: {', '.join(columns)}." if columns else "It has no table of several."
            raise CannotRead(f'Cannot read column "{column}".{near(column, columns)} {known}')
        listings = named
    distinct = {(repr(listing.blueprint), listing.volume): listing for listing in reversed(listings)}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if column is None and columns and len({listing.line for listing in listings}) == 1:
        raise CannotRead(
            f"Cannot choose among {len(columns)} columns: {', '.join(columns)}.",
            "",
            f"Name one, for instance: --column {columns[0]}",
        )
    shown = [listing.called for listing in reversed(distinct.values())][:8]
    more = f" and {len(distinct) - len(shown)} more" if len(distinct) > len(shown) else ""
    raise CannotRead(
        f"Cannot choose among {len(distinct)} networks: {'; '.join(shown)}{more}.", "", "Keep the lines of one."
    )
