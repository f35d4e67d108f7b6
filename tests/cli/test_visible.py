"""Names out of files of others do not steer the terminal they are printed on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from striate.blueprint import Linear, Seq
from striate.blueprint.said import visible
from striate.cli import verbs
from striate.data import Preprocessing
from striate.nn import build, save

STEERS = "\x1b]0;mine\x07"  # sets a terminal's title
ALSO = "\x9b2J\u202e\n\x7f"  # clears it; turns what follows round; begins a line; deletes


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model file, a picture and a folder of data, all named so."""
    net = build(Seq(**{f"fc{STEERS}": Linear(2)}), "1x4x4")
    rule = replace(Preprocessing.fitting(1, (4, 4), (4, 4)), mean=(0.5,), std=(0.5,)).to_json()
    save(net, tmp_path / f"m{STEERS}.safetensors", classes=[f"a{STEERS}", f"b{ALSO}"], preprocessing=rule)
    for name in (f"a{STEERS}", f"b{ALSO}"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (4, 4), i).save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "photos" / f"a{STEERS}" / f"broken{STEERS}.png").write_text("no")
    return tmp_path


@pytest.mark.parametrize(
    "verb",
    [
        ["predict", "{model}", "{images}/0.png", "{images}/broken{steers}.png"],
        ["predict", "{model}", "{images}/0.png", "--json"],
        ["eval", "{model}", "--data", "{data}", "--confusion"],
        ["eval", "{model}", "--data", "{data}", "--json"],
        ["train", "{model}", "--data", "{data}", "--epochs", "1", "--out", "{data}/../run{steers}"],
        ["ledger", "{model}"],
        ["ledger", "no{steers}such.txt"],
        ["data", "{data}"],
    ],
    ids=lambda verb: " ".join(verb),
)
def test_no_verb_prints_them_raw(verb: list[str], hostile: Path) -> None:
    model, data = hostile / f"m{STEERS}.safetensors", hostile / "photos"
    given = [part.format(model=model, data=data, images=data / f"a{STEERS}", steers=STEERS) for part in verb]
    done = CliRunner().invoke(verbs, given)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x7f"} & set(done.output), done.output
    assert "\\u001b]0;mine\\u0007" in done.output
    if "predict" in verb and "--json" in verb:  # a script still gets the label itself
        assert {each["label"] for each in json.loads(done.stdout)["classes"]} == {f"a{STEERS}", f"b{ALSO}"}


def test_what_is_seen_stays() -> None:
    assert visible("3×224×224, Größe 100 %, 猫") == "3×224×224, Größe 100 %, 猫"
    assert visible("a\nb", but="\n") == "a\nb"
    odd = STEERS + "\U000e0001\udcff"
    assert json.loads(f'"{visible(odd)}"') == odd
