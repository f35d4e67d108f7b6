"""The way of a training lies in its plane."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.data import Splits
from striate.visualize.surface import line, loss_at, objective, trajectory
from striate.visualize.surface.directions import named


def network(offset: Tensor | float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        flat = torch.cat([p.flatten() for p in made.parameters()]) + offset
        torch.nn.utils.vector_to_parameters(flat, made.parameters())
    return made


@pytest.fixture(scope="module")
def plane() -> Tensor:
    size = sum(p.numel() for p in network().parameters())
    return torch.linalg.qr(torch.randn(size, 2, generator=torch.Generator().manual_seed(0)))[0].T


def test_a_way_in_a_plane_is_found_as_it_is(plane: Tensor) -> None:
    """Distances, and the way back to the weights from the plane's coordinates."""
    model, at = network(), torch.tensor([[4.0, 1.0], [2.5, 0.5], [1.0, -0.5], [0.25, -0.25], [0.0, 0.0]])
    found = trajectory(model, [network(xy @ plane).state_dict() for xy in at])
    assert sum(found.shares) == pytest.approx(1)
    assert found.shares[0] > found.shares[1] > 0
    torch.testing.assert_close(torch.pdist(found.points.float()), torch.pdist(at), rtol=1e-3, atol=1e-4)
    assert found.points[-1].abs().max() < 1e-6  # the model's own weights are at (0, 0)
    one, other = found.directions
    assert float(one @ other) == pytest.approx(0, abs=1e-6)
    assert float(one.norm()), float(other.norm()) == pytest.approx((1, 1))
    for xy, point in zip(at, found.points, strict=True):
        step = named(model, (point[0] * one + point[1] * other).float())
        there = network(xy @ plane)
        torch.testing.assert_close(model[3].weight + step["3.weight"], there[3].weight, rtol=1e-4, atol=1e-5)
    assert not named(model, one)["1.running_var"].any()
    (x_low, x_high), (y_low, y_high) = found.spans
    assert x_low < found.points[:, 0].min() < found.points[:, 0].max() < x_high
    assert y_low < found.points[:, 1].min() < found.points[:, 1].max() < y_high


def test_what_lies_outside_the_plane_is_left_out(plane: Tensor) -> None:
    at = torch.randn(20, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([10.0, 5.0])
    more = torch.randn(20, plane.shape[1], generator=torch.Generator().manual_seed(2)) * 0.05
    at = at + torch.tensor([0.0, 30.0])  # far from the model's own, which says nothing of the way's extent
    weights = [network(xy @ plane + off) for xy, off in zip(at, more, strict=True)]
    found = trajectory(network(), weights)
    flat = torch.stack([nn.utils.parameters_to_vector(one.parameters()).detach() for one in weights])
    assert found.shares == pytest.approx(PCA(2).fit(flat.double().numpy()).explained_variance_ratio_, rel=1e-4)
    assert 0.95 < sum(found.shares) < 1
    torch.testing.assert_close(torch.pdist(found.points.float()), torch.pdist(at), rtol=0.1, atol=0.5)


def test_a_straight_way_still_has_a_plane(plane: Tensor) -> None:
    found = trajectory(network(), [network(t * plane[0]) for t in (3.0, 2.0, 1.0)])
    assert found.shares[0] == pytest.approx(1, abs=1e-5)
    assert found.points[:, 0].abs().tolist() == pytest.approx([3, 2, 1], rel=1e-3)
    assert found.points[:, 1].abs().max() < 1e-2
    assert float(found.directions[1].norm()) == pytest.approx(1)
    assert float(found.directions[0] @ found.directions[1]) == pytest.approx(0, abs=1e-5)
    assert found.spans[1][0] < 0 < found.spans[1][1]


def test_what_is_no_way() -> None:
    model = network()
    with pytest.raises(Refusal, match="a way of 2 sets of weights: three or more"):
        trajectory(model, [model, model])
    with pytest.raises(Refusal, match="3 sets of weights: they are all the same"):
        trajectory(model, [model] * 3)
    with pytest.raises(Refusal, match=r"0\.weight is not among them"):
        trajectory(model, [nn.Sequential(nn.Flatten())] * 3)
    with pytest.raises(Refusal, match=r"0\.weight is 5×1×3×3, the network has 3×1×3×3"):
        trajectory(model, [model.state_dict() | {"0.weight": torch.zeros(5, 1, 3, 3)}] * 3)


def test_a_real_training_goes_down_its_surface(digits: Splits) -> None:
    """At the points of the way, as the plane has them, the loss falls as it does in training."""
    torch.manual_seed(0)
    states, losses = [], []
    x, y = digits.train.pixels[:200] / 255, digits.train.labels[:200]
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    of = objective(model, (x, y), size=100)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for step in range(25):
        if step % 4 == 0:
            states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            losses.append(loss_at(model, of))
        optimiser.zero_grad()
        of.loss(model, x, y).backward()
        optimiser.step()
    model.load_state_dict(states[-1])
    found = trajectory(model, states)
    assert sum(found.shares) > 0.9
    one, other = found.directions
    there = [line(model, of, a * one + b * other, (0.0, 1.0), 2).losses[1, 0] for a, b in found.points.float()]
    assert losses[0] > 5 * losses[-1]
    assert float(there[-1]) == pytest.approx(losses[-1])
    order = torch.corrcoef(torch.stack([torch.tensor(losses).log(), torch.stack(there).log()]))
    assert order[0, 1] > 0.95
