"""What README shows is what comes out: its Python is run, its commands' output compared."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shown():
    """(command, output) of each `$ striate …` whose output README shows."""
    for block in blocks("console"):
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if output.strip() and command.startswith("striate"):
                yield command, output


def test_sessions_are_as_shown():
    for block in blocks("pycon"):
        case = doctest.DocTestParser().get_doctest(block, {}, "README", "README.md", 0)
        results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(case)
        assert results.attempted > 2
        assert results.failed == 0


@pytest.mark.parametrize(("command", "output"), list(shown()))
def test_output_is_as_shown(command, output):
    argv = [sys.executable, "-m", "striate", *command.split()[1:]]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert output.strip() in ran.stdout


def test_the_python_example_runs():
    [block] = blocks("python")
    names = {}
    exec(block, names)
    assert names["network"](__import__("torch").zeros(2, 3, 128, 128)).shape == (2, 10)
    assert names["costs"].totals.parameters == names["graph"].parameters
