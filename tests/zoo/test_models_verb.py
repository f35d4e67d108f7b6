"""`striate models`: a table to read, JSON for a script, at once."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from striate.cli import verbs
from striate.cli.models import on_terminal
from striate.zoo import NETWORKS, match


def models(*arguments: str) -> Result:
    return CliRunner().invoke(verbs, ["models", *arguments])


def test_a_line_for_each_network() -> None:
    head, *lines = models().stdout.splitlines()
    assert head.split() == ["name", "parameters", "MACs", "input", "year", "top-1"]
    assert [line.split()[0] for line in lines] == list(NETWORKS)
    [line] = [line for line in lines if line.startswith("resnet50 ")]
    assert line.split() == ["resnet50", "25,557,032", "4.089", "G", "3×224×224", "2015", "76.1"]
    assert len({line.index("×", 20) for line in lines if "3×224×224" in line}) == 1  # columns are columns


def test_patterns() -> None:
    assert [line.split()[0] for line in models("*net18", "vgg_c").stdout.splitlines()[1:]] == ["vgg_c", "resnet18"]


def test_json_says_where_each_number_is_from() -> None:
    told = json.loads(models("--json").stdout)
    assert [network["name"] for network in told] == list(NETWORKS)
    [vgg] = [network for network in told if network["name"] == "vgg16"]
    assert vgg["input"] == [3, 224, 224]
    assert (vgg["parameters"], vgg["macs"], vgg["year"]) == (138_357_544, 15_470_264_320, 2014)
    assert (vgg["top1"], vgg["top5"]) == (71.592, 90.382)
    assert "arXiv 1409.1556" in vgg["paper"]
    assert "ImageNet-2012 validation" in vgg["measured"]


@pytest.mark.parametrize("name", ["vgg61", "*vgg61*"])
def test_a_misspelt_name(name: str) -> None:
    done = models(name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f'No network "{name}". Near: vgg19, vgg16, vgg13. All of them: striate models\n'


def test_on_a_terminal_nothing_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    on_terminal(match(["lenet*"]))
    told = capsys.readouterr().out
    assert "lenet5_paper" in told
    assert "60,000" in told
    assert "…" not in told


def test_the_whole_process_starts_at_once() -> None:
    def seconds() -> float:
        """Of the processor's time: a busy machine is not our fault."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "striate", "models"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3
