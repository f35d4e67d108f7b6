"""Networks side by side: the numbers are the ledgers', the words have the right ratios, the picture can be read."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from striate.blueprint import CannotWrite, Conv, Refusal
from striate.cost import Comparison, compare, ledger
from striate.cost.comparison import FORMATS
from striate.cost.plot import chosen

FOUR = ("alexnet", "vgg16", "googlenet", "resnet50")


@pytest.fixture(scope="module")
def four() -> Comparison:
    return compare(*FOUR)


def test_the_numbers_are_the_ledgers(four: Comparison) -> None:
    for entry, line in zip(four.entries, json.loads(FORMATS["json"](four))["networks"], strict=True):
        want = ledger(entry.name).to_json()["totals"]
        assert {key: line[key] for key in want} == want
    assert [entry.top1 for entry in four.entries] == [56.522, 71.592, 69.778, 76.13]


def test_the_ratios_in_words(four: Comparison) -> None:
    assert "googlenet has 21× fewer parameters than vgg16." in str(four)  # 138,357,544 / 6,624,904 = 20.9
    assert "alexnet has 22× fewer MACs than vgg16." in str(four)  # 15,470,264,320 / 714,188,480 = 21.7
    assert str(compare("resnet50", "resnet101").ratios[0]) == "resnet50 has 1.7× fewer parameters than resnet101."
    same = "resnet50_paper and resnet50 have as much activation memory, within 5 %."
    assert [str(r) for r in compare("resnet50", "resnet50_paper").ratios][1:] == [same]  # and as many parameters
    for ratio in four.ratios:
        cost = {entry.name: getattr(entry.ledger.totals, ratio.what) for entry in four.entries}
        assert ratio.ratio == cost[ratio.than] / cost[ratio.network]
        assert (cost[ratio.network], cost[ratio.than]) == (min(cost.values()), max(cost.values()))


def test_accuracies_are_of_the_network_as_published() -> None:
    assert [entry.top1 for entry in compare("vgg16", "vgg16(classes=10)").entries] == [71.592, None]
    assert [entry.top1 for entry in compare("resnet18", "resnet50", volume="3x256x256").entries] == [None, None]


def test_what_was_measured_differently_is_said(four: Comparison) -> None:
    assert "do not compare" not in str(four)
    assert "on different data not at all" in str(compare("vgg16", "lenet5_paper"))


def test_forms(four: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](four))))
    assert [line["network"] for line in lines] == list(FOUR)
    table = [line for line in FORMATS["markdown"](four).splitlines() if line.startswith("|")]
    assert len(table) == 6
    assert len({line.count("|") for line in table}) == 1


def test_only_accuracies_on_the_same_images_share_a_picture() -> None:
    entries = compare("resnet18", "vgg16", "lenet5_paper", "googlenet_paper", "lenet5").entries
    drawn, left, metric = chosen(entries)
    assert ([e.name for e in drawn], [e.name for e in left], metric) == (
        ["resnet18", "vgg16"],
        ["lenet5_paper", "googlenet_paper", "lenet5"],
        "top1",
    )


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_picture_is_one_that_opens(four: Comparison, tmp_path: Path, kind: str) -> None:
    content = four.plot(tmp_path / f"cost.{kind}").read_bytes()
    if kind == "png":
        from PIL import Image

        image = Image.open(io.BytesIO(content))
        assert image.size == (1200, 810)
        assert len(image.convert("RGB").resize((120, 81)).getcolors(10_000)) > 100  # and something is on it
    else:
        assert content.startswith({"svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert os.listdir(tmp_path) == [f"cost.{kind}"]


def test_no_name_lies_on_another_in_the_picture() -> None:
    from matplotlib.axes import Axes

    from striate.cost import plot

    everyone = compare(*FOUR, "resnet18", "resnet34", "resnet101", "resnet152", "vgg11", "vgg19", "vgg16_bn")
    texts: list[Any] = []
    real = Axes.text

    def text(self: Axes, *args: Any, **more: Any) -> Any:
        texts.append(real(self, *args, **more))
        return texts[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Axes, "text", text)
        plot._draw(everyone.entries, [], "top1", io.BytesIO(), "png")
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == 11
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert plot._common(plot._box(a), plot._box(b)) == 0


def test_refusals(tmp_path: Path, four: Comparison) -> None:
    with pytest.raises(Refusal, match="fewer than two"):
        compare("vgg16")
    with pytest.raises(CannotWrite, match=r"its name must end in one of \.png, \.svg, \.pdf"):
        four.plot(tmp_path / "cost.jpeg")
    with pytest.raises(CannotWrite, match="no such file or directory"):
        four.plot(tmp_path / "no" / "cost.png")
    with pytest.raises(Refusal, match="no accuracy is published for lenet5, Conv"):
        compare("lenet5", Conv(3, 3), volume="1x32x32").plot(tmp_path / "cost.png")
    assert os.listdir(tmp_path) == []
