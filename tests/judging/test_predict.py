"""A model file and an image, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from small import network
from striate import nn
from striate.blueprint import Activation, CannotLoad, CannotRead, CannotTrain, Linear, Seq
from striate.data import Splits
from striate.judging import evaluate, predictor


def test_from_files_as_from_tensors_as_when_judged(learnt: Path, digits: Splits, tmp_path: Path) -> None:
    test = digits.test[:40]
    paths = [tmp_path / f"{i}.png" for i in range(len(test))]
    for path, pixels in zip(paths, test.pixels, strict=True):
        Image.fromarray(pixels[0].numpy()).save(path)
    predict = predictor(learnt)
    from_files, from_tensor = predict(paths), predict(test.pixels)
    assert from_files == from_tensor
    right = sum(found[0].label == str(label) for found, label in zip(from_files, test.labels.tolist(), strict=True))
    assert right == round(evaluate(nn.load(learnt / "model.safetensors"), test).top1 * 40)
    assert right > 35


def test_probabilities_fall_and_add_up(learnt: Path, digits: Splits) -> None:
    [found] = predictor(learnt / "model.safetensors", top=99)(digits.test.pixels[:1])
    shares = [p for _, p in found]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert {label for label, _ in found} == set("0123456789")
    assert len(predictor(learnt)(digits.test.pixels[:1])[0]) == 5


def test_a_network_that_ends_in_a_soft_max_says_what_comes_out_of_it(digits: Splits) -> None:
    torch.manual_seed(0)
    model = nn.build(Seq(fc=Linear(10), out=Activation("softmax")), "1x8x8").eval()
    model.metadata |= {"classes": list("0123456789"), "preprocessing": digits.preprocessing.to_json()}
    pixels = digits.test.pixels[:3]
    said = model(digits.preprocessing.normalise(pixels, torch.device("cpu"))).detach()
    for row, found in zip(said, predictor(model, top=10)(pixels), strict=True):
        assert {label: pytest.approx(p, abs=1e-6) for label, p in found} == dict(
            zip("0123456789", row.tolist(), strict=True)
        )


def test_a_colour_photo_of_any_size_is_brought_to_what_the_model_reads(learnt: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "a.jpg")
    [found] = predictor(learnt)([tmp_path / "a.jpg"])
    assert len(found) == 5


def test_what_cannot_be_predicted(learnt: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="there is no such file"):
        predictor(learnt)([tmp_path / "nosuch.png"])
    with pytest.raises(CannotRead, match="Cannot read"):
        predictor(tmp_path)
    with pytest.raises(CannotTrain, match="Cannot prepare images for this model"):
        predictor(network())(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def test_a_model_without_names_or_numbers(learnt: Path, digits: Splits) -> None:
    pixels = digits.test.pixels[:1]
    for classes, said in ((None, "its file has no classes"), (["a"], "10 outputs, 1 classes")):
        model = nn.load(learnt / "model.safetensors")
        model.metadata["classes"] = classes
        with pytest.raises(CannotTrain, match=said):
            predictor(model)(pixels)
    model = nn.load(learnt / "model.safetensors")
    with torch.no_grad():
        next(iter(model.parameters())).fill_(torch.nan)
    with pytest.raises(CannotLoad, match="its answers are not numbers"):
        predictor(model)(pixels)
