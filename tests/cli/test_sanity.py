"""`striate sanity` as it is typed: what it says, what a script reads, what it draws, and its exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from striate.cli import verbs
from striate.training.events import LayerFlow

NET = "conv: conv 8 3x3\nact: relu\nfc: linear 10\n"
SIGMOIDS = "linear 8\nsigmoid\n" * 20 + "linear 10\n"


def striate(*arguments: object) -> Result:
    return CliRunner().invoke(verbs, [str(argument) for argument in arguments])


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "mine.txt").write_text(NET)
    return tmp_path / "mine.txt"


def test_a_network_that_is_sane(net: Path, tmp_path: Path) -> None:
    done = striate("sanity", net, "--set", "threads=1", "--plot", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "mine.txt on digits, recipe default"
    assert re.fullmatch(r"first loss     2\.\d{3}, chance is 2\.303", lines[1])
    assert re.fullmatch(r"one batch      32 images, learnt by heart in \d+ steps: loss 0\.\d{3}", lines[2])
    assert re.match(r"learning rate  falls fastest at 0\.\d+, least at 0?\.?\d+", lines[3])
    assert lines[6].split() == ["layer", "mean", "deviation", "weight", "gradient", "update/weight", "dead"]
    assert [line.split()[0] for line in lines[7:10]] == ["conv", "act", "fc"]
    assert lines[11] == "sane"
    assert min(Image.open(tmp_path / "a.png").size) > 900


def test_batches_of_one_are_looked_at_on_more_and_it_is_said(net: Path) -> None:
    few = ("--set", "threads=1", "--set", "batch_size=1", "--set", "optimizer=sgd")
    lines = striate("sanity", net, *few, "--steps", 10).stdout.splitlines()
    assert lines[1] == ("batches of 32 in place of 1, at 32 times the learning rate: of so few images all is chance")
    assert "flow over 10 steps, the rate rising to 0.096" in lines


def test_what_is_wrong_is_named_and_the_exit_code_is_1(tmp_path: Path) -> None:
    (tmp_path / "deep.txt").write_text(SIGMOIDS)
    done = striate("sanity", tmp_path / "deep.txt", "--steps", 10, "--set", "threads=1")
    assert done.exit_code == 1
    assert not done.stderr
    said = done.stdout.partition(" alarms:\n")[2]
    assert "  0: the gradient vanishes: its gradient is " in said
    assert re.search(r"So it is with \d+ more layers: 6, 8, ", said)
    assert "one batch of 32 images is not learnt by heart" in said


def test_json_is_one_table_with_everything(net: Path) -> None:
    done = striate("sanity", net, "--json", "--steps", 10, "--set", "threads=1", "--set", "lr=1e-9")
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert said["sane"] is False
    assert {"start", "overfit", "rates", "flow", "alarms"} <= said.keys()
    assert [(a["kind"], a["layer"]) for a in said["alarms"] if a["kind"] == "slow"] == [
        ("slow", "conv"),
        ("slow", "fc"),
    ]
    assert {row["name"] for row in said["flow"]["layers"]} == {"conv", "act", "fc"}


def test_a_picture_is_refused_before_all_the_work_and_its_folder_is_made(net: Path, tmp_path: Path) -> None:
    refused = striate("sanity", net, "--plot", "/proc/no/a.png")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "Cannot write /proc/no: no such file or directory.\n    Choose another place.\n"
    done = striate("sanity", net, "--steps", 10, "--set", "threads=1", "--plot", tmp_path / "new" / "a.png")
    assert done.stdout.endswith(f"{tmp_path}/new/a.png: drawn\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lenet55"], 'No network "lenet55". Near: lenet5'),
        (["lenet5", "--set", "learning_rate=1"], 'No field of a recipe "learning_rate".'),
        (["lenet5", "--plot", "a.pdf"], "Cannot draw into a.pdf: it is drawn as .png."),
        (["lenet5", "--steps", "3"], "Cannot read --steps: 3 is not from 10 to 10,000."),
    ],
)
def test_refusals(arguments: list[str], says: str) -> None:
    done = striate("sanity", *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(says)
    assert done.stdout == ""


def test_the_table_is_aligned_and_says_what_is_not_a_number() -> None:
    from striate.cli.sanity import table

    rows = [
        LayerFlow("conv", 0.5, float("inf"), 3.0, float("nan"), None, None),
        LayerFlow("a.long.name", 0.5, 1.0, None, None, None, 1.0),
    ]
    assert table(rows) == [
        "layer        mean   deviation  weight    gradient  update/weight  dead",
        "conv          0.5  not finite       3  not finite",
        "a.long.name   0.5           1                                     100%",
    ]


def test_help(golden: Callable[[str, str], None]) -> None:
    golden("help-sanity.txt", striate("sanity", "--help").stdout)
