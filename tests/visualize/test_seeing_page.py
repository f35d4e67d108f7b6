"""docs/seeing.md says of each thing that can be shown what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from striate.visualize.attribution import METHODS
from striate.visualize.views import VIEWS

PAGE = Path(__file__).parents[2] / "docs" / "seeing.md"


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


TABLES = {
    "views": [
        row("`--show`", "what it is", "how to read it", "from"),
        row(*["---"] * 4),
        *(row(f"`{name}`", kind.shows, kind.read, kind.source) for name, kind in VIEWS.items()),
    ],
    "methods": [
        row("`--method`", "what its numbers are", "from"),
        row(*["---"] * 3),
        *(row(f"`{name}`", method.meaning, method.source) for name, method in METHODS.items()),
    ],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_programs_tables(name: str, request: pytest.FixtureRequest) -> None:
    page, table = PAGE.read_text(encoding="utf-8"), "\n".join(TABLES[name])
    between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
    assert between.search(page)
    wanted = between.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page)
    if request.config.getoption("--accept"):
        PAGE.write_text(wanted, encoding="utf-8")
    else:
        assert page == wanted, "docs/seeing.md: make accept writes its tables"
