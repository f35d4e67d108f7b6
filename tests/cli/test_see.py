"""`striate see` as it is typed: LeNet-5 and real digits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import striate as face
from striate.cli import see, see_report
from striate.visualize.views import VIEWS
from typed import LENET, files
from typed import see as striate

GIVEN = {  # what a view needs or takes, as it is typed
    "image": ["7.png"],
    "data": ["--data", "digits", "--images", "24"],
    "points": ["--points", "3"],
    "like": ["--like", "4.png"],
    "along": ["--along", "way"],
    "boxes": ["--boxes", "boxes"],
}


def test_a_page_in_words_as_json_and_as_a_picture(here: Path) -> None:
    done = striate(LENET, "7.png")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "7.png, as lenet5-mnist reads it (1×32×32):"
    assert lines[1].split()[0] == "7"
    assert [line.split(":")[0].strip() for line in lines if re.match("  [GSO]", line)] == [
        "Grad-CAM", "Grad-CAM", "SmoothGrad", "Occlusion",
    ]  # fmt: skip
    assert sum(" with random weights" in line for line in lines) == 4
    assert lines[-1] == "7-seen.png: drawn"
    assert Image.open("7-seen.png").width == 1000
    again = striate(LENET, "7.png", "--json", "--target", "4")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert (found["model"], found["image"], found["file"]) == (LENET, "7.png", "7-seen-2.png")
    [truth] = face.predictor(face.load(LENET))(["7.png"])
    assert [one["label"] for one in found["classes"]] == [label for label, _ in truth]
    assert [one["probability"] for one in found["classes"]] == pytest.approx([p for _, p in truth], abs=1e-5)
    assert [one["class"] for one in found["maps"]] == ["4", "7", "4", "4"]
    assert files(here) == {"7-seen.png", "7-seen-2.png"}


def test_an_image_that_cannot_be_read_leaves_the_others(here: Path) -> None:
    (here / "no.png").write_text("no")
    done = striate(LENET, "7.png", "no.png", "4.png", "--show", "activations", "--out", here)
    assert done.exit_code == 2
    assert done.stderr == "Cannot read no.png: it is not an image.\n"
    assert files(here) == {"no.png", "7-activations.png", "4-activations.png"}
    assert "7-activations.png: drawn" in done.stdout


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "page"])
def test_everything_that_can_be_shown_is_drawn(here: Path, name: str) -> None:
    kind, out = VIEWS[name], here / "out.png"
    words = ["--layer", "conv1.act"] * (name == "imagine") + GIVEN["points"] * ("points" in kind.takes)
    words += [word for need in kind.needs for word in GIVEN[need]]
    _prepared(here, kind.needs)
    done = striate(LENET, *words, "--show", name, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["show"], found["file"]) == (name, str(out))
    assert {*found} > {"model", "show", "file"}  # facts, too
    assert Image.open(out).width == (32 if kind.alone else 1000)
    assert files(here) - {"way", "boxes"} == {"out.png"}  # no rows of a surface, nothing half-written


def _prepared(here: Path, needs: tuple[str, ...]) -> None:
    """A way of three sets of weights to those of the model; a digit and the box that is about it."""
    if "along" in needs:
        (here / "way").mkdir()
        for number in range(3):
            network = face.load(LENET)
            for parameter in network.parameters():
                parameter.data += (3 - number) * 0.01 * parameter.data.sin() + number * 1e-3
            face.save(network, here / "way" / f"{number}.safetensors")
    if "boxes" in needs:
        (here / "boxes").mkdir()
        shutil.copy(here / "7.png", here / "boxes")
        sides = "<xmin>5</xmin><ymin>3</ymin><xmax>28</xmax><ymax>30</ymax>"
        thing = f"<object><name>7</name><bndbox>{sides}</bndbox></object>"
        (here / "boxes" / "7.xml").write_text(f"<annotation><filename>7.png</filename>{thing}</annotation>")


def test_two_networks_are_compared(here: Path) -> None:
    words = ["--show", "similarity", "--data", "digits", "--images", "24", "--json"]
    face.save(face.build("lenet5"), here / "other.safetensors", **face.load(LENET).metadata)
    found = {}
    for other in (LENET, "other.safetensors"):
        done = striate(LENET, *words, "--other", other, "--measure", "rsa")
        assert done.exit_code == 0, done.output
        found[other] = json.loads(done.stdout)
    assert found[LENET]["measure"] == "rsa"
    same, strange = (torch.tensor(one["values"]).diagonal() for one in found.values())
    assert torch.allclose(same, torch.ones(5, dtype=same.dtype), atol=1e-5)
    assert strange[-1] < 0.9
    assert found["other.safetensors"]["other"]["model"] == "other"
    done = striate(LENET, *words, "--other", "resnet5O")
    assert (done.exit_code, done.stderr.splitlines()[0][:45]) == (2, 'No network "resnet5O". Near: resnet50, seresn')
    done = striate(LENET, *words, "--measure", "ckka")
    assert done.stderr.startswith('No measure "ckka". Near: cka.')


def test_a_unit_a_layer_a_method_are_what_is_shown(here: Path) -> None:
    def said(*words: object) -> Any:
        done = striate(LENET, *words, "--json", "--out", "a.png")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    shown = said("7.png", "--show", "attribution", "--method", "grad-cam++", "--layer", "conv1.act", "--target", "1")
    assert [(one["method"], one["class"], one["layer"]) for one in shown["maps"]] == [("grad-cam++", "1", "conv1.act")]
    assert said("--show", "filters", "--layer", "conv2.conv")["filters"] == 16
    assert said("--show", "field", "--unit", "conv2.act:3@2,2")["rows"] == [4, 17]
    exciting = said("--show", "exciting", "--unit", "conv2.conv:3", "--data", "digits", "--images", "30")
    assert ([*exciting["units"]], exciting["seen"]) == (["conv2.conv:3"], 30)
    assert [*said("--show", "imagine", "--unit", "out:7")["reached"]] == ["out:7"]
    near = said("7.png", "--show", "neighbours", "--data", "digits", "--images", "200")
    assert near["labels"][0].count("7") >= 4
    assert said("--show", "embedding", "--data", "digits", "--images", "12", "--layer", "fc3")["layer"] == "fc3"


def test_what_is_left_out_is_said(here: Path) -> None:
    for name, lost in (("trust", ["grad-cam"]), ("attribution", ["grad-cam", "grad-cam++", "cam"])):
        done = striate(LENET, "7.png", "--show", name, "--layer", "fc3", "--json")
        assert done.exit_code == 0, done.output
        left_out = json.loads(done.stdout)["left_out"]
        assert [line.split(" is left out. Cannot ")[0] for line in left_out] == lost
        said = striate(LENET, "7.png", "--show", name, "--layer", "fc3", "--out", "a.png").stdout
        assert set(left_out) < set(said.splitlines())


def test_two_surfaces_a_relief_and_rows_at_once(here: Path) -> None:
    def drawn(*words: object) -> tuple[Any, bytes]:
        given = ["--show", "surface", "--data", "digits", "--images", "16", "--points", "3", "--out", "a.png"]
        Path("a.png").unlink(missing_ok=True)
        done = striate(LENET, *given, *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout), Path("a.png").read_bytes()

    other = face.load(LENET)
    for parameter in other.parameters():
        parameter.data *= 1.05
    face.save(other, here / "other.safetensors")
    above, relief, two = drawn(), drawn("--relief", "--threads", "2"), drawn("--other", "other.safetensors")
    assert above[0] == relief[0]
    assert len({png for _, png in (above, relief, two)}) == 3
    assert (two[0]["losses"], two[0]["other"]["model"]) == (above[0]["losses"], "other")
    assert two[0]["other"]["losses"] != above[0]["losses"]
    assert files(here) == {"a.png", "other.safetensors"}
    face.save(other, here / "other.safetensors", classes=[*"abcdefghij"])
    done = striate(LENET, "--show", "surface", "--data", "digits", "--other", "other.safetensors")
    fact = f"Cannot compare the losses of {LENET} and other: they do not tell the same classes apart."
    assert (done.exit_code, done.stderr.splitlines()[0]) == (2, fact)  # and nothing of rows, of which there are none


def test_flow_with_norms_without_and_after_some_steps(here: Path) -> None:
    normed = face.load("resnet20-cifar10")
    face.save(normed, here / "normed.safetensors", classes=[*"0123456789"])
    said = ["--show", "flow", "--data", "digits", "--images", "8", "--json", "--out", here / "a.png"]
    ways = ["as it is", "anew, He", "anew, Xavier"]
    for model, steps, wanted in (
        (LENET, ["--steps", "2"], [(way, step) for way in ways for step in (0, 2)]),
        ("normed.safetensors", [], [(way, 0) for way in (*ways, "anew, He, no norms", "anew, Xavier, no norms")]),
    ):
        done = striate(model, *said, *steps)
        assert done.exit_code == 0, done.output
        assert [(flow["network"], flow["step"]) for flow in json.loads(done.stdout)["flows"]] == wanted
    done = striate("normed.safetensors", *said, "--steps", "3")
    left_out = json.loads(done.stdout)["left_out"]
    assert left_out == ["anew, He, no norms is left out after 3 steps: its loss is no number."]


def test_a_network_of_the_zoo(here: Path) -> None:
    done = striate("lenet5", "--show", "field", "--unit", "conv1")
    assert done.exit_code == 0, done.output
    assert done.stderr == "lenet5 has not learnt: its weights are drawn anew. --weights FILE gives it some.\n"
    assert files(here) == {"lenet5-field.png"}
    face.save(face.load(LENET), here / "mine.safetensors")
    done = striate("lenet5", "--weights", "mine.safetensors", "7.png", "--show", "activations")
    assert (done.exit_code, done.stderr) == (0, ""), done.output


def test_a_run_by_its_folder(here: Path) -> None:
    (here / "runs" / "mine").mkdir(parents=True)
    face.save(face.load(LENET), here / "runs" / "mine" / "model.safetensors")
    for model in ("runs/mine", "runs/mine/model.safetensors"):
        done = striate(model, "--show", "filters")
        assert done.exit_code == 0, done.output
    assert files(here) == {"runs", "mine-filters.png", "mine-filters-2.png"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Cannot see nothing in particular.\n    Name an image; or --show filters; or --report out.html."),
        (["--show", "filter"], 'No view "filter". Near: filters.'),
        (["--report", "a.html", "--only", "surfaces"], 'No view "surfaces". Near: surface'),
        (["--show", "embedding"], "Cannot show embedding without data.\n    --data digits, or a folder of images."),
        (["--show", "page"], "Cannot show page without an image.\n    striate see MODEL cat.jpg --show page"),
        (["7.png", "--show", "style"], "Cannot show style without a picture to be like.\n    --like painting.jpg"),
        (["7.png", "--out", "a.jpg"], "Cannot draw into a.jpg: it is drawn as .png or .html.\n    --out a.png"),
        (["7.png", "--report", "a.png"], "Cannot draw into a.png: it is drawn as .html.\n    --report a.html"),
        (["7.png", "--out", "no/a.png"], "Cannot write no/a.png: no folder no is there."),
        (["7.png", "--report", "a.html", "--show", "page"], "Cannot make a report and --show."),
        (["7.png", "--only", "page"], "Cannot choose by --only without a report.\n    --report out.html, or "),
        (["7.png", "--points", "3"], "Cannot use --points with --show page.\n    It takes --layer, --target."),
        (["7.png", "--show", "filters"], "Cannot show filters of 7.png: it is of the network.\n    Without 7.png."),
        (["7.png", "--layer", "conv3"], 'No layer "conv3". Near: '),
        (["7.png", "--show", "attribution", "--layer", "nope"], 'No layer "nope". Known: conv1, conv1.conv, '),
        (["7.png", "--show", "trust", "--layer", "conv3.act"], 'No layer "conv3.act". Near: conv2.act, conv1.act'),
        (["7.png", "--target", "12"], "Cannot look for class 12: the network tells 10 classes apart."),
        (["7.png", "--target", "sevn"], 'No class "sevn". Known: 0, 1, 2'),
        (["7.png", "--show", "deconvnet", "--unit", "conv2.act:3@9,9@"], "Cannot read "),
        (["7.png", "--show", "attribution", "--method", "gradient", "--layer", "conv1"],
         "Cannot look at a layer by gradient: it looks at none.\n    grad-cam, grad-cam++, cam do.\n"),
        (["7.png", "--rule", "3x64x64"], "Cannot run conv1.conv on 3×64×64: its weight is 6×1×5×5"),
        (["7.png", "--rule", "2x32x32"], "Cannot read how this model's images are prepared: it does not fit together."),
        (["7.png", "--rule", "no.json"], "Cannot read no.json: no such file or directory."),
        (["7.png", "--show", "attribution", "--method", "gradcam"], 'No method "gradcam". Near: grad-cam'),
        (["--show", "exciting", "--unit", "conv2:99", "--data", "digits"], "Cannot see conv2:99: conv2 has 16 "),
        (["no.png"], "Cannot read no.png: "),
        (["--show", "trajectory", "--data", "digits"], "Cannot show trajectory without weights to go along.\n    --al"),
        (["--show", "pointing"], "Cannot show pointing without boxes.\n    --boxes FOLDER, with Pascal VOC's XML or "),
        (["--show", "pointing", "--boxes", "no"], "Cannot read no: there is no such file or folder."),
        (["--show", "filters", "--relief"], "Cannot use --relief with --show filters.\n    It takes --layer."),
        (["--show", "filters", "--other", LENET], "Cannot use --other with --show filters."),
        (["7.png", "--data", "nowhere"], "Cannot use --data with --show page."),
    ],
)  # fmt: skip
def test_a_slip_is_told(here: Path, words: list[str], says: str) -> None:
    done = striate(LENET, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(says), done.stderr
    assert files(here) == set()


def test_weights_that_are_no_numbers(here: Path) -> None:
    network = face.load(LENET)
    network.get_parameter("conv2.conv.bias").data[3] = float("nan")
    face.save(network, here / "nan.safetensors")
    fact = "Cannot see conv2.act: its values are not finite.\n    statistics(model, x), or --show statistics --data"
    done = striate("nan.safetensors", "7.png", "--show", "activations", "--layer", "conv2.act")
    assert (done.exit_code, done.stderr[: len(fact)]) == (2, fact)
    done = striate("nan.safetensors", "--show", "statistics", "--data", "digits", "--images", "8")
    fact = "Cannot see conv2.conv: its values are not finite.\n    It is the first; "
    assert (done.exit_code, done.stderr[: len(fact)]) == (2, fact)
    words = ["7.png", "--report", "out.html", "--only", "page,activations", "--data", "digits"]
    for given, end in ((words, "."), (words[:-2], "With --data, there is more.")):
        done = striate("nan.safetensors", *given)
        assert (done.exit_code, "Cannot report anything" in done.stderr) == (2, True)
        assert done.stderr.endswith(f"{end}\n")
        assert ("there is more" in done.stderr) is ("--data" not in given)


def test_a_name_that_nothing_has(here: Path) -> None:
    for words in ([], ["7.png"], ["--show", "filters"]):
        done = striate("lenet5-minst", *words)
        assert (done.exit_code, done.stderr) == (
            2, 'No network "lenet5-minst". Near: lenet5-mnist, lenet5. All of them: striate models\n',
        )  # fmt: skip
    for file in ("runs/none", "none.safetensors"):
        assert striate(file, "7.png").stderr.startswith(f"Cannot read {file}: no such file or directory.")


def test_a_surface_that_was_stopped_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [LENET, "--show", "surface", "--data", "digits", "--images", "16", "--points", "4"]
    seen = list[int]()

    @contextmanager
    def watched(what: str, total: int, noun: str) -> Iterator[Callable[[int], None]]:
        def tick(done: int) -> None:
            seen.append(done)
            if done == stop:
                raise KeyboardInterrupt

        yield tick

    monkeypatch.setattr(see, "_progress", watched)
    stop = 8
    done = striate(*words)
    assert done.exit_code == 130
    rows = "lenet5-mnist-surface-4.rows"
    assert done.stderr == f"{rows}/ is to keep what is done, for the same command.\n\nStopped.\n"
    assert files(here) == {rows}
    assert len([*(here / rows).rglob("row-*.json")]) == 2
    stop = -1
    seen.clear()
    whole = striate(*words)
    assert whole.exit_code == 0, whole.output
    assert whole.stderr == f"Going on from what {rows}/ has.\n"
    assert seen == [4, 8, 12, 16]  # the first two as they were
    assert files(here) == {"lenet5-mnist-surface.png"}


def test_rows_of_another_seed_stay(here: Path) -> None:
    """Of a surface that was stopped, while the same of another seed is drawn."""
    words = [LENET, "--show", "line", "--data", "digits", "--images", "16", "--points", "3"]
    theirs = here / "lenet5-mnist-line-3.rows" / ("0" * 24)
    theirs.mkdir(parents=True)
    (theirs / "row-0000.json").write_text("[1.0]")
    for seed in (1, 2):
        done = striate(*words, "--seed", seed)
        assert done.exit_code == 0, done.output
    assert [*theirs.parent.rglob("*")] == [theirs, theirs / "row-0000.json"]
    shutil.rmtree(theirs)
    assert striate(*words).exit_code == 0
    assert not theirs.parent.exists()


def test_json_has_no_nan() -> None:
    said = {"a": [1.5, float("nan"), {"b": (float("inf"), 2)}], "c": "nan"}
    assert see_report.finite(said) == {"a": [1.5, None, {"b": [None, 2]}], "c": "nan"}


def test_help(golden: Callable[[str, str], None]) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "striate", "see", "--help"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in ran.stderr.splitlines()}
    assert not loaded & {"torch", "numpy", "matplotlib", "rich", "PIL"}
    golden("help-see.txt", ran.stdout)
