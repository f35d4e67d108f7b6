"""`striate check FILE`: what a listing, a slide or a whole deck claims, held against what comes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.blueprint.refusal import CannotRead, NotFound, Refusal
from striate.cli.output import say

if TYPE_CHECKING:
    from rich.table import Table

    from striate.blueprint.notation.claims import Claim
    from striate.blueprint.notation.listing import Found

EXAMPLES = """\b
Examples:
  striate check lecture.txt                     every claim of a deck, line by line
  striate check lecture.txt --differs           only those that are not so
  striate check vgg.txt --column D              one network of a table of several
  striate check lecture.txt --json | jq '.claims[] | select(.verdict == "differs")'
  echo 'Parameters: (11*11*3 + 1)*96 = 35K' | striate check -

FILE is text, - is what is piped in. Networks are read as lectures and papers write them: VGG's columns, AlexNet's
listing, ledger lines (memory: 224*224*3=150K params: 0), GoogLeNet's and ResNet's tables, lists of operations, worked
examples (Input volume: 32x32x3); bullets, bold marks, TeX and prose between do no harm.

\b
agrees     what is stated is what comes out
rounds to  the figure has a suffix, a decimal point or an ≈, and comes within half a unit of its last written place,
           or was cut off there, or its zeros only fill up (800K for 802,816: at most 1 % away), or K is 1,024
differs    none of these; a plain whole number has to be exact

Volumes are height x width x channels. Parameters are counted with biases unless the text says otherwise, and each
claim says how. Exit code: 0 nothing differs, 1 something does, 2 the text cannot be read.
"""
LONGEST = 2**22  # bytes
NOTHING = "describes a network and states nothing of it that could be checked: no volume, no count, no total, no sum."
COLOURS = {"agrees": "green", "rounds to": "yellow", "differs": "bold red"}
WORDS = {"agrees": ("agrees", "agree"), "rounds to": ("rounds", "round"), "differs": ("differs", "differ")}


@click.command("check", epilog=EXAMPLES, short_help="Hold what a listing claims against what comes out.")
@click.argument("file", metavar="FILE")
@click.option("--column", metavar="NAME", help="Of a table of several networks, only this one: D, 50-layer.")
@click.option("--differs", is_flag=True, help="Show only what differs.")
@click.option("--skipped", is_flag=True, help="Show the lines that were passed over, too.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: claims, networks, counts, lines passed over.")
def command(file: str, column: str | None, differs: bool, skipped: bool, as_json: bool) -> int:
    """Hold what a listing claims against what comes out.

    Each volume, number of parameters, memory, operation count, total and sum that a text states is computed from the
    network that the same text describes.
    """
    from striate.blueprint.notation.listing import check

    called, text = _read(file)
    found = _of_column(check(text), column)
    if not found.claims and not found.listings and not _is_network(text):
        raise CannotRead(
            f"Cannot check {called}: no line of it describes a network or states a sum.",
            "",
            "What can be read, with examples: striate check --help",
        )
    shown = [claim for claim in found.claims if claim.verdict == "differs" or not differs]
    if as_json:
        say(json.dumps(_json(called, found, shown), ensure_ascii=False, indent=2))
    elif sys.stdout.isatty():
        from striate.cost.terminal import looked_at

        looked_at().print(table(called, shown))
    else:
        for claim in shown:
            say(plain(claim))
    if not as_json:
        if skipped:
            for line in found.skipped:
                say(f"line {line.line}: passed over: {line.text}")
        say(summary(found) if found.claims else f"{called} {NOTHING}")
    return int(found.counts["differs"] > 0)


def plain(claim: Claim) -> str:
    """A claim on one line: "line 7: conv1 parameters: 35K stated, 34,944 computed: rounds to (with biases)"."""
    about = f"{claim.about} {claim.kind}".strip()
    note = f" ({claim.note})" if claim.note else ""
    return f"line {claim.line}: {about}: {claim.stated} stated, {claim.computed} computed: {claim.verdict}{note}"


def summary(found: Found) -> str:
    """ "319 claims: 226 agree, 65 round, 28 differ; 237 lines passed over"."""
    n = len(found.claims)
    parts = ", ".join(f"{count} {WORDS[verdict][count != 1]}" for verdict, count in found.counts.items())
    over = len(found.skipped)
    return f"{n} claim{'s' * (n != 1)}: {parts}; {over} line{'s' * (over != 1)} passed over"


def _read(file: str) -> tuple[str, str]:
    """(what to call it, its text)."""
    called = "standard input" if file == "-" else file
    if file == "-":
        content = sys.stdin.buffer.read(LONGEST + 1)
    else:
        with Path(file).open("rb") as stream:
            content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise CannotRead(f"Cannot read {called}: it is longer than {LONGEST:,} bytes, which no lecture is.")
    try:
        return called, content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CannotRead(
            f"Cannot read {called}: byte {error.start:,} is no UTF-8 text.",
            "",
            "A PDF or a presentation has to be made text first, for instance: pdftotext -layout lecture.pdf",
        ) from None


def _is_network(text: str) -> bool:
    """In our own notation, which states nothing: what comes out is what it says."""
    from striate.blueprint.notation import read

    with suppress(Refusal):
        return bool(read(text))
    return False


def _of_column(found: Found, column: str | None) -> Found:
    """Only what is claimed of one column of the tables."""
    if column is None:
        return found
    same = lambda name: name.lower().removesuffix("-layer") == column.lower().removesuffix("-layer")  # noqa: E731
    named = tuple(listing for listing in found.listings if listing.column and same(listing.column))
    if not named:
        raise NotFound("column", column, dict.fromkeys(one.column for one in found.listings if one.column))
    return found._replace(listings=named, claims=tuple(claim for listing in named for claim in listing.claims))


def _json(called: str, found: Found, shown: list[Claim]) -> dict[str, Any]:
    networks = [
        {
            "line": one.line,
            "form": one.form,
            "column": one.column or None,
            "input": list(one.volume) if one.volume else None,
            "taken": list(one.notes),
        }
        for one in found.listings
    ]
    return {
        "file": called,
        "claims": [claim._asdict() for claim in shown],
        "networks": networks,
        "counts": found.counts,
        "passed_over": [line._asdict() for line in found.skipped],
    }


def table(called: str, shown: Iterable[Claim]) -> Table:
    """The same for a terminal, in colours."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=called, title_justify="left", box=None, header_style="bold")
    for name in ("line", "of", "what", "stated", "computed", "", ""):
        drawn.add_column(name, justify="right" if name == "line" else "left", overflow="fold")
    for claim in shown:
        cells = [Text(cell) for cell in (str(claim.line), claim.about, claim.kind, claim.stated, claim.computed)]
        drawn.add_row(*cells, Text(claim.verdict, COLOURS[claim.verdict]), Text(claim.note, "dim"))
    return drawn
