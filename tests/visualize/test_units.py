"""A network is looked into by names, and is afterwards as it was."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate.blueprint import CannotRead, NotFound, Refusal
from striate.nn.build import Network
from striate.visualize.units import Unit, map_layer, unit
from striate.visualize.watching import known, undisturbed, values, watched


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("stage2.0", Unit("stage2.0")),
        ("stem.conv:15", Unit("stem.conv", 15)),
        ("stem.conv:15@3,5", Unit("stem.conv", 15, (3, 5))),
        ("stem.conv@3,5", Unit("stem.conv", None, (3, 5))),
        ("stage1.0.sum:0", Unit("stage1.0.sum", 0)),
        ("out:ship", Unit("out", 8)),
        ("out:8", Unit("out", 8)),
        ("out", Unit("out")),
    ],
)
def test_a_unit_is_a_text(resnet: Network, text: str, means: Unit) -> None:
    assert unit(resnet, text) == means
    assert unit(resnet, str(means)) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stem.convv:3", 'No layer "stem.convv". Near: stem.conv'),
        ("out:shipp", 'No class "shipp". Near: ship'),
        ("stem.conv:many", 'Cannot read "many" as a channel of stem.conv.\n    A number from 0: stem.conv:17'),
        ("stem.conv@3", 'Cannot read "stem.conv@3" as a unit.'),
    ],
)
def test_what_is_no_unit(resnet: Network, text: str, says: str) -> None:
    with pytest.raises((NotFound, CannotRead)) as refused:
        unit(resnet, text)
    assert str(refused.value).startswith(says)


def test_a_unit_takes_its_part_of_the_value(resnet: Network) -> None:
    value = values(resnet, torch.randn(2, 3, 32, 32), ["stem"])["stem"]
    assert value.shape == (2, 16, 32, 32)
    assert torch.equal(Unit("stem", 3).of(value), value[:, 3])
    assert torch.equal(Unit("stem", 3, (1, 31)).of(value), value[:, 3, 1, 31])
    with pytest.raises(Refusal, match=r"Cannot see stem:16: stem has 16 channels, channel 16 .*\n    0 to 15\."):
        Unit("stem", 16).of(value)
    with pytest.raises(Refusal, match=r"stem:1@0,32: stem has 32 columns, column 32"):
        Unit("stem", 1, (0, 32)).of(value)


def test_values_are_those_of_the_network_run_by_hand(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    found = values(resnet, x, ["stem", "stage1.0.sum", "out"])
    with torch.no_grad():
        stem = torch.relu(resnet.get_submodule("stem.norm")(resnet.get_submodule("stem.conv")(x)))
        block = resnet.get_submodule("stage1.0.sum.body")
        inner = torch.relu(block.get_submodule("0.norm")(block.get_submodule("0.conv")(stem)))
        total = stem + block.get_submodule("1.norm")(block.get_submodule("1.conv")(inner))
        assert torch.allclose(found["stem"], stem, atol=1e-6)
        assert torch.allclose(found["stage1.0.sum"], total, atol=1e-5)
        assert torch.allclose(found["out"], resnet(x), atol=1e-5)


class Reused(nn.Module):
    """One ReLU, in place, run twice; and an addition in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        first = self.relu(self.one(x))
        second = self.two(first)
        second += first
        return self.relu(second).mean((2, 3))


def test_what_is_done_in_place_later_is_not_done_to_what_was_kept() -> None:
    model, x = Reused(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        one = model.one(x).clone()
        two = model.two(one.relu()).clone()
    found = values(model, x, ["one", "two", "relu"])
    assert torch.allclose(found["one"], one)
    assert torch.allclose(found["two"], two)
    assert torch.allclose(found["relu"], (two + one.relu()).relu())
    assert model.relu.inplace


def test_gradients_pass_through_what_is_watched() -> None:
    model, x = Reused(), torch.randn(2, 3, 8, 8, requires_grad=True)
    with undisturbed(model), watched(model, ["two"]) as found:
        total = model(x).sum()
    to_two, to_x = torch.autograd.grad(total, [found["two"], x])
    [alone] = torch.autograd.grad(model(x).sum(), [x])
    assert torch.allclose(to_x, alone)
    assert to_two.abs().sum() > 0


@pytest.mark.parametrize("weights", [False, True])
def test_a_network_is_afterwards_as_it_was(resnet: Network, weights: bool) -> None:
    kept = torch.ones(4, 3, 3, 3)
    for model in (Reused().train(), resnet):
        if isinstance(model, Reused):
            model.one.weight.grad = kept
        modes = [part.training for part in model.modules()]
        with contextlib.suppress(ZeroDivisionError), undisturbed(model, weights), watched(model, ["two"]):
            assert not model.training
            assert all(p.requires_grad == weights for p in model.parameters())
            raise ZeroDivisionError
        assert [part.training for part in model.modules()] == modes
        assert all(p.requires_grad for p in model.parameters())
        assert not any(part._forward_hooks for part in model.modules())
        if isinstance(model, Reused):
            assert model.relu.inplace
            assert model.one.weight.grad is kept


def test_the_layer_to_look_at(lenet: Network, resnet: Network, squeezenet: Network) -> None:
    chosen = {m: map_layer(m, torch.randn(1, *m.graph.volume)) for m in (lenet, resnet, squeezenet)}
    assert list(chosen.values()) == ["conv2.act", "stage3.2.act", "body.10.expand"]


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet18", "layer4"), ("vgg11", "features.19"), ("squeezenet1_0", "features"), ("googlenet", "inception5b")],
)
def test_the_layer_to_look_at_in_other_peoples_networks(name: str, layer: str) -> None:
    kwargs = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = getattr(torchvision().models, name)(weights=None, **kwargs)
    assert map_layer(model, torch.randn(1, 3, 224, 224)) == layer


def test_where_there_is_no_map() -> None:
    with pytest.raises(Refusal, match="Cannot choose a layer to look at: none gives a map"):
        map_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(1, 3, 2, 2))


def test_a_layer_that_did_not_run() -> None:
    model = Reused()
    model.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(Refusal, match="Cannot see spare: it did not run, or gave no tensor"):
        values(model, torch.randn(1, 3, 8, 8), ["spare"])
    assert known(model, "spare") == "spare"


def test_a_class_in_quotes_is_its_name(lenet: Network) -> None:
    """Also one that looks like a number, or like a cell."""
    kept = lenet.metadata
    try:
        lenet.metadata = {**kept, "classes": ["7", "a + b", "x@1,2", 'say "so"', *"abcde", "last"]}
        assert unit(lenet, 'out:"7"') == Unit("out", 0)
        assert unit(lenet, "out:7") == Unit("out", 7)
        assert unit(lenet, "out:a + b") == unit(lenet, 'out:"a + b"') == Unit("out", 1)
        assert unit(lenet, 'out:"x@1,2"') == Unit("out", 2)
        assert unit(lenet, 'out:say "so"') == Unit("out", 3)
        with pytest.raises(NotFound, match='No class "8"'):
            unit(lenet, 'out:"8"')
    finally:
        lenet.metadata = kept
