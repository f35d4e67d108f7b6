"""`striate check` as it is typed: its lines, its exit codes, its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SLIDE = """\
Input volume: **32x32x3**
10 5x5 filters with stride 1, pad 2
Output volume size: $(32+2*2-5)/1+1 = 32$ spatially, so
32x32x10
what a nice day
Number of parameters in this layer?
=> 76*10 = 750
"""

TABLE = """\
ConvNet Configuration
A\tB
8 weight layers\t3 weight layers
conv3-8\tconv3-8
\tconv3-4
maxpool
FC-10
"""


def striate(*arguments: str, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
    given = text.encode() if isinstance(text, str) else text
    command = [sys.executable, "-m", "striate", "check", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_each_claim_is_a_line_and_a_summary_ends_it(tmp_path: Path) -> None:
    (tmp_path / "slide.txt").write_text(SLIDE, encoding="utf-8")
    done = striate(str(tmp_path / "slide.txt"), "--skipped")
    assert done.stdout.splitlines() == [
        "line 3: arithmetic: (32+2*2-5)/1+1 = 32 stated, 32 computed: agrees",
        "line 4: conv volume: 32x32x10 stated, 32x32x10 computed: agrees",
        "line 7: conv parameters: 76*10 = 750 stated, 760 computed: differs (with biases)",
        "line 5: passed over: what a nice day",
        "3 claims: 2 agree, 0 round, 1 differs; 1 line passed over",
    ]
    assert (done.returncode, done.stderr) == (1, "")


def test_nothing_differs_and_the_exit_code_is_0() -> None:
    done = striate("-", text=SLIDE.replace("750", "760"))
    assert done.returncode == 0
    assert done.stdout.endswith("3 claims: 3 agree, 0 round, 0 differ; 1 line passed over\n")


@pytest.mark.parametrize(
    "text", ["input 1x32x32\nconv 6 5x5\nrelu\nmaxpool 2x2\nlinear 10\n", "input 1x8x8; conv 2 3x3"]
)
def test_a_network_that_states_nothing_is_told_so(text: str) -> None:
    done = striate("-", text=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("standard input describes a network and states nothing of it that could be checked")
    assert json.loads(striate("-", "--json", text=text).stdout)["claims"] == []


def test_only_what_differs() -> None:
    done = striate("-", "--differs", text=SLIDE)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["line 7", "3 claims"]
    assert done.returncode == 1


def test_json_for_scripts() -> None:
    done = striate("-", "--json", text=SLIDE)
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert said["counts"] == {"agrees": 2, "rounds to": 0, "differs": 1}
    assert said["claims"][-1] == {
        "line": 7,
        "about": "conv",
        "kind": "parameters",
        "stated": "76*10 = 750",
        "computed": "760",
        "verdict": "differs",
        "note": "with biases",
    }
    assert said["networks"][0]["input"] == [3, 32, 32]
    assert said["passed_over"] == [{"line": 5, "text": "what a nice day"}]


def test_one_column_of_a_table() -> None:
    done = striate("-", "--column", "b", text=TABLE)
    assert done.stdout.startswith("line 3: column B weight layers: 3 stated, 3 computed: agrees\n1 claim:")
    assert striate("-", "--column", "A", text=TABLE).returncode == 1
    missing = striate("-", "--column", "F", text=TABLE)
    assert (missing.returncode, missing.stderr) == (2, 'No column "F". Known: A, B.\n')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Cannot check standard input: no line of it describes a network or states a sum."),
        ("A deck about cats.\n", "Cannot check standard input: no line of it describes"),
        (
            "[8x8x3] INPUT\n[8x8x4] CONV1: 4 3y3 filters\n",
            "Cannot read line 2, column 16: this does not say what conv1 is.",
        ),
        (b"%PDF-1.4 \xff\xfe", "Cannot read standard input: byte 9 is no UTF-8 text."),
        ("1+1=2\n" * 800_000, "Cannot read standard input: it is longer than 4,194,304 bytes"),
        ("[1000000000x3x3] INPUT\n[1x1x1] CONV1: 5 1x1 filters", "Cannot read line 1, column 1: "),
    ],
)
def test_what_cannot_be_read_is_refused(text: str | bytes, says: str) -> None:
    done = striate("-", text=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there() -> None:
    done = striate("no such file.txt")
    assert (done.returncode, done.stderr) == (2, "Cannot use no such file.txt: no such file or directory.\n")


def test_a_whole_deck(shared: Path) -> None:
    deck = next(iter(sorted((shared.parent / "lectures").glob("004*.txt"))), None)
    if deck is None:
        pytest.skip("needs the lectures in ../shared/lectures")
    done = striate(str(deck), "--differs")
    assert done.returncode == 1
    assert "line 974: total memory: 24M stated, 15,237,608 (15.24M) computed: differs" in done.stdout
    assert "line 1003: convolution1 parameters: 2.7K stated" in done.stdout


def test_the_ledger_takes_one_network_of_a_listing_too() -> None:
    def parameters(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "striate", "ledger", *arguments, "--input", "3x32x32", "--json"]
        done = subprocess.run(command, input=TABLE, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr or json.loads(done.stdout)["totals"]["parameters"]

    assert parameters("-", "--column", "B") == (0, 3 * 9 * 8 + 8 + 8 * 9 * 4 + 4 + 4 * 16 * 16 * 10 + 10)
    assert parameters("-") == (2, "Cannot choose among 2 columns: A, B.\n    Name one, for instance: --column A\n")
    pattern = "[(CONV-RELU)*N-POOL]*M-FC"
    code, said = parameters(pattern)
    assert (code, "--set N=2 --set M=3" in said) == (2, True)
    sizes = ["--set", "CHANNELS=4", "--set", "CLASSES=10"]
    assert parameters(pattern, "--set", "N=1", "--set", "M=1", *sizes) == (0, 3 * 9 * 4 + 4 + 4 * 16 * 16 * 10 + 10)
    assert parameters(pattern, "--set", "N")[0] == 2


def test_on_a_terminal_it_is_a_table() -> None:
    from io import StringIO

    from rich.console import Console

    from striate.blueprint.notation.listing import check
    from striate.cli.check import table

    out = StringIO()
    Console(file=out, width=160, force_terminal=True).print(table("slide.txt", check(SLIDE).claims))
    lines = out.getvalue().splitlines()
    assert "76*10 = 750" in lines[-1]
    assert "\x1b[1;31mdiffers" in lines[-1]
