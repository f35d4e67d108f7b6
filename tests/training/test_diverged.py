"""What a training that comes apart says of where it did: the batch and its images are those that were learnt from."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from PIL import Image

from small import network
from striate.blueprint import Conv, Linear, Seq
from striate.data import Splits, open_data, read_image
from striate.training import revised
from striate.training.diverged import batch, diverged
from striate.training.events import Step
from striate.training.lesson import Lesson, lesson

CPU = torch.device("cpu")


def dealt(course: Lesson, epoch: int, place: int) -> torch.Tensor:
    x: torch.Tensor = list(course.batches.epoch(epoch))[place][0]
    return x


def test_the_images_of_a_batch_are_named_by_their_places(digits: Splits) -> None:
    course = lesson(network(), digits, revised(batch_size=100, seed=4), CPU, saved=False)
    x = dealt(course, 3, 5)
    said = re.search(
        r"batch 6 of 13 in epoch 3: images ([\d,]+), ([\d,]+), ([\d,]+) and 97 more\.", batch(course, 3, 5)
    )
    assert said is not None
    for row, text in enumerate(said.groups()):
        pixels = course.learnt[torch.tensor([int(text.replace(",", ""))])].pixels  # type: ignore[union-attr]
        assert torch.equal(course.preprocessing.normalise(pixels)[0], x[row])


def test_only_those_images_that_are_not_finite_are_named(digits: Splits) -> None:
    course = lesson(network(), digits, revised(batch_size=100, seed=4), CPU, saved=False)
    x = dealt(course, 1, 2)
    names = [re.findall(r"image ([\d,]+)\.", batch(course, 1, 2, [row]))[0] for row in (7, 20)]
    x[[7, 20]] = float("inf")
    said = str(diverged(course, Step(3, 1, float("nan"), 0.1, len(x)), 2, x, ""))
    assert "conv1 is the first layer whose output is not finite on 2 of 100 images; " in said
    assert f"It was batch 3 of 13 in epoch 1: images {names[0]}, {names[1]}." in said


def test_files_are_named_and_one_that_cannot_be_read_is_no_image_of_the_batch(tmp_path: Path) -> None:
    for kind in ("ant", "bee"):
        (tmp_path / kind).mkdir()
        for i in range(20):
            Image.new("RGB", (8, 8), (10 * i, 0, 100 * (kind == "bee"))).save(tmp_path / kind / f"{i}.png")
    data = open_data(tmp_path, 8, looking=True)
    (tmp_path / "ant" / "7.png").write_text("no")
    model = network(Seq(conv1=Conv(4, 3), fc=Linear(2)), "3x8x8")
    course = lesson(model, data, revised(validation=0, batch_size=40, seed=1), CPU, saved=False)
    batches = course.batches
    [(x, _)] = batches.epoch(1)
    assert course.learnt.pictures[0].name == str(tmp_path / "ant" / "0.png")  # type: ignore[union-attr]
    said = [re.findall(r"image (\S+)\.$", batch(course, 1, 0, [row]))[0] for row in range(len(x))]
    assert len(set(said)) == len(x) == len(course.learnt) - (str(tmp_path / "ant" / "7.png") not in said)
    for row, name in enumerate(said):
        pixels = course.preprocessing.prepare(read_image(Path(name), 3).unsqueeze(0))
        torch.testing.assert_close(course.preprocessing.normalise(pixels)[0], x[row])
