"""A run that goes no further than what is looked at needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate import build
from striate.blueprint import Activation, Linear, NotFound, Refusal, Seq
from striate.nn.build import Network
from striate.visualize.watching import as_far_as, undisturbed, values


class Counted(nn.Module):
    """Counts its runs, and hands on what it reads."""

    runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return x


class Twice(nn.Module):
    """One layer run twice, another behind them, and a head for one size alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.behind, self.fc = nn.Conv2d(3, 3, 3, padding=1), Counted(), nn.Linear(3 * 64, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.conv(x).relu())
        return self.fc(self.behind(x).flatten(1))


@pytest.mark.parametrize("names", [["stem"], ["stage2.0.sum", "stem.norm"], ["out", "stage1.1"]])
def test_values_are_those_of_whole_runs(resnet: Network, names: list[str]) -> None:
    x = torch.randn(2, 3, 32, 32)
    whole = values(resnet, x, names)
    with torch.no_grad(), undisturbed(resnet), as_far_as(resnet, names) as run:
        for _ in range(2):
            part = run(x)
            assert part.keys() == whole.keys()
            assert all(torch.equal(part[name], whole[name]) for name in names)
    assert resnet.watch is None


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "googlenet"])
def test_other_peoples_networks(name: str) -> None:
    kwargs = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = getattr(torchvision().models, name)(weights=None, **kwargs)
    layer = {"squeezenet1_1": "features.5", "resnet18": "layer2", "googlenet": "inception3b"}[name]
    x = torch.randn(1, 3, 64, 64)
    whole = values(model, x, [layer])[layer]
    with torch.no_grad(), undisturbed(model), as_far_as(model, [layer]) as run:
        assert all(torch.equal(run(x)[layer], whole) for _ in range(2))
    assert not any(part._forward_hooks for part in model.modules())


def test_what_comes_later_does_not_run() -> None:
    model, x = Twice(), torch.randn(1, 3, 8, 8, requires_grad=True)
    second = model.conv(model.conv(x).relu())
    with undisturbed(model), as_far_as(model, ["conv"]) as run:
        for _ in range(3):
            found = run(x)["conv"]
            assert torch.allclose(found, second)  # the last of its runs counts
    assert model.behind.runs == 1
    [gradient] = torch.autograd.grad(found.sum(), x)
    assert torch.allclose(gradient, torch.autograd.grad(second.sum(), x)[0])


def test_later_layers_refuse_no_size(lenet: Network) -> None:
    x = torch.randn(1, 1, 50, 44)
    with pytest.raises(Refusal):
        lenet(x)
    with torch.no_grad(), undisturbed(lenet), as_far_as(lenet, ["conv2.act"]) as run:
        assert run(x)["conv2.act"].shape == (1, 16, 19, 16)
    model = Twice()
    with torch.no_grad(), undisturbed(model), as_far_as(model, ["conv"]) as run:
        assert run(torch.randn(1, 3, 20, 20))["conv"].shape == (1, 3, 20, 20)
    with (
        torch.no_grad(),
        undisturbed(model),
        as_far_as(model, ["fc"]) as run,
        pytest.raises(Refusal, match="Cannot run Twice on 3×20×20"),
    ):
        run(torch.randn(1, 3, 20, 20))


def test_parts_are_the_models_own(resnet: Network) -> None:
    modes = [part.training for part in resnet.modules()]
    with undisturbed(resnet), as_far_as(resnet, ["stage1"]) as run:
        x = torch.randn(1, 3, 32, 32)
        before = run(x)["stage1"]
        with torch.no_grad():
            resnet.get_submodule("stem.conv").weight.mul_(2)
            after = run(x)["stage1"]
            resnet.get_submodule("stem.conv").weight.div_(2)
    assert not torch.allclose(before, after)
    assert [part.training for part in resnet.modules()] == modes
    with pytest.raises(NotFound, match='No layer "stagee1"'), as_far_as(resnet, ["stagee1"]):
        pass


def test_out_is_the_answer_whatever_else_has_that_name() -> None:
    """An attribute that is no module; a part of ours with layers in it."""

    class Ten(nn.Module):
        out = 10

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, self.out)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.flatten(1))

    model, x = Ten(), torch.randn(2, 1, 2, 2)
    assert torch.equal(values(model, x, ["out"])["out"], model(x))
    ours = build(Seq(out=Seq(fc=Linear(10), end=Activation("softmax"))), "1x2x2")
    assert torch.allclose(values(ours, x, ["out"])["out"], ours(x).log(), atol=1e-6)
