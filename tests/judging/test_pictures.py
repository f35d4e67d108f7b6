"""Pictures of how a model was judged: what is on them, and that they are readable on a phone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from striate.data import Images, Preprocessing, Streamed
from striate.data.pictures import File
from striate.judging import pictures
from striate.judging.asked import Answers
from striate.judging.metrics import Metrics, measured

STRANGE = ("cat", "$x_1$ \x1b[2J", "猫", "a name that is much longer than any label should be")


def judged(n: int, names: tuple[str, ...] = ()) -> Metrics:
    torch.manual_seed(0)
    labels = torch.randint(0, n, (600,))
    logits = torch.randn(600, n)
    logits[torch.arange(600), labels] += 2.5
    return measured(logits, labels, names or tuple(f"class {i}" for i in range(n)))


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [(), STRANGE], ids=["plain", "strange"])
def test_all_are_as_wide_as_a_phone(names: tuple[str, ...]) -> None:
    metrics = judged(len(names) or 10, names)
    mistake = pictures.Mistake(torch.zeros(3, 8, 8, dtype=torch.uint8), metrics.classes[0], metrics.classes[1], 0.99)
    grey = mistake._replace(pixels=torch.zeros(1, 8, 8, dtype=torch.uint8))
    drawn = [
        pictures.confusion(metrics, f"runs/{'long/' * 40}model on $photos$"),
        pictures.calibration(metrics, "model"),
        *(pictures.mistakes(found, "model") for found in ([], [mistake], [mistake, grey] * 6)),
    ]
    assert {size(png)[0] for png in drawn} == {1000}
    assert size(drawn[-1])[1] > 2 * size(drawn[2])[1]


def test_of_few_classes_the_matrix_of_many_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in ("_matrix", "_bars"):
        monkeypatch.setattr(pictures, name, lambda metrics, title, name=name: drawn.append(name) or b"")
    for n in (2, 10, 16, 17, 1000):
        pictures.confusion(judged(n), "")
    assert drawn == ["_matrix"] * 3 + ["_bars"] * 2


def test_a_thousand_classes_and_none_confused() -> None:
    assert size(pictures.confusion(judged(1000), "many"))[0] == 1000
    right = torch.eye(20)
    assert (
        size(pictures.confusion(measured(right * 9, torch.arange(20), tuple(map(str, range(20)))), "right"))[0] == 1000
    )


def test_the_most_frequent_confusions() -> None:
    said = torch.tensor([1, 1, 1, 2, 0, 0, 1, 2])
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])
    metrics = measured(torch.nn.functional.one_hot(said, 3).float(), labels, ("a", "b", "c"))
    assert pictures.frequent(metrics) == [(0, 1, 3), (1, 0, 2)]  # 0 for 2 happened once
    assert pictures.frequent(metrics, 1) == [(0, 1, 3)]
    once = measured(torch.eye(3), torch.tensor([0, 2, 2]), ("a", "b", "c"))
    assert pictures.frequent(once) == [(2, 1, 1)]


def shares(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows).log()


def test_the_mistakes_it_was_most_sure_of() -> None:
    pixels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    images = Images(pixels, torch.zeros(5, dtype=torch.int64), ("a", "b"), "x")
    rows = shares([[0.4, 0.6], [0.9, 0.1], [0.05, 0.95], [0.3, 0.7]])
    answers = Answers(rows, torch.tensor([0, 0, 0, 1]), torch.tensor([0, 2, 3, 4]))  # 1 could not be read
    found = pictures.worst(images, answers, ("a", "b"))
    assert [(int(m.pixels[0, 0, 0]), m.true, m.said) for m in found] == [(3, "a", "b"), (0, "a", "b")]
    assert [m.probability for m in found] == pytest.approx([0.95, 0.6])
    assert len(pictures.worst(images, answers, ("a", "b"), 1)) == 1


def test_photos_are_seen_in_their_middle_and_one_that_went_is_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), (9, 9, 9)).save(tmp_path / "a.png")
    files = (File(tmp_path / "a.png"), File(tmp_path / "gone.png"))
    images = Streamed(files, torch.zeros(2, dtype=torch.int64), ("a", "b"), "x", Preprocessing(3, (8, 8), (8, 8)))
    answers = Answers(shares([[0.1, 0.9], [0.1, 0.9]]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    [mistake] = pictures.worst(images, answers, ("a", "b"))
    assert mistake.pixels.shape == (3, 256, 256)
