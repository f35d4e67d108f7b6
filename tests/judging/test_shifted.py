"""Six views of small pictures, against each view shown by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from small import network
from striate.data import Images, Preprocessing
from striate.judging import evaluate
from striate.judging.shifted import shifted

PIXELS = torch.randint(256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = Images(PIXELS, torch.arange(30) % 10, tuple("0123456789"), "noise")
RULE = Preprocessing.fitting(1, (8, 8), None).measured(PIXELS)


def test_the_views_are_the_image_and_two_moves_and_their_mirror_images() -> None:
    model = network()
    around = np.pad(PIXELS.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    wanted = torch.zeros(30, 10)
    for top, weight in ((1, 0.5), (0, 0.25), (2, 0.25)):
        view = torch.from_numpy(around[:, :, top : top + 8, top : top + 8].copy())
        for seen in (view, view.flip(3)):
            with torch.inference_mode():
                wanted += weight / 2 * model.eval()(RULE.normalise(seen)).softmax(1)
    torch.testing.assert_close(shifted(model, IMAGES, RULE).exp(), wanted)
    right = (wanted.argmax(1) == IMAGES.labels).float().mean().item()
    assert evaluate(model, IMAGES, RULE, views="shifted").top1 == pytest.approx(right)
