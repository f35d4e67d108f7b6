"""Whatever asks a network does so of any: of any dtype, written down by others, answering in their ways; and says so
where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.data.preprocessing import Preprocessing
from striate.visualize.activations import maps, statistics
from striate.visualize.attribution import METHODS, attribute
from striate.visualize.deconvnet import deconvnet
from striate.visualize.embedding import features, last_layer
from striate.visualize.field import effective
from striate.visualize.filters import filters
from striate.visualize.images import Seen
from striate.visualize.learning import flows
from striate.visualize.page import page
from striate.visualize.similarity import similarity
from striate.visualize.surface import curvature, line, objective, random_direction, sharpness
from striate.visualize.trust import randomised
from striate.visualize.units import Unit, map_layer
from striate.visualize.watching import values


class Reader(nn.Module):
    """Two convolutions and a head; `end` makes the answer of the scores. Its `graph` and `metadata` are its own."""

    def __init__(self, end: Callable[[Tensor], Any] = lambda scores: scores) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.ReLU()
        self.fc, self.end, self.graph, self.metadata = nn.Linear(5, 4), end, {"nodes": 3}, "of 2026"

    def forward(self, x: Tensor) -> Any:
        return self.end(self.fc(self.relu(self.two(self.relu(self.one(x)))).mean((2, 3))))


def plain() -> nn.Module:
    torch.manual_seed(0)
    convolutions = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()


X, Y = torch.randn(6, 3, 9, 9, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 4
RULE = Preprocessing(3, (9, 9), (9, 9), (0.0,) * 3, (1.0,) * 3)
Ask = Callable[[nn.Module, Tensor], Any]
INSIDE: dict[str, Ask] = {  # what looks at layers
    "grad-cam": lambda m, x: attribute(m, x, "grad-cam", 1).values,
    "map_layer": map_layer,
    "values": lambda m, x: values(m, x, [map_layer(m, x)])[map_layer(m, x)],
    "last_layer": last_layer,
    "features": lambda m, x: features(m, x).values,
    "maps": lambda m, x: maps(m, x)[0].strength,
    "statistics": lambda m, x: torch.tensor([of.mean for of in statistics(m, x)]),
    "similarity": lambda m, x: similarity(m, x).values,
    "flows": lambda m, x: torch.tensor([row.deviation for row in flows({"m": m}, x, Y[: len(x)])[0].layers]),
    "randomised": lambda m, x: randomised(m, x[:2], "gradient", stages=1).layers,
}
OUTSIDE: dict[str, Ask] = {  # what runs it, and no more
    "gradient": lambda m, x: attribute(m, x, "gradient", 1).values,
    "out": lambda m, x: values(m, x, ["out"])["out"],
    "effective": lambda m, x: effective(m, x, Unit("out", 1)).shares,
    "deconvnet": lambda m, x: deconvnet(m, x, Unit("out", 1)),
    "line": lambda m, x: line(m, objective(m, (x, Y[: len(x)])), random_direction(m), points=3).losses,
    "sharpness": lambda m, x: sharpness(m, objective(m, (x, Y[: len(x)])), directions=1, steps=1).losses,
    "curvature": lambda m, x: curvature(m, objective(m, (x, Y[: len(x)])), steps=1).steps,
}
PAGE: dict[str, Ask] = {"page": lambda m, x: _page(m, x)}
ASKS = INSIDE | OUTSIDE | PAGE


def _page(model: nn.Module, x: Tensor) -> Any:
    found = page(model, Seen(x[:1], torch.zeros(1, 3, 9, 9, dtype=torch.uint8), RULE), "it.png", "it")
    assert not found.left_out
    assert found.strongest is not None
    return torch.tensor(found.shares)


def _same(found: Any, expected: Any, near: float = 1e-5) -> bool:
    if not isinstance(expected, Tensor):
        return bool(found == expected)
    return torch.allclose(found.double(), expected.double(), rtol=near, atol=near * float(expected.abs().max()))


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype(ask: str, dtype: torch.dtype) -> None:
    model, exact = plain().to(dtype), plain().to(dtype).float()  # the same weights
    near = {torch.float16: 0.05, torch.bfloat16: 0.3, torch.float64: 1e-4}[dtype]
    assert _same(ASKS[ask](model, X), ASKS[ask](exact, X), near)
    assert {p.dtype for p in model.parameters()} == {dtype}


@pytest.mark.parametrize("ask", ASKS)
def test_attributes_that_are_somebody_elses(ask: str) -> None:
    ours = plain()
    for model in (torch.fx.symbolic_trace(plain()), Reader()):
        model.eval().load_state_dict(dict(zip(model.state_dict(), ours.state_dict().values(), strict=True)))
        found, expected = ASKS[ask](model, X), ASKS[ask](ours, X)
        assert isinstance(found, Tensor) is isinstance(expected, Tensor)
        if isinstance(model, torch.fx.GraphModule):
            assert _same(found, expected)


def scripted() -> nn.Module:
    return torch.jit.script(plain())


def compiled() -> nn.Module:
    return torch.compile(plain(), backend="eager")  # type: ignore[return-value]


def compiled_in_place() -> nn.Module:
    model = plain()
    model.compile(backend="eager")
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [scripted, compiled, compiled_in_place])
def test_what_tells_nobody_of_its_layers(make: Callable[[], nn.Module]) -> None:
    model, how = make(), make.__name__.partition("_")[0]
    for name, ask in INSIDE.items():
        with pytest.raises(Refusal) as refused:
            ask(model, X)
        assert str(refused.value).startswith(f"Cannot look inside {type(model).__name__}: it is {how}, and"), name
    with pytest.raises(Refusal, match="and tells nobody of its layers"):
        values(model, X, ["2"])
    for name in ("gradient", "out", "line"):
        assert _same(OUTSIDE[name](model, X), OUTSIDE[name](plain(), X)), name
    for method in ("smooth-grad", "input-x-gradient", "integrated-gradients"):
        assert _same(attribute(model, X[:1], method, 1).values, attribute(plain(), X[:1], method, 1).values), method


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_filters_of_what_is_scripted() -> None:
    with pytest.raises(Refusal, match="it is scripted, and tells nobody"):
        filters(scripted())


WAYS: dict[str, Callable[[Tensor], Any]] = {
    "tuple": lambda scores: (scores, scores[:, :1]),
    "behind a map": lambda scores: [scores[..., None, None].expand(-1, -1, 2, 2), scores],
    "dict": lambda scores: {"aux": scores[:, :1], "out": scores},
}


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("way", WAYS)
def test_scores_among_others(ask: str, way: str) -> None:
    assert _same(ASKS[ask](Reader(WAYS[way]).eval(), X), ASKS[ask](Reader().eval(), X))


@pytest.mark.parametrize("ask", [*OUTSIDE, "last_layer", "features", "flows", "page"])
def test_answers_without_scores(ask: str) -> None:
    with pytest.raises(Refusal, match="Cannot ask this network for a class: it answers with a dict of logits, loss"):
        ASKS[ask](Reader(lambda scores: {"logits": scores, "loss": 0}), X)
    with pytest.raises(Refusal, match=r"answers with a tensor of \d|gives scores of 6\."):
        ASKS[ask](Reader(lambda scores: scores[:, 0]), X)


@pytest.mark.parametrize("ask", ASKS)
def test_images_that_it_does_not_run_on(ask: str) -> None:
    with pytest.raises(Refusal, match=r"Cannot run Sequential on 1×9×9\.\n.*expected input.* to have 3 channels"):
        ASKS[ask](plain(), X[:, :1])


def lazy() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("ask", [*METHODS, *(ask for ask in ASKS if ask not in METHODS and ask != "similarity")])
def test_weights_that_are_not_there(ask: str) -> None:
    for model in (lazy(), plain().to("meta")):
        with pytest.raises(Refusal, match=r"Cannot run Sequential: its weights are not there yet\.\n    Run it on"):
            ASKS.get(ask, lambda m, x: attribute(m, x, ask))(model, X)


@pytest.mark.parametrize("ask", [*METHODS, *(ask for ask in ASKS if ask not in METHODS and ask != "page")])
def test_arrays_are_no_tensors(ask: str) -> None:
    with pytest.raises(
        Refusal, match=r"Cannot look at a ndarray: .*a tensor N×C×H×W,? is wanted\.\n.*torch\.from_numpy"
    ):
        ASKS.get(ask, lambda m, x: attribute(m, x, ask))(plain(), X.numpy())


@pytest.mark.parametrize("size", [-1, 1.5])
def test_images_at_a_time_are_a_number(size: int) -> None:
    with pytest.raises(Refusal, match=rf"Cannot look at {size} images at a time\.\n    1 at least"):
        features(plain(), X, size=size)
    with pytest.raises(Refusal, match=rf"Cannot take a loss of {size} images at a time\.\n    128 are usual"):
        objective(plain(), (X, Y), size)


def test_layers_in_the_order_of_their_last_runs() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu = nn.Linear(5, 4), nn.ReLU()
            self.norm, self.two, self.one = nn.BatchNorm2d(5), nn.Conv2d(4, 5, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.relu(self.norm(self.two(self.relu(self.one(x))))).mean((2, 3)))

    model = Reused().eval()
    assert last_layer(model, X) == map_layer(model, X) == "relu"
    assert [of.layer for of in statistics(model, X)] == ["one", "two", "norm", "relu", "fc"]
    assert features(model, X).layer == "relu"
    found = filters(model)
    assert (found.layer, found.image) == ("one", True)
    assert not filters(model, "two").image
    assert filters(nn.Sequential(deepcopy(model.fc), deepcopy(model.two))).layer == "1"
