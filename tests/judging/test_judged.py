"""Images for a model that is trained: what its training held out is found again, and whether it learnt from flips."""

from __future__ import annotations

from pathlib import Path

import pytest

from small import network
from striate.judging import evaluate, images_for
from striate.judging.judged import held_out, mirrored
from striate.nn import load


def test_what_training_held_out_is_found_again(learnt: Path) -> None:
    model = load(learnt / "model.safetensors")
    said = model.metadata["provenance"]
    held = images_for(model, "digits").validation
    assert held is not None
    assert len(held) == said["held_out"] == 144
    assert evaluate(model, held).top1 == pytest.approx(said["top1_held_out"])
    assert images_for(model, "digits", seed=1).validation is None, "another split has other training images"
    for changed in ({"held_out": 0}, {"held_out": 145}, {"examples": 7}, {"recipe": None}, {"recipe": {"seed": "x"}}):
        model.metadata["provenance"] = said | changed
        assert held_out(model, images_for(model, "digits").train) is None, changed


@pytest.mark.parametrize(
    ("augment", "so"),
    [
        ("", False),
        ("padded-crop(2)", False),
        ("flip(0)", False),
        ("trivial-augment", False),
        ("padded-crop(2), flip", True),
        ("alternating-flip", True),
        ("from another time", True),
        (7, True),
    ],
)
def test_views_are_mirrored_where_it_learnt_from_flips(augment: object, so: bool) -> None:
    model = network()
    assert mirrored(model), "a model of somebody else's: as in the papers"
    model.metadata["provenance"] = {"recipe": {"augment": augment}}
    assert mirrored(model) is so
