"""Six views of small pictures, against each view shown by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from small import network
from striate.blueprint import CannotTrain
from striate.data import Images, Preprocessing, Streamed
from striate.judging import Views, evaluate
from striate.judging.asked import ask
from striate.judging.shifted import shifted

PIXELS = torch.randint(256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = Images(PIXELS, torch.arange(30) % 10, tuple("0123456789"), "noise")
RULE = Preprocessing.fitting(1, (8, 8), None).measured(PIXELS)


def test_the_views_are_the_image_and_its_mirror_image_and_of_the_least_sure_two_moves() -> None:
    model = network().eval()
    around = np.pad(PIXELS.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")

    def share(top: int) -> torch.Tensor:
        view = torch.from_numpy(around[:, :, top : top + 8, top : top + 8].copy())
        with torch.no_grad():
            return sum(model(RULE.normalise(seen)).softmax(1) / 2 for seen in (view, view.flip(3)))

    wanted = share(1)
    likeliest = wanted.sort(1).values
    unsure = (likeliest[:, -1] - likeliest[:, -2]).argsort()[:8]  # of 30
    wanted[unsure] = (wanted / 2 + share(0) / 4 + share(2) / 4)[unsure]
    torch.testing.assert_close(shifted(model, IMAGES, RULE).exp(), wanted)
    right = (wanted.argmax(1) == IMAGES.labels).float().mean().item()
    assert evaluate(model, IMAGES, RULE, views="shifted").top1 == pytest.approx(right)


def test_without_mirror_nothing_is_shown_mirrored() -> None:
    model = network().eval()
    around = F.pad(PIXELS.float(), (1,) * 4, mode="reflect").to(torch.uint8)
    with torch.no_grad():
        plain, up, down = (model(RULE.normalise(around[..., at : at + 8, at : at + 8])).softmax(1) for at in (1, 0, 2))
    found = ask(model, IMAGES, Views("shifted", mirror=False), RULE).shares.exp()
    moved = ((found - plain).abs() > 1e-6).any(1)
    assert moved.sum() == 8
    torch.testing.assert_close(found[moved], (plain / 2 + up / 4 + down / 4)[moved])
    torch.testing.assert_close(found[~moved], plain[~moved])


def test_they_are_neither_scaled_nor_slid_over_nor_read_from_the_disk() -> None:
    for how in ({"scales": (16,)}, {"dense": True}):
        with pytest.raises(CannotTrain, match="Cannot scale images that are shown as they are"):
            Views("shifted", **how)  # type: ignore[arg-type]
    files = Streamed((), torch.zeros(3, dtype=torch.int64), IMAGES.classes, "photos", RULE)
    with pytest.raises(CannotTrain, match="Cannot move images by a cell that are not in memory"):
        ask(network(), files, Views("shifted"), RULE)
