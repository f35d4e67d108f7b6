"""A map without a name, that of the last global pooling, is found and can be another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference import torchvision
from striate.blueprint import Refusal
from striate.visualize.attribution import attribute
from striate.visualize.pooled import pooling, pools
from striate.visualize.trust import randomised

X = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
    "pair": lambda x: F.adaptive_avg_pool2d(x, (1, 1)),
    "module": nn.AdaptiveAvgPool2d(1),
    "F.avg_pool2d": lambda x: F.avg_pool2d(x, x.shape[2:]),
    "mean": lambda x: x.mean((2, 3)),
    "mean from behind": lambda x: x.mean(dim=[-1, -2], keepdim=True),
    "torch.mean": lambda x: torch.mean(x, (3, 2)),
}


class Gated(nn.Module):
    """A gate that pools, too; then a rectifier and a pooling without names."""

    def __init__(self, pool: Callable[[Tensor], Tensor], hidden: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pool, self.conv, self.gate = pool, nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 6)
        self.fc: nn.Module = nn.Linear(6, 4)
        if hidden:
            self.fc = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 4))

    def maps(self, x: Tensor) -> Tensor:
        value = self.conv(x)
        return F.relu(value * self.gate(value.mean((2, 3))).sigmoid()[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        value = self.maps(x)
        found: Tensor = self.fc(self.pool(value).flatten(1))
        return found


@pytest.mark.parametrize("name", POOLINGS)
def test_class_activation_maps_of_what_is_pooled(name: str) -> None:
    """However the pooling is written: the map is the classes' weights times the rectified maps."""
    net = Gated(POOLINGS[name]).eval()
    heat = attribute(net, X, "cam", 2)
    with torch.no_grad():
        cells = torch.einsum("c,nchw->nhw", net.fc.weight[2], net.maps(X))  # type: ignore[arg-type]
    torch.testing.assert_close(heat.values, cells, rtol=1e-4, atol=1e-6)
    assert heat.layer == "what is pooled"
    assert len(randomised(net, X, "cam", heat, stages=2).rank) == 2


def test_densenet() -> None:
    torch.manual_seed(0)
    net = torchvision().models.DenseNet(4, (2, 2), 8, num_classes=5).eval()
    x = torch.rand(1, 3, 64, 64)
    heat = attribute(net, x, "cam", 3)
    with torch.no_grad():
        value = F.relu(net.features(x))
        cells = torch.einsum("c,nchw->nhw", net.classifier.weight[3], value)
    torch.testing.assert_close(heat.cells, cells, rtol=1e-4, atol=1e-6)


def test_who_has_more_behind_it_is_refused_as_before() -> None:
    with pytest.raises(Refusal, match="Cannot map class activations at conv: more than a global mean"):
        attribute(Gated(POOLINGS["mean"], hidden=9), X, "cam", 2)


def test_what_is_no_global_pooling_is_left_alone() -> None:
    for no in (lambda x: x.mean(1), lambda x: x.mean(), lambda x: F.avg_pool2d(x, 2), lambda x: x.mean((0, 2))):
        assert not pools(nn.Identity(), X), no
        with pooling(lambda name, value: value * 0):
            assert no(X).abs().sum() > 0
    with pooling(lambda name, value: value * 0):
        assert not X.mean((2, 3)).any()
    assert X.mean((2, 3)).all()
