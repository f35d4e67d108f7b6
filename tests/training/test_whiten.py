"""A first layer that whitens: what it makes of the images is uncorrelated and of variance 1."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from small import network
from striate.blueprint import CannotTrain, Conv, GlobalPool, Linear, Seq
from striate.data import Images, Preprocessing, Splits
from striate.training import Done, Step, train
from striate.training.whiten import LEAST, whitened


def images(count: int = 40) -> Images:
    """Smooth, as pictures are: neighbours and colours are correlated."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 1, 4, 4, generator=random) + 0.3 * torch.randn(count, 3, 4, 4, generator=random)
    smooth = F.interpolate(coarse, (12, 12), mode="bicubic") * 30 + 128
    noisy = smooth + 8 * torch.randn(smooth.shape, generator=random)
    return Images(noisy.clamp(0, 255).to(torch.uint8), torch.arange(count) % 4, tuple("abcd"), "clouds")


def shaped(filters: int, groups: int = 1):
    return network(Seq(conv=Conv(filters, 2, groups=groups), pool=GlobalPool(), fc=Linear(4)), "3x12x12")


RULE = Preprocessing.fitting(3, (12, 12), None).measured(images().pixels)


def test_what_comes_out_is_white() -> None:
    model = shaped(24)
    whitened(model, "conv", images(), RULE)
    values = model.conv(RULE.normalise(images().pixels)).detach().permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(values[:, :12], -values[:, 12:])
    covariance = values[:, :12].T @ values[:, :12] / len(values)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert covariance.diag().min() > 0.9  # but for what is added to each variance
    assert covariance.diag().max() <= 1 + 1e-4
    assert LEAST < 1e-3
    before = torch.corrcoef(F.unfold(RULE.normalise(images().pixels), 2).permute(1, 0, 2).flatten(1))
    assert (before - torch.eye(12)).abs().max() > 0.5


def test_twelve_filters_are_the_axes_alone() -> None:
    twelve, both = shaped(12), shaped(24)
    for model in (twelve, both):
        whitened(model, "conv", images(), RULE)
    torch.testing.assert_close(twelve.conv.weight, both.conv.weight[:12])


@pytest.mark.parametrize(
    ("model", "name", "says"),
    [
        (shaped(16), "conv", "Cannot whiten in conv: it has 16 filters.\n    12, or 24 with their negatives"),
        (shaped(24), "fc", "Cannot whiten in fc: it is no convolution of images."),
        (shaped(24, groups=3), "conv", "Cannot whiten in conv: it is no convolution of images."),
    ],
)
def test_a_layer_that_it_does_not_fit_is_refused(model, name: str, says: str) -> None:
    with pytest.raises(CannotTrain) as refused:
        whitened(model, name, images(), RULE)
    assert str(refused.value).startswith(says)


def test_a_recipe_whitens_before_the_first_step_and_a_rate_of_0_keeps_it_so() -> None:
    model, wanted = shaped(24), shaped(24)
    data = Splits(images(), images(8), RULE)
    whitened(wanted, "conv", images(), RULE, seed=3)
    how = {"epochs": 2, "batch_size": 10, "validation": 0.0, "seed": 3, "whiten": "conv", "lr": 0.05}
    events = list(train(model, data, rates=("conv.weight=0",), **how))
    assert isinstance(events[-1], Done)
    torch.testing.assert_close(model.conv.weight, wanted.conv.weight)
    assert model.conv.bias.abs().max() > 0
    assert sum(isinstance(event, Step) for event in events) == 8
