"""Several models as one, against the mean of their soft-max by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from striate.blueprint import CannotTrain
from striate.data import Images, Preprocessing, Streamed
from striate.data.images import Skipped
from striate.data.pictures import File
from striate.judging.asked import Answers
from striate.judging.ensemble import Member, agreed, together


def answers(logits: torch.Tensor, labels: list[int], which: list[int], *skipped: Skipped) -> Answers:
    return Answers(logits.log_softmax(1), torch.tensor(labels), torch.tensor(which), skipped)


def test_the_mean_of_probabilities_by_name() -> None:
    torch.manual_seed(0)
    one, two = torch.randn(4, 3) * 3, torch.randn(4, 3) * 3
    mean = together(
        [answers(one, [0, 1, 2, 0], [0, 1, 2, 3]), answers(two, [2, 1, 0, 2], [0, 1, 2, 3])],
        [("a", "b", "c"), ("c", "b", "a")],
    )
    expected = (one.softmax(1) + two.softmax(1)[:, [2, 1, 0]]) / 2
    torch.testing.assert_close(mean.shares.exp(), expected)
    assert mean.labels.tolist() == [0, 1, 2, 0]


def test_an_image_that_one_could_not_read_counts_for_none() -> None:
    torch.manual_seed(0)
    one, two = torch.randn(3, 2), torch.randn(2, 2)
    lost = Skipped(Path("b.jpg"), "it is cut short")
    mean = together([answers(one, [0, 1, 0], [0, 1, 2]), answers(two, [0, 0], [0, 2], lost)], [("a", "b")] * 2)
    assert (mean.which.tolist(), mean.labels.tolist(), mean.skipped) == ([0, 2], [0, 0], (lost,))
    torch.testing.assert_close(mean.shares.exp(), (one[[0, 2]].softmax(1) + two.softmax(1)) / 2)


def member(name: str, classes: str, *files: str) -> Member:
    labels = torch.zeros(len(files), dtype=torch.int64)
    rule = Preprocessing(3, (8, 8), (8, 8))
    return Member(
        name, tuple(classes), Streamed(tuple(File(Path(f)) for f in files), labels, tuple(classes), "photos", rule)
    )


def test_models_that_do_not_go_together() -> None:
    agreed([member("one", "abc", "1.jpg"), member("two", "cab", "1.jpg")])
    with pytest.raises(CannotTrain) as refused:
        agreed([member("one", "abc", "1.jpg"), member("two", "ab", "1.jpg")])
    assert str(refused.value) == (
        "Cannot average one and two: two does not know the class c.\n"
        "    one tells 3 apart, two 2.\n"
        "    Models of one ensemble tell the same classes apart, in any order."
    )
    with pytest.raises(CannotTrain, match="one does not know the class d"):
        agreed([member("one", "abc", "1.jpg"), member("two", "abcd", "1.jpg")])
    with pytest.raises(CannotTrain) as refused:
        agreed([member("one", "ab", "1.jpg", "2.jpg"), member("two", "ab", "1.jpg", "3.jpg")])
    assert str(refused.value) == (
        "Cannot judge one and two together: they held out different images of photos.\n"
        "    Each was trained with a seed of its own, and images that one has learnt from flatter it.\n"
        "    Train them with one split (train and val folders, or one --seed); --seed N here would flatter."
    )


def test_images_in_memory_are_alike_where_their_pixels_are() -> None:
    images = Images(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), ("a", "b"), "digits")
    agreed([Member("one", ("a", "b"), images), Member("two", ("b", "a"), images)])
    others = replace(images, pixels=images.pixels + 1)
    with pytest.raises(CannotTrain, match="they held out different images of digits"):
        agreed([Member("one", ("a", "b"), images), Member("two", ("b", "a"), others)])
    larger = replace(images, pixels=torch.ones(2, 1, 8, 8, dtype=torch.uint8))  # the same, as another model reads them
    agreed([Member("one", ("a", "b"), images), Member("two", ("b", "a"), larger)])
