"""The command line says what there is, and says no in sentences: code 2, on stderr, without a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from striate import cli
from striate.blueprint.refusal import Refusal


def striate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "striate", *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`probe(body, *arguments)` runs a verb `probe` with that body through the real group."""

    def run(body: Callable[[], object], *arguments: str) -> Result:
        @click.command()
        @click.argument("net")
        @click.option("--batch", type=click.IntRange(min=1))
        @click.option("--dtype", type=click.Choice(["float32", "bfloat16"]))
        def command(**_: object) -> object:
            return body()

        monkeypatch.setitem(cli.VERBS, "probe", "Try the command line itself.")
        monkeypatch.setitem(sys.modules, "striate.cli.probe", SimpleNamespace(command=command))  # type: ignore[arg-type]
        return CliRunner().invoke(cli.verbs, ["probe", *arguments])

    return run


def throw(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


def test_no_arguments_is_the_help_with_worked_examples(golden: Callable[[str, str], None]) -> None:
    bare, asked = striate(), striate("--help")
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == asked.stdout
    golden("help.txt", bare.stdout)


def test_every_example_of_the_help_is_a_verb_of_the_table() -> None:
    examples = [line.split("striate ")[1].split()[0] for line in cli.EXAMPLES.splitlines() if "striate " in line]
    assert 6 <= len(examples) - 1 <= 8
    assert set(examples) <= {*cli.VERBS, "VERB"}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_verb_explains_itself_with_examples(verb: str) -> None:
    done = striate(verb, "--help")
    assert done.returncode == 0, done.stderr
    examples = done.stdout.partition("Examples")[2]
    assert f"striate {verb}" in examples


def test_version_loads_next_to_nothing() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "striate", "--version"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("striate ")
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in ran.stderr.splitlines()}
    assert not loaded & {"rich", "torch", "numpy", "matplotlib", "pydantic", "PIL", "sklearn"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["leger"], 'No verb "leger". Near: ledger. All of them: striate --help\n'),
        (["zzz"], 'No verb "zzz". All of them: striate --help\n'),
        (["--verson"], 'No option "--verson". Near: --version. All of them: striate --help\n'),
    ],
)
def test_a_slip_is_met_with_what_is_near(arguments: list[str], says: str) -> None:
    done = striate(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "striate probe needs NET."),
        (["a", "b"], "striate probe: got unexpected extra argument (b)."),
        (["a", "--batch", "two"], "Cannot read --batch: 'two' is not a whole number."),
        (["a", "--batch", "0"], "Cannot read --batch: 0 is not 1 or more."),
        (["a", "--dtype", "int"], "Cannot read --dtype: 'int' is not one of 'float32', 'bfloat16'."),
        (["a", "--batch"], "striate probe: option '--batch' requires an argument."),
        (["a", "--bacth", "2"], 'No option "--bacth". Near: --batch. All of them: striate probe --help'),
    ],
)
def test_a_command_line_that_does_not_read(probe: Callable[..., Result], arguments: list[str], says: str) -> None:
    result = probe(lambda: None, *arguments)
    rest = "" if "All of them" in says else " What it takes, with examples: striate probe --help"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{says}{rest}\n")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            Refusal("Cannot place conv1.", "the sum", "What fits."),
            2,
            "Cannot place conv1.\n    the sum\n    What fits.\n",
        ),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), 2, "Cannot use a.png: no space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "Cannot use runs: permission denied. Choose "),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "runs"), 2, "Cannot use runs: is a directory.\n"),
        (SystemExit(1), 1, ""),
    ],
)
def test_what_a_verb_raises(probe: Callable[..., Result], error: BaseException, code: int, says: str) -> None:
    result = probe(throw(error), "net")
    assert result.exit_code == code
    assert result.stderr.lstrip("\n").startswith(says)
    assert "Traceback" not in result.stderr


def test_our_own_fault_keeps_its_traceback(probe: Callable[..., Result]) -> None:
    fault = ZeroDivisionError("ours")
    assert probe(throw(fault), "net").exception is fault


PRINTS = """
import sys, types, click
from striate import cli
cli.VERBS["probe"] = "Print, and leave it in the buffer."
command = click.Command("probe", callback=lambda: print("a row"))
sys.modules["striate.cli.probe"] = types.SimpleNamespace(command=command)
sys.argv = ["striate", "probe"]
cli.main()
"""
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
WAYS_TO_PRINT = pytest.mark.parametrize("python", [["-m", "striate", "--help"], ["-c", PRINTS]], ids=["echo", "print"])


@WAYS_TO_PRINT
def test_a_full_disk_behind_the_output_is_said_once(python: list[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, *python], stdout=full, stderr=subprocess.PIPE, text=True, env=BUFFERED)
    assert done.returncode == 2
    assert done.stderr == "Cannot use the output: no space left on device. Make room there, or write to another disk.\n"


@WAYS_TO_PRINT
def test_a_reader_who_leaves_early_is_no_news(python: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, *python], stdout=write, stderr=subprocess.PIPE, text=True, env=BUFFERED)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_terminal_without_the_signs_gets_question_marks() -> None:
    code = "from striate import cli; cli.verbs.main = lambda **_: print('3×224×224'); cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stdout) == (0, b"3?224?224\n")
