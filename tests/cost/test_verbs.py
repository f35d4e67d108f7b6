"""`striate ledger` and `striate compare` as a user runs them: real processes, real files, and how they say no."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.cost import ledger


def striate(*arguments: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "striate", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd=cwd)


def test_a_zoo_name_off_a_terminal_is_the_plain_table() -> None:
    done = striate("ledger", "resnet18")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{ledger('resnet18')}\n"
    assert "\x1b" not in done.stdout


def test_on_a_terminal_there_are_colours_and_the_same_totals() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "striate", "ledger", "vgg16"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    done = subprocess.Popen(command, stdout=follower, env=environment)
    os.close(follower)
    text = b""
    while True:
        try:
            text += os.read(leader, 65536)
        except OSError:  # the other end has closed
            break
    assert done.wait(60) == 0
    assert b"\x1b[" in text
    assert b"138,357,544" in text


@pytest.mark.parametrize("options", [(), ("--batch", "4"), ("--dtype", "int8"), ("--input", "3x256x256")])
def test_the_options_are_the_function_s(options: tuple[str, ...]) -> None:
    words = {"--batch": ("batch", int), "--dtype": ("dtype", str), "--input": ("volume", str)}
    said = {words[key][0]: words[key][1](value) for key, value in zip(options[::2], options[1::2], strict=True)}
    assert json.loads(striate("ledger", "resnet18", "--json", *options).stdout) == ledger("resnet18", **said).to_json()


def test_training_and_depth() -> None:
    done = json.loads(
        striate("ledger", "resnet18", "--training", "--optimizer", "adamw", "--depth", "1", "--json").stdout
    )
    want = ledger("resnet18", training=True, optimizer="adamw")
    assert done["training"] == want.to_json()["training"]
    assert len(done["rows"]) == 8
    assert sum(row["parameters"] for row in done["rows"]) == want.totals.parameters


def test_a_pattern_from_a_pipe() -> None:
    done = striate("ledger", "-", "--input", "3x32x32", "--json", stdin="[(CONV-RELU)*2-POOL]*3-FC,SOFTMAX\n")
    assert done.returncode == 0, done.stderr
    layers = [row["layer"].partition("(")[0] for row in json.loads(done.stdout)["rows"]]
    assert layers == ["input", *(["Conv", "Activation"] * 2 + ["MaxPool"]) * 3, "Linear", "Activation"]


def test_a_listing_in_a_file_and_what_was_passed_over(tmp_path: Path) -> None:
    lines = "The first volume is an image.\nINPUT: [32x32x3]\nCONV: 10 5x5 filters at stride 1, pad 2\nFC: 10 neurons\n"
    (tmp_path / "net.txt").write_text(lines)
    done = striate("ledger", "net.txt", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["output"] for row in rows if row["layer"].startswith("Conv")] == [[10, 32, 32]]
    assert [row["parameters"] for row in rows if row["layer"].startswith("Conv")] == [760]


def test_a_model_file_is_read_without_its_weights_and_without_torch(tmp_path: Path) -> None:
    from striate.blueprint import graph_to_json

    graph = ledger("lenet5").graph
    description = json.dumps({"graph": graph_to_json(graph)})
    header = json.dumps({"__metadata__": {"striate": description}}).encode()
    content = len(header).to_bytes(8, "little") + header
    (tmp_path / "m.safetensors").write_bytes(content)
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "model.safetensors").write_bytes(content)
    done = striate("ledger", "m.safetensors", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["parameters"] == 61_706
    done = striate("compare", "first", "second/", "second/model.safetensors", "m.safetensors", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    named = [entry["network"] for entry in json.loads(done.stdout)["networks"]]
    assert named == ["first", "second", "second", "m.safetensors"]


def test_a_name_of_the_zoo_is_the_zoo_s_even_beside_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "lenet5").write_text("input 1x8x8; conv 2 3x3")
    assert "61,706" in striate("ledger", "lenet5", cwd=tmp_path).stdout
    assert "61,706" not in striate("ledger", "./lenet5", cwd=tmp_path).stdout


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "html"])
def test_out_writes_the_same_whole(tmp_path: Path, form: str) -> None:
    done = striate("ledger", "lenet5", "--format", form, "--out", "l", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Written: l\n")
    assert (tmp_path / "l").read_text() == striate("ledger", "lenet5", "--format", form).stdout


def test_compare_with_a_pattern_and_a_picture(tmp_path: Path) -> None:
    done = striate("compare", "vgg1?", "googlenet", "--plot", "c.png", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "Drawn: c.png\n")
    data = json.loads(done.stdout)
    assert [entry["network"] for entry in data["networks"]] == ["vgg11", "vgg13", "vgg16", "vgg19", "googlenet"]
    assert {key for ratio in data["ratios"] for key in ratio} == {"what", "network", "than", "ratio"}
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


BAD: list[tuple[list[str], str]] = [
    (["ledger", "resnet5O"], 'No network "resnet5O". Near: resnet50'),
    (["ledger", "vgg16(depth=3)"], 'No option of vgg16 "depth"'),
    (["ledger", "nope.txt"], "Cannot read nope.txt: no such file or directory."),
    (["ledger", "nope.safetensors"], "Cannot read nope.safetensors: "),
    (["ledger", "short.safetensors"], "Cannot read short.safetensors: "),
    (["ledger", "pickle.safetensors"], "it is a pickle"),
    (["ledger", "pickle.txt"], "Cannot read pickle.txt: byte 0 is no UTF-8"),
    (["ledger", "bad.json"], "Cannot read bad.json: it is not JSON (line 1, column 10)."),
    (["ledger", "other.json"], "Cannot read a blueprint from"),
    (["ledger", "deep.json"], "Cannot read"),
    (["ledger", "./"], "Cannot read .: it is a folder, and no model.safetensors is in it."),
    (["ledger", "vgg16", "--input", "3x225x225"], "Cannot place stage1.pool: MaxPool(2) on 64×225×225"),
    (["ledger", "vgg16", "--input", "3x0x5"], "must be from 1 to"),
    (["ledger", "vgg16", "--input", "3x1000000000x5"], "must be from 1 to"),
    (["ledger", "vgg16", "--input", "big"], 'Cannot read a volume from "big".'),
    (["ledger", "vgg16(classes=1000000000)"], "out_features is 1000000000; it must be from 1 to 100,000,000."),
    (["ledger", "vgg16", "--batch", "0"], "Cannot read --batch: 0 is not from 1 to 100,000,000."),
    (["ledger", "vgg16", "--depth", "0"], "Cannot read --depth: 0 is not 1 or more."),
    (["ledger", "vgg16", "--input", "0x3x3"], "its number of channels is 0; it must be from 1 to"),
    (["ledger", "nodir/x.md"], "There is no folder nodir. A network of the zoo is named without one: striate models"),
    (["ledger", "lines.txt"], "on 6×28×28\n    line 3: c2: conv 16 5x5 stride 2\n    (28 - 5)/2 + 1"),
    (["ledger", "con.txt"], "Near: conv.txt"),
    (["ledger", "resnet50("], "its bracket is not closed.\n    Written: resnet50()"),
    (["ledger", "resnet50(classes=3"], "Written: resnet50(classes=3)"),
    (["ledger", "vgg16", "--dtype", "int4"], "Cannot read --dtype"),
    (["ledger", "vgg16", "--training", "--dtype", "int8"], "Cannot train in int8"),
    (["ledger", "alexnet", "--set", "N=2"], "Cannot use --set N=2 with alexnet: it is one network"),
    (["ledger", "alexnet", "--column", "D"], "Its own options are said in a call: alexnet(classes=1000"),
    (["ledger", "conv.txt", "--column", "D"], "Cannot use --column D with this text: it is one network"),
    (["ledger", "model.json", "--set", "N=2"], "Cannot use --set N=2 with model.json: it is one network"),
    (["ledger", "alexnet", "--optimizer", "adam"], "Cannot price optimizer without training: it is of its step."),
    (["ledger", "alexnet", "--precision", "bf16", "--checkpointing"], "Cannot price precision and checkpointing with"),
    (["ledger", "vgg16", "--out", "no/such/file"], "Cannot write no/such/file: no such file or directory."),
    (["ledger", "slip.txt", "--input", "1x8x8"], "line 2, column 1"),
    (["ledger", "conv.txt"], "Cannot price conv.txt without its input"),
    (["compare", "vgg16"], "Cannot compare fewer than two networks."),
    (["compare"], "needs"),
    (["compare", "vgg16", "vgg1*9x"], 'No network "vgg1*9x"'),
    (["compare", "vgg16", "alexnet", "--plot", "a.jpeg"], "its name must end in one of .png, .svg, .pdf"),
    (["compare", "vgg16", "alexnet", "--plot", "no/a.png"], "Cannot write no/a.png: no such file or directory."),
    (["compare", "lenet5", "lenet5", "--plot", "a.png"], "no accuracy is published"),
]


@pytest.mark.parametrize(
    ("arguments", "says"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_met_with_a_fact_and_code_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    files = {
        "short.safetensors": b"\xff\xff\x00\x00\x00\x00\x00\x00{}",
        "pickle.safetensors": b"\x80\x04K\x01.",
        "pickle.txt": b"\x80\x04K\x01.",
        "bad.json": b'{"Conv": ',
        "other.json": b"[1, 2]",
        "deep.json": b"[" * 100_000,
        "slip.txt": b"conv 6 5x5\nmaxpoool 2",
        "conv.txt": b"conv 6 5x5",
        "lines.txt": b"input 1x32x32\nc1: conv 6 5x5\nc2: conv 16 5x5 stride 2\nlinear 10\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = striate(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == sorted(files)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "{}"],
        ["ledger", "vgg16({}=3)"],
        ["ledger", "{}.txt"],
        ["ledger", "alexnet", "--input", "{}"],
        ["ledger", "alexnet", "--batch", "{}"],
        ["ledger", "alexnet", "--set", "{}"],
        ["ledger", "alexnet", "--{}"],
        ["check", "{}"],
        ["{}"],
    ],
    ids=" ".join,
)
def test_what_is_very_long_is_not_echoed(arguments: list[str]) -> None:
    for much in ("x" * 100_000, "x y " * 25_000):
        done = striate(*(argument.format(much) for argument in arguments))
        assert (done.returncode, done.stdout) == (2, "")
        assert 0 < len(done.stderr) < 3_000
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "verb", [["ledger", "resnet152"], ["ledger", "vgg16", "--format", "html"], ["compare", "vgg16", "alexnet"]]
)
def test_no_verb_of_cost_loads_what_it_does_not_need(verb: list[str]) -> None:
    code = f"""
import sys
from striate.cli import verbs
try: verbs.main({verb!r})
except SystemExit as end: assert not end.code
heavy = {{'torch', 'numpy', 'rich', 'lark', 'matplotlib', 'pydantic', 'PIL'}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_reads_as_it_is_kept(golden: Callable[[str, str], None]) -> None:
    golden("help-ledger.txt", striate("ledger", "--help").stdout)
    golden("help-compare.txt", striate("compare", "--help").stdout)
