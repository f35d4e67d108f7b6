"""What a verb shows where a terminal is narrow, or wants no colours: no number is ever cut."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = (
    ("models", "vgg*", "*_large"),
    ("ledger", "lenet5"),
    ("compare", "alexnet", "vgg16", "mobilenet_v3_large"),
    ("check", "-"),
)


def seen(*arguments: str, columns: int, **environment: str) -> str:
    """What a terminal of that width is sent."""
    leader, follower = pty.openpty()
    given = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
    command = [sys.executable, "-m", "striate", *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=follower, stderr=subprocess.STDOUT, env=given)
    os.close(follower)
    assert child.stdin
    child.stdin.write(b"conv3-64 maxpool FC-10\n(3*3*3)*64 = 1728\n")
    child.stdin.close()
    text = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end has closed
            break
        if not part:
            break
        text += part
    os.close(leader)
    assert child.wait(60) == 0, text
    return text.decode()


@pytest.mark.parametrize("columns", [36, 40, 80])
@pytest.mark.parametrize("verb", VERBS[:3], ids=lambda verb: verb[0])
def test_a_table_is_as_wide_as_its_terminal_and_its_numbers_are_whole(verb: tuple[str, ...], columns: int) -> None:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", seen(*verb, columns=columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert not re.search(r"\d…|\d[,.]$", "\n".join(line for line in lines if "  " in line))
    wanted = {"models": "138,357,544", "ledger": "48,120", "compare": "138,357,544"}[verb[0]]
    assert any(wanted in line for line in lines)
    if columns < 60:
        assert f"{columns} columns have no room for" in " ".join(lines)


def test_a_name_is_whole_where_there_is_room_for_it() -> None:
    assert "mobilenet_v3_large" in seen("models", "*_large", columns=80)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_no_color_is_no_escape_code(verb: tuple[str, ...]) -> None:
    assert "\x1b" not in seen(*verb, columns=80, NO_COLOR="1")
    assert ("\x1b[" in seen(*verb, columns=80)) is (verb[0] != "compare")  # whose table is plain text


@pytest.mark.parametrize("columns", [48, 80, 120])
def test_the_bar_of_a_training_leaves_out_what_it_has_no_room_for(columns: int, tmp_path: Path) -> None:
    words = ("train", "lenet5", "--epochs", "2", "--set", "threads=1", "--out", str(tmp_path / "run"))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen(*words, columns=columns))
    bars = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.startswith("epoch 2/2")]
    assert bars
    assert max(map(len, bars)) <= columns
    times = re.findall(r"\d+:\d\d:\d\d", bars[-1])
    assert bars[-1].endswith(f"left {times[-1]}")
    assert len(times) == 1 + (columns == 120)
    assert ("images/s" in bars[-1], "held out" in bars[-1]) == (columns >= 80, columns >= 80)
    assert not any("…" in bar for bar in bars)
