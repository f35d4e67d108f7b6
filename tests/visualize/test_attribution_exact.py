"""Attribution where the answer is known by hand, on strange networks, and for who asks for what there is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from striate.blueprint import NotFound, Refusal
from striate.nn.build import Network
from striate.visualize.attribution import METHODS, attribute

QUICK = {"integrated-gradients": {"steps": 3}, "smooth-grad": {"samples": 3}, "occlusion": {"window": 3, "stride": 2}}


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 6, 3))


def convolutional(relu: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        relu(),
        nn.Conv2d(4, 5, 3),
        relu(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )


def images(n: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, 2, 5, 6, generator=torch.Generator().manual_seed(2)).to(dtype)


def test_of_a_linear_network_the_parts_are_weights_times_values() -> None:
    model, x = linear(), images()
    weight = model[1].weight.detach()[2].view(2, 5, 6)
    with torch.no_grad():
        scores = model(x)[:, 2]
    slopes = attribute(model, x, "gradient", 2)
    assert torch.allclose(slopes.channels, weight.expand(2, -1, -1, -1))
    assert torch.allclose(slopes.values, weight.abs().amax(0).expand(2, -1, -1))
    assert torch.allclose(slopes.scores, scores)
    parts = attribute(model, x, "input-x-gradient", 2)
    assert torch.allclose(parts.channels, weight * x)
    assert torch.allclose(parts.values.sum((1, 2)) + model[1].bias[2].detach(), scores, atol=1e-5)
    base = torch.full((2, 5, 6), 0.5)
    for baseline in (0.5, base, base.expand(2, -1, -1, -1)):
        integrated = attribute(model, x, "integrated-gradients", 2, baseline=baseline, steps=1)
        assert torch.allclose(integrated.channels, weight * (x - 0.5), atol=1e-6)
        assert integrated.error.abs().max() < 1e-5
    assert torch.allclose(attribute(model, x, "smooth-grad", 2, samples=2).channels, slopes.channels, atol=1e-6)


def test_a_window_over_a_linear_network_costs_what_is_in_it() -> None:
    model, x = linear(), images()
    weight = model[1].weight.detach()[1].view(2, 5, 6)
    cost = (weight * (x - 0.25)).sum(1)
    total, over = torch.zeros(2, 5, 6), torch.zeros(5, 6)
    for top in (0, 2):
        for left in (0, 3):  # the last one reaches over the edge
            rows, columns = slice(top, top + 3), slice(left, left + 4)
            total[:, rows, columns] += cost[:, rows, columns].sum((1, 2), keepdim=True)
            over[rows, columns] += 1
    heat = attribute(model, x, "occlusion", 1, window=(3, 4), stride=(2, 3), fill=0.25)
    assert torch.allclose(heat.values, total / over, atol=1e-5)


def test_the_gradient_is_what_differences_say() -> None:
    model, x = convolutional(nn.Tanh).double(), images(1, torch.float64)
    found = attribute(model, x, "gradient", 1).channels[0]
    for place in ((0, 0, 0), (1, 2, 3), (0, 4, 5)):
        step = torch.zeros_like(x[0])
        step[place] = 1e-3
        with torch.no_grad():
            slope = (model(x + step) - model(x - step))[0, 1] / 2e-3
        assert found[place] == pytest.approx(float(slope), rel=1e-3)


def test_integrated_gradients_are_complete(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    few, many = (attribute(resnet, x, "integrated-gradients", [3, 5], steps=steps) for steps in (4, 64))
    with torch.no_grad():
        difference = (resnet(x) - resnet(torch.zeros_like(x)))[[0, 1], [3, 5]]
    assert torch.allclose(many.error, many.channels.sum((1, 2, 3)) - difference, atol=1e-4)
    assert many.error.abs().max() < 0.02 * difference.abs().max()
    assert many.error.abs().max() < few.error.abs().max()


def test_the_mean_of_a_class_activation_map_is_the_score(resnet: Network, squeezenet: Network) -> None:
    for model, layer, bias in (
        (resnet, "stage3.2.act", resnet.get_submodule("fc").bias),
        (squeezenet, "conv10.act", None),
    ):
        x = torch.randn(2, *model.graph.volume, generator=torch.Generator().manual_seed(0)) * 50
        heat = attribute(model, x, "cam")
        own = 0 if bias is None else bias.detach()[heat.targets]
        assert heat.layer == layer
        assert torch.allclose(heat.cells.mean((1, 2)) + own, heat.scores, rtol=1e-4, atol=1e-4)
        again = attribute(model, x, "grad-cam", heat.targets, layer)  # such a head's slopes are the weights / cells
        cells = heat.cells[0].numel()
        assert torch.allclose(again.cells * cells, heat.cells.relu(), rtol=1e-3, atol=1e-3 * float(heat.cells.max()))
        assert heat.values.shape == (2, *x.shape[2:])


def test_grad_cam_plus_plus_by_hand() -> None:
    model, x = convolutional(nn.Tanh), images(1)
    with torch.no_grad():
        value = model[:4](x)
    [slopes] = torch.autograd.grad(model[4:](value.requires_grad_())[0, 1], value)
    expected = torch.zeros(value.shape[2:])
    for k in range(value.shape[1]):
        g, a = slopes[0, k], value.detach()[0, k]
        share = g**2 / (2 * g**2 + a.sum() * g**3)
        expected += (share * g.clamp(min=0)).sum() * a
    heat = attribute(model, x, "grad-cam++", 1, layer="3")
    assert torch.allclose(heat.cells[0], expected.clamp(min=0), atol=1e-6)
    assert heat.cells.max() > 0


class Strange(nn.Module):
    """The same network as `convolutional`, in many ways of writing a ReLU."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inside, self.kind = convolutional(), kind
        self.relu = nn.ReLU(inplace=True)

    def rectified(self, x: Tensor) -> Tensor:
        match self.kind:
            case "function":
                return F.relu(x)
            case "in place":
                return F.relu(x, inplace=True)
            case "method":
                return x.relu_()
            case "clamp":
                return x.clamp(min=0)
            case "threshold":
                return F.threshold(x, 0.0, 0.0)
            case "checkpointed":
                return checkpoint(F.relu, x, use_reentrant=False)
        return self.relu(x)  # one module, run twice

    def forward(self, x: Tensor) -> Tensor:
        one, _, two, _, *rest = self.inside
        return nn.Sequential(*rest)(self.rectified(two(self.rectified(one(x)))))


@pytest.mark.parametrize("kind", ["function", "in place", "method", "clamp", "threshold", "reused", "checkpointed"])
def test_every_way_of_writing_a_relu_is_guided(kind: str) -> None:
    x = images()
    one, two = convolutional()[0], convolutional()[2]
    with torch.no_grad():
        first = one(x)
        second = two(first.relu())
    weights = convolutional()[6].weight.detach()[1].view(1, 5, 1, 1) / second[0, 0].numel()
    down = weights.clamp(min=0) * (second > 0)  # the rule, by hand
    down = F.conv_transpose2d(down, two.weight.detach()).clamp(min=0) * (first > 0)
    expected = F.conv_transpose2d(down, one.weight.detach(), padding=1)
    found = attribute(Strange(kind), x, "guided-backprop", 1).channels
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, attribute(Strange(kind), x, "gradient", 1).channels, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_dtype(method: str, dtype: torch.dtype) -> None:
    exact = attribute(convolutional(), images(), method, 1, **QUICK.get(method, {})).values
    found = attribute(convolutional().to(dtype), images(), method, 1, **QUICK.get(method, {})).values
    assert found.dtype == torch.float32
    near = 0.1 if dtype is torch.bfloat16 else 1e-4
    if (method, dtype) != ("grad-cam++", torch.bfloat16):  # cubes of tiny slopes: eight bits say little
        assert (found - exact).abs().mean() <= near * exact.abs().mean()


class Before(nn.Module):
    """Its first step is done in place, on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = convolutional()
        self.inside.insert(2, nn.BatchNorm2d(4))
        self.inside.insert(3, nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        return self.inside(x)


@pytest.mark.parametrize("method", METHODS)
def test_afterwards_all_is_as_it_was(method: str) -> None:
    model, x = Before().train(), images()
    kept_x, state = x.clone(), {name: value.clone() for name, value in model.state_dict().items()}
    model.inside[0].weight.grad = kept = torch.ones_like(model.inside[0].weight)
    model.inside[0].bias.requires_grad_(False)
    told: list[int] = []
    heat = attribute(model, x, method, tick=told.append, **QUICK.get(method, {}))
    assert told[-1] == 2
    assert torch.equal(x, kept_x)
    assert not x.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(part.training for part in model.modules())
    assert [p.requires_grad for p in model.parameters()][:3] == [True, False, True]
    assert model.inside[0].weight.grad is kept
    assert not any(part._forward_hooks or part._backward_hooks for part in model.modules())
    with torch.no_grad():
        scores = model.eval()(x.clone())
    assert torch.allclose(heat.scores, scores.amax(1), atol=1e-6)
    assert torch.equal(heat.targets, scores.argmax(1))
    assert torch.allclose(heat.shares, scores.softmax(1).amax(1), atol=1e-6)
    assert not heat.values.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_one_at_a_time_or_all_at_once(method: str) -> None:
    options = QUICK.get(method, {})
    model, x = convolutional(), images(3)
    together = attribute(model, x, method, [0, 1, 2], at_once=8, **options)
    apart = attribute(model, x, method, [0, 1, 2], at_once=1, **options)
    assert torch.allclose(together.values, apart.values, atol=1e-5)
    assert together.targets.tolist() == [0, 1, 2]
    with torch.inference_mode():  # whoever asks may have forgotten that
        inside = attribute(model, x.clone(), method, [0, 1, 2], **options)
    assert torch.allclose(inside.values, together.values, atol=1e-5)


def test_ways_to_name_a_class(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    for target in ("ship", 8, "8", [8, "ship"], torch.tensor([8, 8]), torch.tensor(8), np.array([8, 8]), np.int64(8)):
        assert attribute(resnet, x, "grad-cam", target).targets.tolist() == [8, 8]


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        ({"method": "gradcam"}, NotFound, 'No method "gradcam". Near: grad-cam'),
        ({"target": "shipp"}, NotFound, 'No class "shipp". Near: ship'),
        ({"target": 10}, Refusal, "Cannot look for class 10: the network tells 10 classes apart.\n    0 to 9."),
        ({"target": -1}, Refusal, "Cannot look for class -1: "),
        ({"target": 1.5}, Refusal, "Cannot look for 1.5: a class is a whole number or a name."),
        ({"target": torch.tensor([1.0])}, Refusal, "Cannot look for 1.0: a class is a whole number or a name."),
        (
            {"target": torch.eye(10)[:1]},
            Refusal,
            "Cannot look for a target of 10: a class is a whole number or a name.\n    Of scores or one-hot rows,",
        ),
        ({"target": {"a": 1}}, Refusal, "Cannot look for {'a': 1}: a class"),
        ({"target": "9" * 20}, Refusal, "Cannot look for class 99999999999999999999: no network tells so many apart."),
        ({"at_once": -1}, Refusal, "Cannot work on -1 images at once.\n    1 at least;"),
        ({"at_once": 0.5}, Refusal, "Cannot work on 0.5 images at once."),
        ({"target": [1, 2, 3]}, Refusal, "Cannot look for 3 classes in 1 image: one for each, or one for all."),
        ({"layer": "stage4"}, NotFound, 'No layer "stage4". Near: stage3, stage2, stage1'),
        ({"layer": "fc"}, Refusal, "Cannot see where fc is active: it gives 10×1×1, no map."),
        ({"method": "cam", "layer": "stage3.1"}, Refusal, "Cannot map class activations at stage3.1: more"),
        ({"method": "gradient", "steps": 3}, Refusal, "Cannot give gradient steps.\n    It takes at_once, tick."),
        ({"method": "gradient", "layer": "fc"}, Refusal, "Cannot look at a layer by gradient: it looks at"),
        ({"method": "integrated-gradients", "steps": 0}, Refusal, "Cannot integrate in 0 steps."),
        (
            {"method": "integrated-gradients", "baseline": torch.zeros(4, 4)},
            Refusal,
            "Cannot start from a baseline of 4×4: images are 3×32×32.",
        ),
        ({"method": "smooth-grad", "samples": 0}, Refusal, "Cannot smooth over 0 samples of noise 0.15."),
        ({"method": "occlusion", "window": 40}, Refusal, "Cannot cover an image of 32×32 with windows of 40×40 every"),
        ({"method": "occlusion", "window": 4, "stride": 5}, Refusal, "Cannot cover an image of 32×32 with windows"),
    ],
)  # fmt: skip
def test_who_asks_for_what_there_is_not(resnet: Network, asked: dict[str, Any], kind: type[Refusal], says: str) -> None:
    with pytest.raises(kind) as refused:
        attribute(resnet, torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), **asked)
    assert str(refused.value).startswith(says)


class Answers(nn.Module):
    def __init__(self, how: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.how, self.conv = how, nn.Conv2d(2, 3, 3)

    def forward(self, x: Tensor) -> Any:
        return self.how(self.conv(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("how", "method", "says"),
    [
        (lambda s: s.detach(), "gradient", "Answers gives no gradient: its answer follows from the image, but"),
        (lambda s: s.argmax(1), "gradient", "Cannot ask Answers for a class: it answers with a tensor of 2."),
        (lambda s: s.round().long(), "gradient", "Cannot attribute Answers's answer: it is int64, which has"),
        (lambda s: torch.ones(2, 3), "gradient", "Answers gives no gradient: its answer is the same whatever"),
        (lambda s: s / 0 * 0, "gradient", "Cannot ask this model: its answers are not numbers."),
        (lambda s: ["cat"], "gradient", "Cannot ask this network for a class: it answers with list."),
        (lambda s: s.tanh(), "guided-backprop", "Cannot guide Answers: it has no ReLU, guided or not the gradient is"),
        (lambda s: (s * 0).sqrt(), "gradient", "Cannot show gradient: 60 values of its map are not numbers."),
    ],
)  # fmt: skip
def test_networks_that_give_no_gradient(how: Callable[[Tensor], Any], method: str, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        attribute(Answers(how), images(), method)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize("other", [lambda x: x.clamp(min=-0.1), lambda x: F.threshold(x, 0.1, 0.0), F.hardtanh])
def test_what_bends_elsewhere_than_at_0_is_no_relu(other: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(Refusal, match="Cannot guide Answers: it has no ReLU"):
        attribute(Answers(other), images(), "guided-backprop")


def test_what_hides_its_relus_is_not_guided() -> None:
    class Hidden(Strange):
        def rectified(self, x: Tensor) -> Tensor:
            return checkpoint(F.relu, x, use_reentrant=True)

    with pytest.raises(Refusal, match="Cannot guide Hidden: CheckpointFunction hides what is inside it"):
        attribute(Hidden(""), images(), "guided-backprop")


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(2, 5, 6), "Cannot look at images of 2×5×6.\n    N×C×H×W: x[None] makes one of an image."),
        (torch.zeros(0, 2, 5, 6), "Cannot look at images of 0×2×5×6."),
        (torch.zeros(1, 2, 5, 6, dtype=torch.uint8), "Cannot look at uint8 images."),
        (torch.full((3, 2, 5, 6), float("nan")), "Cannot look at image 0: 60 of its 60 values are no numbers."),
        (np.zeros((1, 2, 5, 6)), "Cannot look at a ndarray: a tensor N×C×H×W is wanted.\n    torch.from_numpy makes"),
        (torch.zeros(2, 3, 5, 6), "Cannot run Sequential on 3×5×6.\n    "),
    ],
)
@pytest.mark.parametrize("method", ["gradient", "integrated-gradients", "occlusion"])
def test_what_is_no_image(x: Tensor, says: str, method: str) -> None:
    with pytest.raises(Refusal) as refused:
        attribute(linear(), x, method, window=2) if method == "occlusion" else attribute(linear(), x, method)
    assert str(refused.value).startswith(says)


def test_a_fault_that_is_not_the_images_is_not_hidden() -> None:
    class Broken(nn.Module):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            if self.runs == 1:
                raise RuntimeError("the disk is full")
            return x.mean((2, 3))

    with pytest.raises(RuntimeError, match="the disk is full"):
        attribute(Broken(), images(), "gradient")
