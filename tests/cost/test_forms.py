"""What people and programs read: equal blocks together, the JSON's keys, CSV, Markdown, HTML, the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from striate.blueprint import Conv, MaxPool, Relu, Seq, basic_block, draft
from striate.cost import Ledger, Row, ledger
from striate.cost.account import COLUMNS
from striate.cost.blocks import collapsed, deep
from striate.cost.render import FORMATS
from striate.cost.units import memory, share, short, whole

NAMES = ["lenet5", "alexnet", "vgg16", "googlenet(aux=True)", "resnet18", "resnet152"]
SUMMED = ("parameters", "macs", "activation_bytes", "nodes")


@pytest.fixture(scope="module", params=NAMES)
def priced(request: pytest.FixtureRequest) -> Ledger:
    return ledger(request.param)


def sums(rows: list[Row]) -> list[int]:
    return [sum(getattr(row, key) or 0 for row in rows) for key in SUMMED]


def test_few_rows_sum_up_to_what_many_do(priced: Ledger) -> None:
    want = sums(list(priced.rows))
    assert sums(collapsed(priced.rows)) == want
    for depth in (1, 2, 3, 9):
        assert sums(deep(priced.rows, depth)) == want
    assert deep(priced.rows, 9) == list(priced.rows)


def test_equal_blocks_stand_together_under_one_name() -> None:
    rows = collapsed(ledger("resnet152").rows)
    assert {row.name: row.repeats for row in rows if row.repeats > 1} == {
        "layer1.1-2": 2,
        "layer2.1-7": 7,
        "layer3.1-35": 35,
        "layer4.1-2": 2,
    }
    [long] = [row for row in rows if row.repeats == 35]
    assert (long.nodes, long.parameters, long.label) == (350, 35 * 1_117_184, "3 conv, 1 add")
    assert (long.field, long.jump) == ((1291, 1291), (16, 16))  # the last one's
    assert len(rows) < 80


def test_blocks_that_differ_stay_apart() -> None:
    net = Seq(a=Seq(*[basic_block(8)] * 2, basic_block(8, 2), basic_block(8)), b=Seq(Conv(8, 1), Conv(8, 1)))
    named = {row.name: row.repeats for row in collapsed(ledger(net, "8x16x16").rows)}
    assert named["a.0-1"] == 2
    assert named["a.3.sum"] == named["b.0"] == named["b.1"] == 1


def test_depth_goes_by_the_parts_of_names() -> None:
    rows = deep(ledger("resnet18").rows, 1)
    assert [row.name for row in rows] == ["input", "stem", "layer1", "layer2", "layer3", "layer4", "mean", "fc"]
    assert rows[2].output == (64, 56, 56)


def test_the_json_has_the_documented_keys_and_comes_back(priced: Ledger) -> None:
    data = json.loads(FORMATS["json"](priced))
    assert data == priced.to_json()
    assert list(data) == ["network", "input", "batch", "dtype", "rows", "totals"]
    assert list(data["totals"]) == [
        *("parameters", "macs", "flops", "activation_bytes", "weight_bytes", "peak_bytes"),
    ]
    for row in data["rows"]:
        assert list(row) == list(COLUMNS)
        assert list(row) == [
            *("name", "layer", "output", "parameters", "macs", "activation_bytes", "field", "jump", "unread"),
        ]
    training = ledger("lenet5", training=True).to_json()["training"]
    assert list(training) == [
        *("optimizer", "precision", "checkpointing"),
        *("gradient_bytes", "optimizer_bytes", "saved_bytes", "peak_bytes", "peak_at"),
    ]


def test_csv_has_every_row_and_full_numbers(priced: Ledger) -> None:
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](priced))))
    assert [line["name"] for line in lines] == [row.name for row in priced.rows]
    assert sum(int(line["parameters"]) for line in lines) == priced.totals.parameters
    assert sum(int(line["macs"]) for line in lines) == priced.totals.macs
    assert lines[0]["output"] == str(priced.input)


def test_markdown_is_one_table_of_even_lines(priced: Ledger) -> None:
    lines = [line for line in FORMATS["markdown"](priced).splitlines() if line.startswith("|")]
    assert len(lines) == len(collapsed(priced.rows)) + 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {11}
    assert whole(priced.totals.parameters) in lines[-1]


class Page(HTMLParser):
    """Counts what is open, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0
        self.asks: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asks += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href", "srcset")]
        self.rows += tag == "tr"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_one_page_that_fetches_nothing(priced: Ledger) -> None:
    text = FORMATS["html"](priced)
    page = Page()
    page.feed(text)
    assert (page.open, page.asks) == ([], [])
    assert page.rows == len(collapsed(priced.rows)) + 2
    assert "script" not in text
    assert "url(" not in text
    assert whole(priced.totals.macs) in page.text


def test_names_from_outside_are_text_and_nothing_else() -> None:
    net = Seq(**{"<script>alert(1)</script>": Conv(2, 1), "a|b": Relu})
    priced = ledger(net, "1x4x4")
    assert "<script>" not in FORMATS["html"](priced)
    assert r"a\|b" in FORMATS["markdown"](priced)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_terminal_s_lines_are_no_wider_than_it(priced: Ledger, width: int) -> None:
    from rich.console import Console

    from striate.cost.terminal import show

    console = Console(width=width, file=io.StringIO(), highlight=False)
    show(priced, None, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert whole(priced.totals.parameters) in text
    assert ("have no room for" in text) or width >= 80
    assert ("have no room for" not in text) or width <= 100


def test_the_table_says_what_is_left_unread_only_where_something_is() -> None:
    assert "unread" not in str(ledger("resnet18"))
    floored = ledger(draft(Seq(MaxPool(2)), "1x5x5", "floor"))
    assert re.search(r"2×2 max pool /2 .* 1×1$", str(floored), re.M)


@pytest.mark.parametrize(
    ("say", "n", "text"),
    [
        (whole, 61_100_840, "61,100,840"),
        (whole, None, "?"),
        (short, 999, "999"),
        (short, 1_000, "1.00 k"),
        (short, 999_499, "999 k"),
        (short, 999_500, "1.00 M"),
        (short, 4_089_184_256, "4.09 G"),
        (short, 15_470_264_320, "15.5 G"),
        (memory, 1023, "1,023 B"),
        (memory, 1024, "1.00 KiB"),
        (memory, 150_528 * 4, "588 KiB"),
        (memory, 2**20 - 1, "1.00 MiB"),
        (memory, 1023 * 2**20, "1,023 MiB"),
    ],
)
def test_numbers_carry_their_unit(say: Callable[[int | None], str], n: int | None, text: str) -> None:
    assert say(n) == text


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [(0, 9, ""), (1, 1000, "< 1 %"), (1, 2, "50 %"), (999, 1000, "> 99 %"), (9, 9, "100 %"), (None, 9, "")],
)
def test_shares(part: int | None, total: int, text: str) -> None:
    assert share(part, total) == text


@pytest.mark.parametrize("name", ["lenet5", "vgg16", "googlenet", "resnet50"])
def test_ledgers_read_as_they_are_kept(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"ledger-{name}.txt", str(ledger(name, training=True)))
