"""How weights are drawn, what dropout becomes, and that what is frozen does not move."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn

from striate.blueprint import (
    BatchNorm,
    CannotTrain,
    Conv,
    Dropout,
    DropPath,
    GlobalPool,
    Layer,
    Linear,
    LocallyConnected,
    NotFound,
    Relu,
    Residual,
    Seq,
    draft,
)
from striate.nn import build
from striate.nn.modules import DropPath as Path
from striate.training import revised
from striate.training.loss import loss_of
from striate.training.optimise import optimizer, put
from striate.training.prepare import frozen, initialised, prepared


def network() -> nn.Module:
    torch.manual_seed(0)
    body = Seq(conv=Conv(64, 3, padding=1, groups=4), norm=BatchNorm(), drop=DropPath(0.1))
    deep = Seq(conv=Conv(64, 3, padding=1), norm=BatchNorm(), drop=DropPath(0.2))
    parts = {"stem": Seq(conv=Conv(64, 3), norm=BatchNorm(), act=Relu), "one": Residual(body), "two": Residual(deep)}
    return build(Seq(**parts, mean=GlobalPool(), drop=Dropout(0.3), fc=Linear(10)), "3x8x8")


DEVIATION = {  # by the fans of 64 filters of 3×3 on 64 channels
    "he": sqrt(2 / 576),
    "xavier": sqrt(2 / (576 + 576)),
    "lecun": 2.4 / 576 / sqrt(3),
    "gaussian(0.05)": 0.05,
}


@pytest.mark.parametrize("word", DEVIATION)
def test_weights_are_drawn_as_it_says(word: str) -> None:
    model = network()
    norms = {n: p.data.normal_().clone() for n, p in model.named_parameters() if ".norm." in n}
    initialised(model, word, ("stem.norm",))
    weight = model.get_submodule("two.body.conv").weight
    assert weight.std().item() == pytest.approx(DEVIATION[word], rel=0.02)
    assert abs(weight.mean().item()) < 3 * DEVIATION[word] / sqrt(weight.numel())
    if word in ("xavier", "lecun"):
        bound = DEVIATION[word] * sqrt(3)
        assert bound * 0.999 < weight.abs().max().item() <= bound
    biases = [p for n, p in model.named_parameters() if n.endswith("bias") and n not in norms]
    assert not any(bias.any() for bias in biases)
    assert all(torch.equal(p, norms[n]) for n, p in model.named_parameters() if n in norms)


def test_fans_are_torch_s_also_in_groups() -> None:
    model = network()
    initialised(model, "he")
    grouped = model.get_submodule("one.body.conv").weight
    assert grouped.std().item() == pytest.approx(sqrt(2 / 144), rel=0.03)
    again = torch.empty(64, 64, 3, 3)
    nn.init.kaiming_normal_(again, nonlinearity="relu")
    assert again.std().item() == pytest.approx(DEVIATION["he"], rel=0.02)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Conv(64, 3), 32 * 9),
        (Conv(64, 3, groups=4), 8 * 9),
        (Conv(64, 3, transposed=True), 32 * 9),
        (LocallyConnected(64, 3), 32 * 9),
        (Linear(64), 32 * 36),
    ],
)
def test_he_s_deviation_follows_the_inputs_of_a_value(layer: Layer, inputs: int) -> None:
    model = build(draft(layer, "32x6x6"))
    initialised(model, "he")
    weight = next(p for n, p in model.named_parameters() if n.endswith("weight"))
    assert weight.std().item() == pytest.approx(sqrt(2 / inputs), rel=0.03)


def test_some_biases_start_at_one() -> None:
    model = network()
    initialised(model, "gaussian(0.01)", ("stem", "fc"))
    values = {n: p.unique().tolist() for n, p in model.named_parameters() if n.endswith("bias") and ".norm." not in n}
    assert values == {
        "stem.conv.bias": [1.0],
        "one.body.conv.bias": [0.0],
        "two.body.conv.bias": [0.0],
        "fc.bias": [1.0],
    }
    with pytest.raises(NotFound, match=r'No part of the network "sten". Near: stem'):
        initialised(model, "he", ("sten",))


def test_weights_that_come_from_somewhere_are_left_alone() -> None:
    fresh, trained, plain = network(), network(), network()
    trained.metadata["provenance"] = {"data": "mnist"}
    for model in (fresh, trained):
        prepared(model, revised(initialise="he", dropout=0.5))
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), plain.parameters(), strict=True))
    assert not torch.equal(fresh.get_submodule("fc").weight, plain.get_submodule("fc").weight)
    assert trained.get_submodule("drop").p == 0.5


def test_the_same_seed_draws_the_same() -> None:
    drawn = []
    for seed in (3, 3, 4):
        model = network()
        torch.manual_seed(len(drawn))
        before = torch.random.get_rng_state()
        prepared(model, revised(initialise="he", seed=seed))
        assert torch.equal(torch.random.get_rng_state(), before)
        drawn.append([p.clone() for p in model.parameters() if p.ndim > 1])
    assert all(torch.equal(a, b) for a, b in zip(*drawn[:2], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(*drawn[1:], strict=True))


def test_dropout_and_drop_path_are_the_recipe_s() -> None:
    model = network()
    prepared(model, revised())
    shares = lambda kind: [m.p for m in model.modules() if isinstance(m, kind)]  # noqa: E731
    assert (shares(nn.Dropout), shares(Path)) == ([0.3], [0.1, 0.2])
    prepared(model, revised(dropout=0.0, drop_path=0.4))
    assert (shares(nn.Dropout), shares(Path)) == ([0.0], pytest.approx([0.2, 0.4]))  # the deepest has it


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop", "muon"])
def test_what_is_frozen_keeps_every_bit(name: str) -> None:
    model = network()
    recipe = revised(optimizer=name, lr=0.1, freeze=("stem", "one.body"))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    frozen(model, recipe)
    optimiser = optimizer(model, recipe)
    for _ in range(3):
        model.train()
        frozen(model, recipe)  # as often as one likes
        loss_of(model(torch.randn(8, 3, 8, 8)), torch.randint(10, (8,)), recipe).backward()
        optimiser.step()
    same = {n for n, t in model.state_dict().items() if torch.equal(t, before[n])}
    assert same == {n for n in before if n.startswith(("stem.", "one.body."))}
    norm = model.get_submodule("stem.norm")
    assert len(norm._forward_pre_hooks) == 1


def test_a_frozen_norm_normalises_by_what_it_has() -> None:
    model = network()
    frozen(model, revised(freeze="stem"))
    x, stem = torch.randn(8, 3, 8, 8) * 5, lambda x: model.stem.norm(model.stem.conv(x))
    expected = stem(x) if not model.eval().training else None
    model.train()
    assert torch.equal(stem(x), expected)


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match=r'No part of the network "on". Near: one'):
        frozen(network(), revised(freeze="on"))
    with pytest.raises(NotFound) as refused:
        prepared(network(), revised(initialise="he", ones="stem,conv4"))
    assert "The recipe names it: ones=stem,conv4." in str(refused.value)
    assert str(refused.value).endswith("--set ones=none.")


def test_identity_passes_channels_on_and_keeps_the_head_small() -> None:
    model = build(Seq(conv=Conv(32, 3, padding=1), mean=GlobalPool(), fc=Linear(10)), "16x8x8")
    initialised(model, "identity")
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(model.conv(x)[:, :16], x)
    others = model.conv.weight[16:]
    assert 0.9 / 12 < others.abs().max().item() <= 1 / 12  # 16·9 inputs
    assert model.fc.weight.std().item() == pytest.approx(1 / 32, rel=0.15)


def test_a_rate_of_0_holds_still_and_others_scale_the_step() -> None:
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    recipe = revised(rates="*.norm.weight=0, fc.*=0.5", optimizer="sgd", momentum=0.0, weight_decay=0.0)
    frozen(model, recipe)
    optimiser = optimizer(model, recipe)
    for p in model.parameters():
        p.grad = torch.ones_like(p) if p.requires_grad else None
    put(optimiser, 0.1)
    optimiser.step()
    for name, p in model.named_parameters():
        times = 0.0 if name.endswith("norm.weight") else 0.5 if name.startswith("fc.") else 1.0
        torch.testing.assert_close(before[name] - p, torch.full_like(p, 0.1 * times), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fields", [{"freeze": ("stem", "one", "two", "fc")}, {"rates": ("*=0",)}], ids=str)
def test_where_nothing_is_left_to_learn_it_says_so_and_what_holds_it(fields: dict[str, tuple[str, ...]]) -> None:
    [(field, values)] = fields.items()
    with pytest.raises(CannotTrain) as refused:
        frozen(network(), revised(**fields))
    assert f"The recipe says {field}={','.join(values)}." in str(refused.value)
    assert "--set freeze=none --set rates=none" in str(refused.value)
    frozen(model := network(), revised(freeze=("stem", "one", "two")))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}


def test_a_network_without_weights_is_none_to_train() -> None:
    with pytest.raises(CannotTrain, match="of its 0 tensors of weights none is left to learn"):
        frozen(build(Seq(mean=GlobalPool()), "3x8x8"), revised())


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(CannotTrain) as refused:
        frozen(network(), revised(rates="norms=0"))
    assert str(refused.value).startswith('Cannot train with the rate "norms=0": no parameter has such a name.')
    with pytest.raises(CannotTrain, match="is written like this"):
        revised(rates="fc.bias")
