"""What is taken for a network's answer."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import Activation, Linear, Refusal, Seq
from striate.judging.trained import answer, as_read, main_way_out
from striate.nn import build

SCORES = torch.randn(2, 5)


@pytest.mark.parametrize(
    "outputs",
    [
        SCORES,
        {"aux": SCORES + 1, "out": SCORES},
        (SCORES, SCORES + 1),
        namedtuple("Outputs", "logits aux")(SCORES, None),
        [None, torch.randn(2, 5, 3, 3), SCORES],
    ],
)  # fmt: skip
def test_the_answer_among_outputs(outputs: Any) -> None:
    assert main_way_out(outputs) is SCORES


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"logits": SCORES, 3: SCORES}, "it answers with a dict of logits, 3."),
        ({"out": "cat"}, "it answers with a dict of out."),
        ({}, "it answers with a dict of nothing."),
        ((torch.zeros(2), None), "it answers with tuple."),
        (None, "it answers with NoneType."),
    ],
)
def test_no_answer_among_outputs(outputs: Any, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        main_way_out(outputs)
    assert str(refused.value) == (
        f"Cannot ask this network for a class: {says}\n"
        '    Scores N×classes are wanted, alone, first in a tuple, or as "out" in a dict.'
    )


def test_ours_may_end_in_a_soft_max_and_others_have_a_graph() -> None:
    class Theirs(nn.Linear):
        graph = "mine"

    x = torch.randn(2, 4, 1, 1)
    ours = build(Seq(fc=Linear(5), end=Activation("softmax")), "4x1x1")
    assert torch.allclose(answer(ours, x), ours(x).log())
    theirs = Theirs(4, 5)
    assert torch.equal(answer(theirs, x.flatten(1)), theirs(x.flatten(1)))
    with pytest.raises(Refusal, match="it answers with a tensor of 2"):
        answer(nn.Flatten(0), x[:, :1])


def test_images_are_read_as_the_weights_are() -> None:
    model, x = nn.Linear(4, 5).half(), torch.randn(2, 4)
    assert as_read(model, x).dtype == torch.float16
    assert as_read(model, x.long()).dtype == torch.int64
    assert answer(model, x).dtype == torch.float32
    assert as_read(nn.Flatten(), x) is x
    kept: Tensor = x.half()
    assert as_read(model, kept) is kept
