"""`striate see` as it is typed: LeNet-5 and real digits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import striate as face
from striate.blueprint import Refusal
from striate.cli import see, see_report, verbs
from striate.data import open_data
from striate.visualize.pointing_drawn import Pointed, draw_pointing
from striate.visualize.views import VIEWS, view
from striate.visualize.wanted import View, Wanted

LENET = "lenet5-mnist"
DRAWN = draw_pointing(
    {"a": 0.5}, [Pointed(torch.zeros(1, 8, 8).byte(), "a", torch.zeros(0, 4), (1, 1), False)], "", "", ()
)
GIVEN = {  # what a view needs or takes, as it is typed
    "image": ["7.png"],
    "data": ["--data", "digits", "--images", "24"],
    "points": ["--points", "3"],
    "like": ["--like", "4.png"],
    "along": ["--along", "way"],
    "boxes": ["--boxes", "boxes"],
}


def striate(*words: object) -> Result:
    return CliRunner().invoke(verbs, ["see", *(str(word) for word in words)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with three digits: 7.png, 4.png, and <b>&.png, which is a 7."""
    images = open_data("digits").test
    for name, label in (("7", 7), ("4", 4), ("<b>&", 7)):
        at = images.labels.tolist().index(label)
        Image.fromarray(images.pixels[at, 0].numpy()).resize((32, 32)).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"7.png", "4.png", "<b>&.png"}


def test_a_page_in_words_as_json_and_as_a_picture(here: Path) -> None:
    done = striate(LENET, "7.png")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "7.png, as lenet5-mnist reads it (1×32×32):"
    assert lines[1].split()[0] == "7"
    assert [line.split(":")[0].strip() for line in lines if re.match("  [GSO]", line)] == [
        "Grad-CAM", "Grad-CAM", "SmoothGrad", "Occlusion",
    ]  # fmt: skip
    assert sum("with random weights: " in line for line in lines) == 4
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
    assert done.stderr.startswith('Cannot compare layers by "ckka".\n    One of: cka, rsa.')


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
        (["7.png", "--target", "12"], "Cannot look for class 12: the network tells 10 classes apart."),
        (["7.png", "--show", "attribution", "--method", "gradcam"], 'No method "gradcam". Near: grad-cam'),
        (["--show", "exciting", "--unit", "conv2:99", "--data", "digits"], "Cannot see conv2:99: conv2 has 16 "),
        (["no.png"], "Cannot read no.png: "),
        (["--show", "trajectory", "--data", "digits"], "Cannot show trajectory without weights to go along.\n    --al"),
        (["--show", "pointing"], "Cannot show pointing without boxes.\n    --boxes FOLDER, with Pascal VOC's XML or "),
        (["--show", "pointing", "--boxes", "no"], "Cannot read no: there is no such file or folder."),
        (["--show", "filters", "--other", LENET], "Cannot use --other with --show filters."),
        (["7.png", "--data", "nowhere"], "Cannot use --data with --show page."),
    ],
)  # fmt: skip
def test_a_slip_is_told(here: Path, words: list[str], says: str) -> None:
    done = striate(LENET, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(says), done.stderr
    assert files(here) == set()


def test_a_name_that_nothing_has(here: Path) -> None:
    for words in ([], ["7.png"], ["--show", "filters"]):
        done = striate("lenet5-minst", *words)
        assert (done.exit_code, done.stderr) == (
            2, 'No network "lenet5-minst". Near: lenet5-mnist, lenet5. All of them: striate models\n',
        )  # fmt: skip
    for file in ("runs/none", "none.safetensors"):
        assert striate(file, "7.png").stderr.startswith(f"Cannot read {file}: no such file or directory.")


class Document(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = list[tuple[str, dict[str, str | None]]]()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_is_one_file_that_needs_nothing(here: Path) -> None:
    face.save(face.load(LENET), here / "a<i>&.safetensors", classes=[f"<b>猫$\\frac{i}$" for i in range(10)])
    only = "attribution,filters,embedding,line"
    Path("out.html").write_text("what is there stays")
    words = ["a<i>&.safetensors", "<b>&.png", "--report", "out.html", "--only", only, "--images", "12"]
    done = striate(*words, "--data", "digits")
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"out-2\.html: 3 pictures, \d\.\d MB\n", done.stdout)
    read = Document(Path("out-2.html").read_text())
    assert not {"script", "link", "iframe", "b", "i"} & {tag for tag, _ in read.tags}
    sources = [attributes["src"] or "" for tag, attributes in read.tags if tag == "img"]
    assert len(sources) == 3
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    for source in sources:
        Image.open(BytesIO(b64decode(source.partition(",")[2]))).verify()
    assert all(attributes["alt"] for tag, attributes in read.tags if tag == "img")
    assert not re.search(r"(?:https?:)?//", re.sub(r'src="data:[^"]*"', "", Path("out-2.html").read_text()))
    assert "a<i>&: 61,706 parameters" in read.text
    for name in only.split(","):
        assert VIEWS[name].title in read.text
    assert "Cannot judge the model on digits: it does not know the class 0." in read.text  # the reason, in its place
    assert Path("out.html").read_text() == "what is there stays"


def test_a_report_has_what_can_be_shown_and_no_more(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(name: str, of: Wanted) -> View:
        if name == "filters":
            raise Refusal("Cannot see filters: the network has none.")
        return View(b"", {"of": of.image}, name) if name != "field" else View(DRAWN, {}, name)

    monkeypatch.setattr(see_report, "view", made)
    done = striate(LENET, "7.png", "4.png", "--report", "out.html", "--json")
    assert done.exit_code == 0, done.output
    shown = [(one["show"], one.get("image")) for one in json.loads(done.stdout)["sections"]]
    of_image = [name for name, kind in VIEWS.items() if "image" in kind.needs and not kind.alone]
    assert shown[: 2 * len(of_image)] == [(name, image) for name in of_image for image in ("7.png", "4.png")]
    rest = [name for name, kind in VIEWS.items() if not kind.needs]
    assert [name for name, _ in shown[2 * len(of_image) :]] == rest
    assert "Cannot see filters: the network has none." in Path("out.html").read_text()


def words_of(report: Path) -> str:
    """All of it but its pictures, which are drawn from sums that may be rounded otherwise another time."""
    return re.sub(r"data:image/[^\"']+", "", report.read_text())


def test_a_report_that_was_stopped_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [LENET, "7.png", "--report", "out.html", "--only", "page,filters,field"]
    drawn, stop = list[str](), "field"

    def made(name: str, of: Wanted) -> View:
        drawn.append(name)
        if name == stop:
            raise KeyboardInterrupt
        return view(name, of)

    monkeypatch.setattr(see_report, "view", made)
    done = striate(*words)
    assert (done.exit_code, drawn, files(here)) == (130, ["page", "filters", "field"], {"out.parts"})
    assert [line for line in done.stderr.splitlines() if line] == [
        "out.parts/ keeps what is done.", "1 of 3: What it sees in the image …", "2 of 3: Its filters …",
        "3 of 3: What a unit sees of the image …", "Stopped.",
    ]  # fmt: skip
    stop = ""
    drawn.clear()
    done = striate(*words, "--json")
    assert (done.exit_code, drawn, files(here)) == (0, ["field"], {"out.html"})
    assert done.stderr.splitlines()[:2] == [
        "Going on from what out.parts/ has.", "1 of 3: What it sees in the image, as it was",
    ]  # fmt: skip
    Path("out.html").rename("first.html")
    drawn.clear()
    anew = striate(*words, "--json")
    assert drawn == ["page", "filters", "field"]  # nothing of a report that is done is left
    assert json.loads(done.stdout) == json.loads(anew.stdout)
    assert words_of(Path("out.html")) == words_of(Path("first.html"))


def test_a_report_of_images_of_which_one_cannot_be_read(here: Path) -> None:
    Path("no.png").write_text("no")
    done = striate(LENET, "no.png", "7.png", "--report", "out.html", "--only", "activations,filters,field", "--json")
    assert done.exit_code == 2
    shown = [(one["show"], one.get("image")) for one in json.loads(done.stdout)["sections"]]
    assert shown == [("activations", "no.png"), ("activations", "7.png"), ("filters", None), ("field", None)]
    assert done.stderr.count("Cannot read no.png: it is not an image.") == 1
    read = Document(Path("out.html").read_text())
    assert read.text.count("Cannot read no.png: it is not an image.") == 1
    assert len([tag for tag, _ in read.tags if tag == "img"]) == 3
    alone = striate(LENET, "no.png", "--report", "alone.html", "--only", "activations,filters")
    assert alone.exit_code == 2
    assert "<h1>Inside lenet5-mnist</h1>" in Path("alone.html").read_text()


@pytest.mark.parametrize(
    ("words", "only", "lost", "says"),
    [
        (["--boxes", "no"], "pointing,filters", ["pointing"], "Cannot read no: there is no such file or folder."),
        (["7.png", "4.png", "--unit", "conv1:cat"], "deconvnet,filters", ["deconvnet"] * 2, 'Cannot read "cat" as a '),
        (["--along", "way", "--data", "digits"], "filters,trajectory", ["trajectory"], "way"),
        (["7.png", "--like", "no.png"], "activations,style", ["style"], "Cannot read no.png: there is no such file"),
    ],
)  # fmt: skip
def test_a_report_is_not_cut_short_by_what_is_no_image(
    here: Path, words: list[str], only: str, lost: list[str], says: str
) -> None:
    (here / "way").mkdir()
    done = striate(LENET, *words, "--report", "out.html", "--only", only, "--json")
    assert done.exit_code == 2, done.output
    sections = json.loads(done.stdout)["sections"]
    assert [one["show"] for one in sections if "why" in one] == lost
    assert {one["show"] for one in sections} == {*only.split(",")}
    assert done.stderr.count("Cannot ") == 1
    read = Document(Path("out.html").read_text())
    assert len([tag for tag, _ in read.tags if tag == "img"]) == len(sections) - len(lost)
    for text in (done.stderr, read.text[read.text.rindex("What could not be shown") :]):
        assert says in text


def test_a_report_of_nothing_says_why(here: Path) -> None:
    done = striate(LENET, "--report", "out.html", "--only", "page,filters", "--layer", "conv3")
    assert done.exit_code == 2
    _, _, told = done.stderr.partition("Cannot report anything: nothing could be drawn.\n")
    assert (
        "\n    ".join(("    Cannot show page without an image.", "    striate see MODEL cat.jpg --show page")) in told
    )
    assert '\n    No layer "conv3". Known: conv1.conv, ' in told
    assert files(here) == set()


@pytest.mark.parametrize("facts", [{}, {"a": torch.zeros(1)}])
def test_a_picture_that_cannot_be_kept_is_shown(here: Path, monkeypatch: pytest.MonkeyPatch, facts: Any) -> None:
    """A file stands where the parts would, or JSON cannot hold the facts."""
    rows = here / "rows"
    monkeypatch.setattr(see_report, "view", lambda name, of: View(DRAWN, facts, name, (rows,)))
    rows.mkdir()
    if not facts:
        (here / "out.parts").write_text("theirs")
    done = striate(LENET, "--report", "out.html", "--only", "filters,field")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("out.html: 2 pictures, ")
    assert done.stderr.count("Cannot write out.parts") == 2
    assert files(here) == {"out.html"} | ({"out.parts"} if not facts else set())


def test_a_reports_charts_are_as_they_were_drawn(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rich = BytesIO()
    noise = torch.randint(0, 20, (200, 200, 3), generator=torch.Generator().manual_seed(0)).byte()
    Image.fromarray(noise.numpy()).save(rich, "PNG")
    monkeypatch.setattr(see_report, "view", lambda name, of: View(rich.getvalue(), {}, name))
    done = striate(LENET, "--report", "out.html", "--only", "filters,field")
    assert done.exit_code == 0, done.output
    tags = [attributes["src"] or "" for tag, attributes in Document(Path("out.html").read_text()).tags if tag == "img"]
    pictures = [Image.open(BytesIO(b64decode(source.partition(",")[2]))).convert("RGB") for source in tags]
    same = [torch.tensor([*one.tobytes()]).equal(noise.flatten().long()) for one in pictures]
    assert same == [VIEWS[name].photos is False for name in ("field", "filters")][::-1] == [True, False]


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
    assert done.stderr == f"{rows}/ keeps what is done, for the same command.\n\nStopped.\n"
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
