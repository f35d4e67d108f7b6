"""A verb's three streams may be closed, cut off or full; each is a plain outcome and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STRIATE = f"'{Path(sys.executable).with_name('striate')}'"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line.replace("striate", STRIATE)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("striate models vgg16 >&-", 0, ""),
        ("striate models vgg16 <&-", 0, ""),
        ("striate models nosuch 2>&-", 2, ""),
        ("striate ledger - <&-", 2, "there is no layer in this text"),
        ("striate check - <&-", 2, "no line of it describes a network"),
    ],
)
def test_a_closed_stream_is_an_empty_one(line: str, code: int, said: str) -> None:
    done = shell(line)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_whoever_has_read_enough_may_leave() -> None:
    done = shell("striate ledger resnet152 --full | head -1")
    assert done.stdout.startswith("resnet152 on 3×224×224")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_a_refusal() -> None:
    done = shell("striate ledger vgg16 > /dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "Cannot use the output: no space left on device. Make room there, or write to another disk.\n",
    )
