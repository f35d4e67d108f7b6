"""`striate see mymodels.py:Net`: somebody's own module, which says nothing of its images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import striate as face
from striate import visualize
from striate.blueprint import CannotTrain, NotFound
from striate.data import Preprocessing
from striate.visualize.images import ruled
from striate.visualize.report import facts
from typed import LENET, files
from typed import see as striate

CODE = """
from torch import nn

def net(width=4):
    body = nn.Sequential(nn.Conv2d(1, width, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 8, 3), nn.ReLU())
    return nn.Sequential(body, nn.Flatten(), nn.Linear(8 * 12 * 12, 10))

def known():
    made = net()
    made.metadata = {"classes": list("0123456789")}
    return made
"""
RULE = Preprocessing(1, (28, 28), (32, 32), (0.1,), (0.3,))


def net() -> nn.Module:
    torch.manual_seed(0)
    made = dict[str, nn.Module]()
    exec(CODE, made)  # the same as a file has
    return made["known"]()


def test_a_page_a_report_and_what_needs_no_rule(here: Path) -> None:
    Path("mine.py").write_text(CODE)
    done = striate("mine.py:net(width=6)", "--show", "filters", "--json")
    assert done.exit_code == 0, done.output
    assert (json.loads(done.stdout)["model"], json.loads(done.stdout)["filters"]) == ("net(width=6)", 6)
    done = striate("mine.py:net", "7.png")
    way = "rule=, a striate.data.Preprocessing, says it to seen and to Wanted; --rule 3x64x64 to striate see."
    says = f"Cannot prepare images for this Sequential: it does not say how.\n    {way}\n"
    assert (done.exit_code, done.stderr) == (2, says)
    done = striate("mine.py:net", "7.png", "--rule", "1x32x32")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("7.png, as net reads it (1×32×32):\n  class ")
    Path("rule.json").write_text(json.dumps(RULE.to_json()))
    words = ["--data", "digits", "--images", "12", "--points", "3", "--rule", "rule.json", "--json"]
    only = "page,attribution,deconvnet,field,statistics,neighbours,similarity,line,flow"
    done = striate("mine.py:known", "7.png", *words, "--report", "out.html", "--only", only)
    assert done.exit_code == 0, done.output
    assert not [one["why"] for one in json.loads(done.stdout)["sections"] if "why" in one]
    assert "known: 11,930 parameters, reads 1×32×32" in Path("out.html").read_text()
    assert files(here) - {"__pycache__"} == {"mine.py", "rule.json", "out.html", "net-filters.png", "7-seen.png"}


def test_two_networks_of_which_one_says_its_own_rule(here: Path) -> None:
    Path("mine.py").write_text(CODE)
    words = ["--show", "similarity", "--data", "digits", "--images", "12", "--json", "--rule", "1x32x32"]
    done = striate(LENET, *words, "--other", "mine.py:net")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["other"]["model"] == "net"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mine.py:nett", "7.png"], 'No module in mine.py "nett". Near: net'),
        (["none.py:net", "7.png"], "Cannot read none.py: there is no such file."),
        (["mine.py:net", "7.png", "--weights", "w.safetensors"], "Cannot load w.safetensors into mine.py:net: "),
        (["torchvision:resnet18", "7.png"], "Cannot see inside torchvision:resnet18: torchvision makes it without "),
        (
            ["mine.py:net", "7.png", "--rule", "1x32x32", "--show", "attribution", "--method", "cam", "--layer", "out"],
            "Cannot see where out is active: it is the classes' scores, no map.",
        ),
        (["mine.py:net", "7.png", "--rule", "1x20x20"], "Cannot run Sequential on 1×20×20.\n"),
    ],
)
def test_a_slip(here: Path, words: list[str], says: str) -> None:
    Path("mine.py").write_text(CODE)
    done = striate(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(says), done.stderr


def test_the_same_from_python(here: Path) -> None:
    model = net()
    of = visualize.Wanted(model, "mine", "7.png", rule=RULE)
    assert of.seen().x.equal(visualize.seen(model, ["7.png"], RULE).x)
    for name in ("page", "deconvnet", "activations", "filters", "field"):
        assert visualize.view(name, of).png.startswith(b"\x89PNG"), name
    assert model.metadata == {"classes": [*"0123456789"]}  # as it was
    assert facts(of) == [f"mine: {sum(p.numel() for p in model.parameters()):,} parameters, reads 1×32×32"]
    assert facts(of._replace(rule=None)) == [f"mine: {sum(p.numel() for p in model.parameters()):,} parameters"]
    with pytest.raises(CannotTrain, match=r"rule=, a striate\.data\.Preprocessing, says it to seen"):
        visualize.view("page", of._replace(rule=None))
    for slip, near in ({"layer": "0.00"}, "0.0"), ({"unit": "0.00:1"}, "0.0"), ({"method": "cams"}, "cam"):
        with pytest.raises(NotFound) as refused:
            visualize.view("attribution", of._replace(**slip))
        assert near in refused.value.near
    data = visualize.opened(model, "digits", RULE)
    assert not data.strange
    assert visualize.view("flow", of._replace(data=data, images=8)).facts["flows"]


def test_a_rule_goes_as_it_came() -> None:
    model = nn.Linear(1, 1)
    with ruled(model, RULE):
        assert model.metadata == {"preprocessing": RULE.to_json()}
    assert not hasattr(model, "metadata")
    lenet = face.load(LENET)
    before = lenet.metadata
    with ruled(lenet, RULE):
        assert visualize.Wanted(lenet, "").reads == RULE
    assert lenet.metadata is before
