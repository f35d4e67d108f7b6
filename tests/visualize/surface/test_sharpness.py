"""How sharp a minimum is, against linear regression, where both figures have a formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.data import Splits
from striate.visualize.surface import Objective, curvature, loss_at, objective, random_direction, sharpness


def mean_square(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x)[:, 0] - y).square().mean()


@pytest.fixture(scope="module")
def regression() -> tuple[nn.Linear, Objective, Tensor]:
    """The network at its minimum, its objective, and the Hessian: 2XᵀX/N."""
    chance = torch.Generator().manual_seed(3)
    x, y = torch.randn(60, 6, generator=chance), torch.randn(60, generator=chance)
    model = nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y[:, None]).solution.T)
    return model, objective(model, (x, y), size=25, loss=mean_square), 2 * x.double().T @ x.double() / 60


def test_the_largest_eigenvalue_is_the_hessians(regression: tuple[nn.Linear, Objective, Tensor]) -> None:
    model, of, hessian = regression
    model.weight.grad, told = torch.ones(1, 6), list[int]()
    found = curvature(model, of, steps=500, near=1e-4, tick=told.append)
    values, vectors = torch.linalg.eigh(hessian)
    assert found.eigenvalue == pytest.approx(float(values[-1]), rel=1e-4)
    assert abs(float(found.direction["weight"][0].double() @ vectors[:, -1])) == pytest.approx(1, abs=1e-3)
    assert abs(found.eigenvalue - float(values[-1])) <= found.error + 1e-5 <= 2e-4 * found.eigenvalue + 1e-5
    assert told == list(range(1, found.steps + 1))
    assert model.weight.requires_grad
    assert torch.equal(model.weight.grad, torch.ones(1, 6))


def test_a_saddles_largest_curvature_is_below_zero() -> None:
    model = nn.Linear(2, 1, bias=False)
    of = objective(model, (torch.eye(2), torch.zeros(2)), loss=lambda m, *_: (m.weight[0].square() * SADDLE).sum())
    assert curvature(model, of, steps=200, near=1e-4).eigenvalue == pytest.approx(-6, rel=1e-3)


SADDLE = torch.tensor([1.0, -3.0])


def test_a_straight_loss_has_none_and_one_without_gradient_is_refused() -> None:
    model = nn.Linear(2, 1)
    of = objective(model, (torch.randn(4, 2), torch.zeros(4)), loss=lambda m, x, _: m(x).mean())
    assert curvature(model, of).eigenvalue == 0
    with pytest.raises(Refusal, match="it gives no gradient"):
        curvature(model, of._replace(loss=lambda m, x, _: m(x).detach().mean()))
    with pytest.raises(Refusal, match="second derivatives are not numbers"):
        curvature(model, of._replace(loss=lambda m, x, _: (m(x) * torch.inf).square().mean()))


def test_a_networks_largest_eigenvalue_is_that_of_its_whole_hessian(digits: Splits) -> None:
    """Real digits; BatchNorm, a ReLU in place; the Hessian by double differentiation of the same function."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(8, 10)
    )
    x, y = digits.test.pixels[:64] / 16.0, digits.test.labels[:64]
    found = curvature(model, objective(model, (x, y), size=40), steps=300, near=1e-3)
    assert model[2].inplace
    assert model.training
    model.eval()[2].inplace = False
    names = [name for name, _ in model.named_parameters()]

    def loss(*weights: Tensor) -> Tensor:
        out = torch.func.functional_call(model, dict(zip(names, weights, strict=True)), x)
        return nn.functional.cross_entropy(out, y)

    blocks = torch.autograd.functional.hessian(loss, tuple(p.detach() for p in model.parameters()))
    sizes = [p.numel() for p in model.parameters()]
    whole = torch.cat(
        [
            torch.cat([b.reshape(n, m) for b, m in zip(row, sizes, strict=True)], 1)
            for row, n in zip(blocks, sizes, strict=True)
        ]
    )
    values = torch.linalg.eigvalsh(whole.double())
    assert found.eigenvalue == pytest.approx(float(values[values.abs().argmax()]), rel=1e-2)


def test_sharpness_is_as_the_formula_says(regression: tuple[nn.Linear, Objective, Tensor]) -> None:
    """At a minimum the loss rises by r²·dᵀHd/2 along d, to both sides alike."""
    model, of, hessian = regression
    kept = model.weight.detach().clone()
    found = sharpness(model, of, radius=0.4, directions=5, steps=2, seed=7)
    directions = torch.stack([random_direction(model, 35 + number) for number in range(5)]).double()
    rises = torch.einsum("di,ij,dj->d", directions, hessian, directions)[:, None] * found.radii.square() / 2
    torch.testing.assert_close(found.losses, found.here + rises, rtol=1e-4, atol=1e-5)
    assert found.radii.tolist() == pytest.approx([-0.4, -0.2, 0, 0.2, 0.4])
    assert found.here == loss_at(model, of)
    assert found.worst == pytest.approx(float(rises.max()) / (1 + found.here), rel=1e-3)
    assert found.average == pytest.approx(float(rises[:, -1].mean()) / (1 + found.here), rel=1e-3)
    assert torch.equal(model.weight, kept)


def test_no_radius_no_sharpness(regression: tuple[nn.Linear, Objective, Tensor]) -> None:
    model, of, _ = regression
    for wrong in ({"radius": 0.0}, {"directions": 0}, {"steps": 0}, {"radius": torch.nan}):
        with pytest.raises(Refusal, match="Cannot measure sharpness within"):
            sharpness(model, of, **wrong)
