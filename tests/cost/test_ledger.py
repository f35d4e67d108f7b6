"""Rows and totals: what was published, what can be worked out by hand, what a lecture says of VGG-16 line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from typing import Any

import pytest

from striate.blueprint import (
    BatchNorm,
    CannotMake,
    CannotPlace,
    Conv,
    Foreign,
    Linear,
    MaxPool,
    NotFound,
    Refusal,
    Relu,
    Seq,
    Shared,
    Upsample,
    draft,
    squeeze_excite,
)
from striate.cost import Ledger, ledger
from striate.cost.memory import BYTES
from striate.zoo import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_published_ones_and_the_sums_of_the_rows(name: str) -> None:
    priced, known = ledger(name), NETWORKS[name]
    totals = priced.totals
    assert (totals.parameters, totals.macs) == (known.parameters, known.macs)
    assert totals.parameters == sum(row.parameters for row in priced.rows)
    assert totals.macs == sum(row.macs or 0 for row in priced.rows)
    assert totals.activation_bytes == sum(row.activation_bytes for row in priced.rows)
    assert (totals.flops, totals.weight_bytes, totals.exact) == (2 * totals.macs, 4 * totals.parameters, True)
    assert [row.name for row in priced.rows] == [node.name for node in priced.graph]


def test_a_tiny_network_row_by_row() -> None:
    net = Seq(
        conv=Conv(8, 3, padding=1),
        norm=BatchNorm(),
        act=Relu,
        pool=MaxPool(2),
        short=Conv(4, (3, 1), stride=2, bias=False, fit="floor"),
        fc=Linear(10),
    )
    rows = ledger(net, "3x10x12", batch=2, dtype="bfloat16").rows
    twice = 2 * 2  # a batch of two, two bytes a value
    assert [(r.name, r.output, r.parameters, r.macs, r.activation_bytes, r.field, r.jump, r.unread) for r in rows] == [
        ("input", (3, 10, 12), 0, 0, twice * 360, (1, 1), (1, 1), (0, 0)),
        ("conv", (8, 10, 12), 8 * 3 * 9 + 8, 2 * 8 * 3 * 9 * 120, twice * 960, (3, 3), (1, 1), (0, 0)),
        ("norm", (8, 10, 12), 8 + 8, 0, twice * 960, (3, 3), (1, 1), (0, 0)),
        ("act", (8, 10, 12), 0, 0, twice * 960, (3, 3), (1, 1), (0, 0)),
        ("pool", (8, 5, 6), 0, 0, twice * 240, (4, 4), (2, 2), (0, 0)),
        ("short", (4, 2, 3), 4 * 8 * 3, 2 * 4 * 8 * 3 * 6, twice * 24, (8, 4), (4, 4), (0, 0)),
        ("fc", (10, 1, 1), 10 * 24 + 10, 2 * 240, twice * 10, (12, 12), (4, 4), (0, 0)),
    ]
    assert [row.layer for row in rows][1:4] == ["Conv(8, 3, padding=1)", "BatchNorm()", "Activation('relu')"]
    labels = ["input", "3×3 conv", "batch norm", "relu", "2×2 max pool /2", "3×1 conv /2", "linear"]
    assert [row.label for row in rows] == labels


LECTURE = """\
INPUT 224x224x3 0
CONV3-64 224x224x64 (3*3*3)*64
CONV3-64 224x224x64 (3*3*64)*64
POOL2 112x112x64 0
CONV3-128 112x112x128 (3*3*64)*128
CONV3-128 112x112x128 (3*3*128)*128
POOL2 56x56x128 0
CONV3-256 56x56x256 (3*3*128)*256
CONV3-256 56x56x256 (3*3*256)*256
CONV3-256 56x56x256 (3*3*256)*256
POOL2 28x28x256 0
CONV3-512 28x28x512 (3*3*256)*512
CONV3-512 28x28x512 (3*3*512)*512
CONV3-512 28x28x512 (3*3*512)*512
POOL2 14x14x512 0
CONV3-512 14x14x512 (3*3*512)*512
CONV3-512 14x14x512 (3*3*512)*512
CONV3-512 14x14x512 (3*3*512)*512
POOL2 7x7x512 0
FC 1x1x4096 7*7*512*4096
FC 1x1x4096 4096*4096
FC 1x1x1000 4096*1000
"""


def product(text: str) -> int:
    return prod(int(n) for n in text.replace("(", "").replace(")", "").replace("x", "*").split("*"))


def test_vgg16_is_the_lecture_s_line_by_line() -> None:
    quiet = ("Activation", "Dropout", "GlobalPool")
    rows = [row for row in ledger("vgg16").rows if not row.layer.startswith(quiet)]
    lines = [line.split() for line in LECTURE.splitlines()]
    assert len(rows) == len(lines)
    for row, (_, volume, weights) in zip(rows, lines, strict=True):
        biases = row.output.channels if row.parameters else 0  # the lecture leaves them out
        assert (row.activation_bytes // 4, row.parameters - biases) == (product(volume), product(weights)), row.name
    assert sum(row.activation_bytes for row in rows) // 4 == 15_237_608  # where the lecture's total is "24M"


def test_shared_weights_are_counted_once_and_worked_with_twice() -> None:
    once = Seq(Shared("s", Conv(3, 3, padding=1)))
    twice = Seq(Shared("s", Conv(3, 3, padding=1)), Shared("s", Conv(3, 3, padding=1)))
    one, two = ledger(once, "3x8x8").totals, ledger(twice, "3x8x8").totals
    assert two.parameters == one.parameters == 84
    assert two.macs == 2 * one.macs


def test_what_is_not_known_is_said_and_totals_are_the_least() -> None:
    priced = ledger(Seq(Conv(4, 1), Foreign(print, output=(2, 4, 4)), Linear(2)), "3x4x4")
    assert [row.macs for row in priced.rows] == [0, 4 * 3 * 16, None, 2 * 32]
    assert priced.totals.macs == 4 * 3 * 16 + 2 * 32
    assert not priced.totals.exact
    assert priced.to_json()["rows"][2]["macs"] is None
    assert "≥ 256" in str(priced)
    assert any("MACs of 1 are not known" in note for note in priced.notes)


def test_a_gate_marks_its_rows_and_the_field_follows_the_content() -> None:
    priced = ledger(Seq(Conv(8, 3, padding=1), squeeze_excite(2, 8), Conv(8, 3, padding=1)), "3x16x16")
    assert [row.field for row in priced.rows if row.gated][-1] == (5, 5)
    assert not priced.rows[1].gated
    assert "5 /1*" in str(priced)


def test_jumps_behind_upsampling_are_fractions() -> None:
    row = ledger(Seq(Conv(2, 1), Upsample(4)), "1x4x4").to_json()["rows"][-1]
    assert row["jump"] == [0.25, 0.25]


@pytest.mark.parametrize("dtype", BYTES)
def test_bytes_follow_dtype_and_batch(dtype: str) -> None:
    base, other = ledger("resnet18").totals, ledger("resnet18", batch=3, dtype=dtype).totals
    assert other.activation_bytes * 4 == base.activation_bytes * 3 * BYTES[dtype]
    assert other.weight_bytes * 4 == base.weight_bytes * BYTES[dtype]
    assert other.macs == 3 * base.macs
    counters = 8 * 20  # each norm has one, an int64 in every dtype
    assert (other.buffer_bytes - counters) * 4 == (base.buffer_bytes - counters) * BYTES[dtype]


def test_the_same_network_however_it_is_named(tmp_path: Any) -> None:
    from striate import zoo
    from striate.blueprint import graph_to_json, to_json

    entry, blueprint = zoo.call("resnet18")
    graph = draft(blueprint, entry.input)
    (tmp_path / "graph.json").write_text(json.dumps(graph_to_json(graph)))
    (tmp_path / "blueprint.json").write_text(json.dumps(to_json(blueprint)))
    want = ledger("resnet18").to_json()
    for priced in (
        ledger(" resnet18 "),
        ledger(blueprint, "3x224x224"),
        ledger(graph),
        ledger(tmp_path / "graph.json"),
        ledger(tmp_path / "blueprint.json", (3, 224, 224)),
    ):
        assert {**priced.to_json(), "network": "resnet18"} == want


def test_another_size_another_fit() -> None:
    graph = ledger("resnet18").graph
    assert ledger(graph, "3x160x160").to_json()["rows"] == ledger("resnet18", "3x160x160").to_json()["rows"]
    floored = ledger(draft(Seq(Conv(2, 3)), "1x8x8"), "1x9x9", fit="exact")
    assert floored.rows[-1].layer == "Conv(2, 3, fit='exact')"
    left = ledger(Seq(pool=MaxPool(3, 2), end=MaxPool(2)), "1x10x10", fit="floor")
    assert left.rows[1].unread == (1, 1)
    assert "Real cells that no window reaches: pool (1 row, 1 column)." in left.notes


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ledger("resnet5O"), NotFound, 'No network "resnet5O". Near: resnet50'),
        (lambda: ledger("vgg16", dtype="float23"), NotFound, 'No dtype "float23". Near: float32'),
        (lambda: ledger("vgg16", fit="flor"), NotFound, 'No fit "flor". Near: floor'),
        (lambda: ledger("vgg16", optimizer="adm"), NotFound, 'No optimizer "adm". Near: adam'),
        (lambda: ledger("vgg16", batch=0), CannotMake, "a batch of 0: it must be a whole number from 1 to"),
        (lambda: ledger("vgg16", batch=10**12), CannotMake, "it must be a whole number from 1 to"),
        (lambda: ledger("vgg16", batch=1.5), CannotMake, "a batch of 1.5"),  # type: ignore[arg-type]
        (lambda: ledger("vgg16", training=True, dtype="int8"), Refusal, "Cannot train in int8"),
        (lambda: ledger(Seq(Conv(3, 3))), Refusal, "without its input"),
        (lambda: ledger(object()), Refusal, "Cannot price a object: a network is a blueprint"),
        (lambda: ledger("vgg16", "3x223x224"), CannotPlace, "would go unread"),
        (lambda: ledger("vgg16", "3x1000000000x1"), CannotMake, "must be from 1 to"),
    ],
)
def test_refusals(call: Callable[[], Ledger], error: type[Refusal], says: str) -> None:
    with pytest.raises(error) as refused:
        call()
    assert says in str(refused.value)


def test_what_does_not_fit_comes_with_remedies() -> None:
    with pytest.raises(CannotPlace) as refused:
        ledger("vgg16", "3x225x225")
    assert refused.value.remedies
    for remedy in refused.value.remedies:
        assert remedy.layer is not None
