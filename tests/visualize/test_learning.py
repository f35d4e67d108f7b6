"""How values and gradients flow follows from the papers' sums, and the networks stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import striate
from striate.blueprint import CannotTrain, NotFound, Refusal
from striate.nn.build import Network
from striate.visualize.learning import Flowing, anew, flows, share
from striate.visualize.learning_drawn import draw_flows


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


WIDTH, DEPTH = 256, 12


@pytest.fixture(scope="module")
def photos(shared: Path) -> tuple[Tensor, Tensor]:
    """32 photos of CIFAR-10, of its 10 classes, at 16×16."""
    sheet = np.asarray(Image.open(shared / "cifar10" / "train_00.webp").convert("RGB"))
    pixels = torch.from_numpy(sheet[:32].reshape(32, 40, 32, 3).transpose(1, 3, 0, 2)[:32] / 255).float()
    labels = torch.from_numpy(np.load(shared / "cifar10" / "train_labels.npy")[:32].astype(np.int64))
    return F.avg_pool2d((pixels - 0.47) / 0.25, 2), labels


def deep() -> nn.Module:
    layers = [part for _ in range(DEPTH) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(WIDTH, 10))


@pytest.mark.parametrize(
    ("word", "factor"),
    [
        ("he", 1.0),  # He et al. 2015, equation 9: half of n inputs count, n/2 * 2/n = 1
        ("xavier", 0.5**0.5),  # Glorot & Bengio 2010: 1/n, half of which a ReLU takes
        ("gaussian(0.01)", 0.01 * (WIDTH / 2) ** 0.5),
    ],
)
def test_values_shrink_from_layer_to_layer_as_the_papers_say(word: str, factor: float) -> None:
    x = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    [found] = flows({word: anew(deep(), word)}, x, torch.arange(64) % 10)
    deviations = [row.deviation for row in found.weighted[:-1]]
    mean = exp(sum(log(after / before) for before, after in pairwise(deviations)) / (DEPTH - 1))
    assert mean == pytest.approx(factor, rel=0.1)


def test_flow_is_that_of_steps_made_by_hand(photos: tuple[Tensor, Tensor]) -> None:
    x, y = photos
    model = striate.build("resnet20")
    found = {of.step: of for of in flows({"it": model}, x, y, at=(0, 2), lr=0.02, batch=20)}
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), 0.02, 0.9)
    for step, which in enumerate((range(20), [*range(20, 32), *range(8)], range(8, 28))):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x[list(which)]), y[list(which)])
        loss.backward()
        if step in found:
            assert found[step].loss == pytest.approx(loss.item(), rel=1e-4)
            rows = {row.name: row for row in found[step].layers}
            for name in ("stem.conv", "stage2.1.sum.body.0.conv", "fc"):
                weight = model.get_submodule(name).weight
                assert rows[name].gradient == pytest.approx(weight.grad.norm().item(), rel=1e-3)
                assert share(rows[name]) == pytest.approx((weight.grad.norm() / weight.norm()).item(), rel=1e-3)
        optimiser.step()
    assert list(found) == [0, 2]


def test_networks_stay_as_they_are(photos: tuple[Tensor, Tensor]) -> None:
    model = striate.build("resnet20").eval().requires_grad_(False).double()
    before, chance = {name: t.clone() for name, t in model.state_dict().items()}, torch.get_rng_state()
    ticks: list[int] = []
    flows({"one": model, "two": model}, *photos, at=(0, 1), batch=8, tick=ticks.append)
    made = anew(model, "xavier", norms=False)
    assert ticks == [1, 2, 3, 4]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert not model.training
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert torch.equal(chance, torch.get_rng_state())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in made.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def test_norms_hold_up_what_a_small_gaussian_lets_go(photos: tuple[Tensor, Tensor]) -> None:
    plain = striate.build("plain20")
    bare, normed = flows({str(norms): anew(plain, "gaussian(0.01)", norms) for norms in (False, True)}, *photos)
    assert bare.ends[1] < 1e-10 * bare.ends[0]
    assert bare.ends[2] < 1e-10
    assert normed.ends[1] > 0.1 * normed.ends[0]
    assert normed.ends[2] > 1e-3


def test_shortcuts_keep_gradients_in_bounds_where_plain_networks_do_not(photos: tuple[Tensor, Tensor]) -> None:
    nets = {
        f"{kind}{depth}": anew(striate.build(f"{kind}{depth}")) for kind in ("plain", "resnet") for depth in (20, 56)
    }
    grows = {of.network: of.ends[2] / of.ends[3] for of in flows(nets, *photos)}
    assert grows["plain56"] > 5 * grows["plain20"]
    assert grows["plain56"] > 5 * grows["resnet56"]


def test_a_network_that_comes_apart_is_not_gone_on_with(photos: tuple[Tensor, Tensor]) -> None:
    found = flows({"it": anew(striate.build("plain20"), "gaussian(5)", norms=False)}, *photos, at=(0, 1, 2, 3), lr=1e20)
    assert len(found) < 4
    assert json.loads(json.dumps(found[-1].to_json(), allow_nan=False))["loss"] is None


def test_what_is_said(photos: tuple[Tensor, Tensor]) -> None:
    [found] = flows({"plain20": anew(striate.build("plain20"), "gaussian(0.01)", norms=False)}, *photos)
    said = found._replace(layers=found.layers[:1] + found.layers[-1:]).told()
    assert said.startswith("plain20, 0 steps: loss 2.3; values deviate by ")
    value = f"{found.layers[0].deviation:.2g}"
    assert f"by {value} in the first layer, {value} in the last; gradients are" in said
    as_json = found.to_json()
    assert as_json["last_deviation"] == found.weighted[-2].deviation
    assert len(as_json["layers"]) == len(found.layers) == 39  # 20 with weights, 19 ReLUs


def test_what_cannot_learn(photos: tuple[Tensor, Tensor]) -> None:
    x, y = photos
    with pytest.raises(NotFound, match=r'No initialisation "hee"\. Near: he'):
        anew(deep(), "hee")
    with pytest.raises(CannotTrain, match=r"Cannot learn classes 0 to 10 with it: it gives scores of 32×10\."):
        flows({"it": striate.build("plain20")}, x, torch.arange(32) % 11)
    with pytest.raises(CannotTrain, match="Cannot learn from 32 images with 5 labels"):
        flows({"it": striate.build("plain20")}, x, y[:5])
    with pytest.raises(CannotTrain, match=r"Cannot look after \[\] steps"):
        flows({"it": striate.build("plain20")}, x, y, at=())
    weightless = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.BatchNorm2d(3), nn.Flatten())
    with pytest.raises(Refusal, match="Cannot see how it learns: none of its layers has weights"):
        flows({"it": weightless}, x, y)


def test_flows_as_a_picture(photos: tuple[Tensor, Tensor], golden_picture: Callable[[str, bytes], None]) -> None:
    plain: Network = striate.build("plain20")
    nets = {f"{w}{', no norms' * (not n)}": anew(plain, w, n) for n in (False, True) for w in ("he", "gaussian(0.01)")}
    found: list[Flowing] = flows(nets, *photos, at=(0, 2), batch=16)
    golden_picture("flows-plain20", draw_flows(found, "plain20"))
