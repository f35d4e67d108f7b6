"""`striate see --report` as it is typed: LeNet-5 and real digits."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import striate as face
from striate.blueprint import Refusal
from striate.cli import see_report
from striate.visualize.pointing_drawn import Pointed, draw_pointing
from striate.visualize.views import VIEWS, view
from striate.visualize.wanted import View, Wanted
from typed import LENET, files
from typed import see as striate

DRAWN = draw_pointing(
    {"a": 0.5}, [Pointed(torch.zeros(1, 8, 8).byte(), "a", torch.zeros(0, 4), (1, 1), False)], "", "", ()
)


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
    done = striate(LENET, "--report", "out.html", "--only", "page,filters", "--layer", "conv1.act")
    assert done.exit_code == 2
    _, _, told = done.stderr.partition("Cannot report anything: nothing could be drawn.\n")
    assert (
        "\n    ".join(("    Cannot show page without an image.", "    striate see MODEL cat.jpg --show page")) in told
    )
    assert "\n    Cannot see the filters of conv1.act: a ReLU has none." in told
    assert told.endswith("\n    With an image, or --data, there is more.\n")
    assert files(here) == set()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--layer", "nope"], 'No layer "nope". Known: conv1, conv1.conv, '),
        (["--target", "99"], "Cannot look for class 99: the network tells 10 classes apart."),
        (["--unit", "conv1:cat"], 'Cannot read "cat" as a channel of conv1.'),
        (["--unit", "conv2:99"], "Cannot see conv2:99: conv2 has 16 channels"),
        (["--method", "gradcam"], 'No method "gradcam". Near: grad-cam'),
        (["--only", ""], 'No view "".'),
    ],
)
def test_a_slip_is_told_before_a_report_is_begun(here: Path, words: list[str], says: str) -> None:
    done = striate(LENET, "7.png", "--report", "out.html", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(says), done.stderr
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
