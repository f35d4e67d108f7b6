"""The sheets of methods and of their trials show the numbers they are given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from striate.blueprint import Refusal
from striate.data import open_data
from striate.data.drawn import ORANGE
from striate.nn.build import Network
from striate.visualize import figures
from striate.visualize.attribution import METHODS as MEANINGS
from striate.visualize.attribution import attribute
from striate.visualize.attribution.drawn import draw_attribution, within
from striate.visualize.images import Seen, seen
from striate.visualize.trust import curves, randomised
from striate.visualize.trust_drawn import draw_trust
from striate.visualize.where import called, judged, tried

METHODS = ["gradient", "integrated-gradients", "grad-cam", "occlusion", "guided-backprop"]


@pytest.fixture(scope="module")
def digits(lenet: Network) -> Seen:
    return seen(lenet, open_data("digits").test.pixels[[3, 11]])


def test_the_sheet_of_methods(
    lenet: Network, digits: Seen, golden_picture: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heats = [attribute(lenet, digits.x, method) for method in METHODS]
    classes = lenet.metadata["classes"]
    trusts = [
        tried(lenet, digits.x[1:], one, {})
        for one in (heat._replace(values=heat.values[1:], targets=heat.targets[1:]) for heat in heats)
    ]
    picture = draw_attribution(digits.pixels[1], [heats[1], heats[4]], classes, 1, [trusts[1], trusts[4]])
    golden_picture("attribution-lenet5", picture)
    monkeypatch.setattr(figures, "png", lambda figure: figure)
    figure = draw_attribution(digits.pixels[1], heats, classes, index=1, trusts=trusts)
    share = float(heats[0].shares[1])
    assert figure.get_suptitle() == f"{classes[int(heats[0].targets[1])]}, {share:.0%}"
    photo, *maps = [axes for axes in figure.axes if axes.images]
    assert photo.images[0].get_array().max() == digits.pixels[1].max()
    assert [axes.get_title() for axes in maps] == [called(method) for method in METHODS]
    for axes, heat, trust in zip(maps, heats, trusts, strict=True):
        meaning, *tests = axes.texts
        assert meaning.get_text() == MEANINGS[heat.method].meaning
        assert [(one.get_text(), one.get_color() == ORANGE) for one in tests] == [*trust.brief()]
    for axes, heat in zip(maps, heats, strict=True):
        over = axes.images[-1]
        assert torch.allclose(torch.as_tensor(over.get_array().data).float(), within(heat.values[1]), atol=1e-6)
        assert over.get_clim() == ((-1, 1) if (heat.values[1] < 0).any() else (0, 1))
        assert over.get_extent() == [0, 32, 32, 0]  # upon the image
    bars = figure.axes[-2:]
    words = [[label.get_text() for label in axes.get_xticklabels()] for axes in bars]
    assert words == [["0: nothing", "1: its most"], ["−1: against the class", "0: nothing", "1: for it"]]
    assert [axes.collections[-1].get_alpha() for axes in bars] == [figures.OVER] * 2  # as transparent as the maps


def test_one_map_has_half_of_the_width(digits: Seen, lenet: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "png", lambda figure: figure)
    figure = draw_attribution(digits.pixels[0], [attribute(lenet, digits.x, "occlusion")])
    assert [axes.get_subplotspec().get_geometry()[:2] for axes in figure.axes[:2]] == [(1, 2), (1, 2)]


def test_a_map_is_drawn_within_its_own_largest() -> None:
    values = torch.linspace(-1, 1, 1000).view(20, 50) * 3
    values[0, 1] = 500.0  # one that would leave the rest dark
    found = within(values)
    assert found.max() == 1
    assert found.min() == -1
    assert torch.allclose(found[10], values[10] / values.abs().flatten().sort().values[994])
    assert torch.equal(within(torch.zeros(3, 3)), torch.zeros(3, 3))
    lonely = torch.zeros(100, 100)
    lonely[3, 3] = 0.5
    assert within(lonely)[3, 3] == 1


def test_the_sheet_of_trials(
    lenet: Network, digits: Seen, golden_picture: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heats = [attribute(lenet, digits.x, method) for method in ("grad-cam", "guided-backprop")]
    tried = [
        (heat, curves(lenet, digits.x, heat, steps=8), randomised(lenet, digits.x, heat.method, heat, stages=5))
        for heat in heats
    ]
    golden_picture("trust-lenet5", draw_trust(digits.pixels[0], tried, title="LeNet-5"))
    monkeypatch.setattr(figures, "png", lambda figure: figure)
    figure = draw_trust(digits.pixels[1], tried, index=1)
    for row, (heat, curve, random) in enumerate(tried):
        over, pixels, weights = figure.axes[3 * row : 3 * row + 3]
        assert over.get_title() == called(heat.method)
        drawn = [torch.as_tensor(line.get_ydata()) for line in pixels.lines]
        expected = [curve.insertion, curve.random_insertion, curve.deletion, curve.random_deletion]
        assert all(torch.allclose(a.float(), b[1]) for a, b in zip(drawn, expected, strict=True))
        trust = judged(heat, curve, random, 1)
        said = [(text.get_text(), text.get_color() == ORANGE) for axes in (pixels, weights) for text in axes.texts]
        assert {*trust.brief()} < {*said}
        assert (f"insertion {trust.insertion:.2f} ({trust.random_insertion:.2f})", False) in said
        assert weights.lines[0].get_ydata()[1:] == pytest.approx(random.rank.nanmean(1).tolist(), nan_ok=True)
    [key] = figure.legends
    assert {"insertion", "deletion by chance", "rank correlation", "0.5: much the same map"} < {
        text.get_text() for text in key.get_texts()
    }
    assert "in 8 steps; on the page in 10" in key.get_title().get_text().replace("\n", " ")


def test_nothing_to_draw(digits: Seen) -> None:
    with pytest.raises(Refusal, match="Cannot draw attribution: no map is given"):
        draw_attribution(digits.pixels[0], [])
    with pytest.raises(Refusal, match="Cannot draw what was tried: nothing was"):
        draw_trust(digits.pixels[0], [])
