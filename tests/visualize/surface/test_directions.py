"""Directions are as long as the weights, filter by filter; a module that was moved is afterwards the very same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.nn.build import Network
from striate.nn.locally import LocallyConnected2d
from striate.visualize.surface.directions import between, named, normalised, random_direction
from striate.visualize.surface.weights import movable, moving, vector


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.ConvTranspose2d(6, 4, 3, groups=2),
        LocallyConnected2d(4, 5, (8, 8), 3), nn.Flatten(), nn.Linear(180, 10),
    )  # fmt: skip


def rows(tensor: Tensor, leading: int) -> Tensor:
    return tensor.flatten(leading).flatten(0, leading - 1).norm(dim=1)


def test_each_filter_is_as_long_as_the_models() -> None:
    model = small()
    direction, mine = named(model, random_direction(model, 3)), dict(model.named_parameters())
    for name, leading in (("0.weight", 1), ("6.weight", 1), ("4.weight", 3)):
        torch.testing.assert_close(rows(direction[name], leading), rows(mine[name].detach(), leading))
    found, expected = (t.detach().view(2, 3, 2, 9).transpose(1, 2).reshape(4, 27).norm(dim=1) for t in (
        direction["3.weight"], mine["3.weight"]))  # fmt: skip
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(direction["0.weight"], mine["0.weight"], atol=0.1)


def test_biases_and_norms_stay_unless_asked() -> None:
    model = small()
    stay = ["0.bias", "1.weight", "1.bias", "3.bias", "4.bias", "6.bias", "1.running_mean", "1.running_var"]
    direction = named(model, random_direction(model))
    assert not any(direction[name].any() for name in stay)
    assert {name for name in direction if direction[name].any()} | {*stay} == {*direction}
    moved = named(model, random_direction(model, biases=True))
    for name in stay[:-2]:
        torch.testing.assert_close(moved[name].norm(), movable(model)[name].detach().norm())
    assert not moved["1.running_var"].any()


def test_a_norms_weights_stay_whatever_their_shape() -> None:
    model = nn.Sequential(nn.LayerNorm((3, 4, 4)), nn.Conv2d(3, 2, 3), nn.GroupNorm(1, 2))
    direction = named(model, random_direction(model))
    assert {name for name in direction if direction[name].any()} == {"1.weight"}


def test_other_lengths() -> None:
    model = small()
    given = {name: torch.ones_like(p) for name, p in model.named_parameters()}
    layer = named(model, normalised(model, given, "layer"))["0.weight"]
    torch.testing.assert_close(layer.norm(), model[0].weight.detach().norm())
    assert layer.unique().numel() == 1
    assert torch.equal(named(model, normalised(model, given, "none"))["0.weight"], torch.ones(6, 3, 3, 3))
    with pytest.raises(Refusal, match=r'by "weight"\.\n    One of: filter, layer, none'):
        normalised(model, given, "weight")


def test_a_dead_filter_stays_dead() -> None:
    model = small()
    with torch.no_grad():
        model[0].weight[2] = 0
    direction = named(model, random_direction(model))["0.weight"]
    assert not direction[2].any()
    assert direction[3].any()
    given = {"0.weight": torch.zeros(6, 3, 3, 3)}
    assert not normalised(model, given).any()


def test_the_same_seed_gives_the_same_direction(resnet: Network) -> None:
    assert torch.equal(random_direction(resnet, 1), random_direction(resnet, 1))
    one, other = random_direction(resnet, 1), random_direction(resnet, 2)
    assert abs(torch.cosine_similarity(one, other, dim=0)) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weights_are_moved_in_place_and_given_back_bit_for_bit(dtype: torch.dtype) -> None:
    model = small().to(dtype).to(memory_format=torch.channels_last).train()
    model[6].double()  # two dtypes at once
    model.tied = model[0]
    model.eval()[1].train()
    modes = [module.training for module in model.modules()]
    kept = {name: (t.data_ptr(), t.stride(), t.clone()) for name, t in model.state_dict().items()}
    base, direction = vector(model), random_direction(model)

    def walk() -> None:
        with moving(model) as write:
            assert all(torch.equal(t, kept[name][2]) for name, t in model.state_dict().items())
            write(base, direction, 0.5)
            step = model[0].weight.double() - kept["0.weight"][2].double()
            torch.testing.assert_close(step, 0.5 * named(model, direction)["0.weight"].double(), atol=1e-2, rtol=1e-2)
            assert step.abs().max() > 0.1
            assert model[0].weight.stride() == kept["0.weight"][1]
            assert model.tied.weight is model[0].weight
            assert not model[1].training
            write(base, direction, 0.0)
            assert all(torch.equal(t, kept[name][2]) for name, t in model.state_dict().items())
            write(base, direction, -0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk()
    for name, tensor in model.state_dict().items():
        assert (tensor.data_ptr(), tensor.stride()) == kept[name][:2]
        assert torch.equal(tensor, kept[name][2])
    assert modes == [module.training for module in model.modules()]


def test_from_one_network_to_another() -> None:
    model, other = small(), small()
    with torch.no_grad():
        for tensor in movable(other).values():
            tensor.add_(torch.rand_like(tensor))
    with moving(model) as write:
        write(vector(model), between(model, other), 1.0)
        for name, tensor in movable(model).items():
            torch.testing.assert_close(tensor, movable(other)[name])
    assert torch.equal(between(model, other), between(model, other.state_dict()))


def test_weights_that_do_not_go_together() -> None:
    model, state = small(), small().state_dict()
    with pytest.raises(Refusal, match=r"1 tensor not this network's\. 6\.bias is 11, the network has 10"):
        between(model, state | {"6.bias": torch.zeros(11)})
    with pytest.raises(Refusal, match=r"7\.bias is 11, the network has no such tensor"):
        between(model, state | {"7.bias": torch.zeros(11)})
    with pytest.raises(Refusal, match=r"0\.bias is not among them"):
        between(model, {name: t for name, t in state.items() if name != "0.bias"})
    with torch.no_grad():
        model[0].bias[1] = torch.nan
    with pytest.raises(Refusal, match=r"0\.bias has numbers that are none"):
        vector(model)
    with pytest.raises(Refusal, match="Cannot walk over the loss of Flatten: it has no weights"):
        vector(nn.Flatten())
