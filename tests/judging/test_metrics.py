"""Metrics against sums done by hand, and judging with a saved model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from small import network
from striate import nn
from striate.blueprint import CannotTrain
from striate.data import Splits
from striate.judging import evaluate, images_for
from striate.judging.calibration import calibrated
from striate.judging.metrics import measured


def test_by_hand() -> None:
    logits = torch.tensor(
        [[3.0, 1, 0, 0, 0, 0, 0], [0, 3, 1, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4, 3], [1, 0, 0, 0, 0, 2, 0]]
    )
    labels = torch.tensor([0, 2, 6, 5])
    metrics = measured(logits, labels, tuple("abcdefg"))
    assert (metrics.top1, metrics.top5, metrics.examples) == (0.5, 0.75, 4)
    assert metrics.confusion.nonzero().tolist() == [[0, 0], [2, 1], [5, 5], [6, 0]]
    assert metrics.per_class == {"a": 1.0, "c": 0.0, "f": 1.0, "g": 0.0}
    picked = logits.log_softmax(1)[range(4), labels]
    assert metrics.loss == pytest.approx(-picked.mean().item())
    assert metrics.error == pytest.approx((0.5 * 0.5 / 4) ** 0.5)
    assert measured(logits[:, :3], labels % 3, tuple("abc")).top5 == 1.0
    sure = logits.softmax(1).amax(1)
    assert metrics.calibration == calibrated(sure, torch.tensor([1.0, 0, 0, 1]))
    said = metrics.to_json()
    assert (said["nll"], said["top1_standard_error"]) == (metrics.loss, metrics.error)
    assert said["calibration"]["error"] == metrics.calibration.error > 0


def test_outputs_of_another_width_are_refused() -> None:
    with pytest.raises(CannotTrain, match="Cannot judge 3 outputs by 2 classes"):
        measured(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), ("a", "b"))


def test_in_parts_or_at_once_and_the_mode_is_given_back(
    learnt: Path, digits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.load(learnt / "model.safetensors").train()
    whole = evaluate(model, digits)
    monkeypatch.setattr("striate.judging.metrics.AT_ONCE", 7)
    parts = evaluate(model, digits.test)  # prepared as its own file says
    assert model.training
    assert parts.confusion.equal(whole.confusion)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-4)
    assert whole.confusion.sum(1).tolist() == digits.test.labels.bincount().tolist()


def test_a_model_that_does_not_say_how_images_are_prepared(digits: Splits) -> None:
    with pytest.raises(CannotTrain, match="Cannot prepare images for this model"):
        evaluate(network(), digits.test)


def test_nothing_to_be_judged_by(learnt: Path, digits: Splits) -> None:
    with pytest.raises(CannotTrain, match="there are no images"):
        evaluate(nn.load(learnt / "model.safetensors"), digits.test[:0])


def test_data_is_prepared_as_the_model_says_and_labelled_in_its_order(learnt: Path) -> None:
    model = nn.load(learnt / "model.safetensors")
    model.metadata["classes"] = list("9876543210")
    splits = images_for(model, "digits")
    assert splits.classes == tuple("9876543210")
    assert splits.test.labels[:20].tolist() == [
        9 - n for n in images_for(nn.load(learnt / "model.safetensors"), "digits").test.labels[:20].tolist()
    ]
    model.metadata["classes"] = list("012345678")
    with pytest.raises(CannotTrain, match=r"the class 9\.\n.*\n    It learnt from digits: --data PATH\."):
        images_for(model, "digits")
