"""The page for one image: held against what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
import torch
from PIL import Image
from torch import nn

from striate.blueprint import NotFound
from striate.data import Splits
from striate.data.preprocessing import Preprocessing
from striate.nn.build import Network
from striate.visualize.attribution import Heat, attribute
from striate.visualize.attribution.drawn import draw_attribution
from striate.visualize.images import Seen, seen
from striate.visualize.page import LOOKED, Page, page, steps
from striate.visualize.page_drawn import clipped, draw_page
from striate.visualize.trust import curves, randomised
from striate.visualize.trust_drawn import draw_trust
from striate.visualize.watching import values
from striate.visualize.where import Trust, tried, where


@pytest.fixture(scope="module")
def digit(lenet: Network, digits: Splits) -> Seen:
    """A 7."""
    at = digits.test.labels.tolist().index(7)
    return seen(lenet, digits.test.pixels[at : at + 1])  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def found(lenet: Network, digit: Seen) -> Page:
    return page(lenet, digit, "seven.png", "LeNet-5")


def test_classes_are_the_models_own(lenet: Network, digit: Seen, found: Page) -> None:
    with torch.no_grad():
        shares, best = lenet(digit.x)[0].softmax(0).topk(5)
    assert found.best == tuple(map(str, best.tolist()))
    assert found.shares == pytest.approx(shares.tolist(), abs=1e-6)
    assert [one.of for one in found.maps] == [found.best[runner_up] for _, runner_up, _ in LOOKED]
    assert [one.heat.method for one in found.maps] == [method for method, _, _ in LOOKED]
    for one, (method, _, options) in zip(found.maps, LOOKED, strict=True):
        alone = attribute(lenet, digit.x, method, one.of, **options)
        assert torch.allclose(one.heat.values, alone.values, atol=1e-6)


def test_the_strongest_channels_and_what_the_most_active_cell_sees(lenet: Network, digit: Seen, found: Page) -> None:
    assert found.strongest is not None
    assert found.sight is not None
    assert found.strongest.layer == found.maps[0].heat.layer == "conv2.act"
    value = values(lenet, digit.x, ["conv2.act"])["conv2.act"][0]
    mass = value.abs().sum((1, 2))
    assert found.channels == tuple(mass.argsort(descending=True)[:5].tolist())
    unit = found.sight.unit
    assert unit.channel == found.channels[0]
    assert unit.at is not None
    assert value[unit.channel][unit.at] == value[unit.channel].max()


def test_words_and_json(found: Page) -> None:
    said, facts = found.told(), found.to_json()
    assert said.startswith("seven.png, as LeNet-5 reads it (1×32×32):\n  7")
    for one in found.maps:
        assert f"{one.title}: {one.told()}" in said
    assert [one["label"] for one in facts["classes"]] == [*found.best]
    assert facts["field"]["unit"] in said
    assert facts["maps"][0]["trust"]["deletion"] == pytest.approx(found.maps[0].trust.deletion)  # type: ignore[union-attr]


def test_ticks_go_up_to_the_last_step(lenet: Network, digit: Seen) -> None:
    told = list[int]()
    page(lenet, digit, "7", "LeNet-5", target=3, layer="conv1.act", tick=told.append)
    assert told == sorted(told)
    assert told[-1] == steps()


def test_a_target_and_a_layer(lenet: Network, digit: Seen) -> None:
    here = page(lenet, digit, "7", "LeNet-5", target="3", layer="conv1.act")
    assert [one.of for one in here.maps] == ["3", "7", "3", "3"]
    assert here.maps[0].heat.layer == here.strongest.layer == "conv1.act"  # type: ignore[union-attr]
    with pytest.raises(NotFound, match=r'No layer "conv9"\. Near: conv'):
        page(lenet, digit, "7", "LeNet-5", layer="conv9")


def test_a_network_without_maps_has_a_page_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    pixels = torch.randint(0, 256, (1, 1, 8, 8), dtype=torch.uint8)
    rule = Preprocessing(1, (8, 8), (8, 8), (0.0,), (1.0,))
    found = page(model, Seen(pixels.float() / 255, pixels, rule), "$x_1$.png", "linear")
    assert [one.heat.method for one in found.maps] == ["smooth-grad", "occlusion"]
    assert [why.startswith("Cannot choose a layer to look at") for why in found.left_out] == [True]  # once
    assert (found.strongest, found.sight, found.best[0][:6]) == (None, None, "class ")
    assert Image.open(BytesIO(draw_page(found))).width == 1000


def test_the_picture(found: Page, golden_picture: Callable[[str, bytes], None]) -> None:
    golden_picture("page-lenet5", draw_page(found))


def test_long_names_fit(found: Page, digit: Seen, lenet: Network, faults: list[str]) -> None:
    """As ImageNet's classes have, and files from a camera."""
    name = "hen-of-the-woods, hen of the woods, Polyporus frondosus, Grifola frondosa"
    best = (name, f"{'Donaudampfschifffahrtsgesellschaft' * 4}", "7", "日本語", "$x_1$")
    maps = tuple(one._replace(of=name) for one in found.maps)
    draw_page(found._replace(best=best, image=f"{'photo' * 40}.jpg", model="resnet" * 30, maps=maps))
    heat = found.maps[0].heat
    draw_attribution(digit.pixels[0], [heat] * 2, [name] * 10, trusts=[found.maps[0].trust] * 2)
    tests = heat, curves(lenet, digit.x, heat, steps=2), randomised(lenet, digit.x, heat.method, heat, stages=2)
    draw_trust(digit.pixels[0], [tests], title=f"{name}: how far its maps are to be trusted")
    assert not faults


def heat_of(values: torch.Tensor, share: float = 0.9, method: str = "occlusion") -> Heat:
    one = torch.tensor([0])
    return Heat(method, values[None], one, torch.tensor([1.0]), torch.tensor([share]))


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (slice(15, 20), slice(15, 20), "half of what speaks for it in 3% of the image, at the bottom right"),
        (slice(0, 4), slice(None), "half of what speaks for it in 10% of the image, at the top"),
        (slice(None), slice(0, 2), "half of what speaks for it in 5% of the image, at the left"),
        (slice(8, 12), slice(8, 12), "half of what speaks for it in 2% of the image, in the middle"),
    ],
)
def test_where_a_map_lies_in_words(rows: slice, columns: slice, said: str) -> None:
    values = torch.full((20, 20), -3.0)  # what speaks against the class does not count
    values[rows, columns] = 1
    assert where(heat_of(values), "cat").told() == said
    assert where(heat_of(-values.abs()), "cat").told() == "nothing speaks for it"


def test_a_slope_speaks_neither_for_nor_against() -> None:
    values = torch.zeros(20, 20)
    assert where(heat_of(values, method="smooth-grad"), "cat").told() == "nothing changes it"
    values[0, 0] = 1
    assert where(heat_of(values, method="smooth-grad"), "cat").told() == (
        "half of the slope in 0% of the image, at the top left"
    )


def test_the_tests_of_a_map_are_told() -> None:
    good = Trust(0.1, 0.8, 0.4, 0.5, share=0.9, alike=0.2, unchanged=False)
    assert good.told() == (
        "✓ deletion: area 0.10, by chance 0.40",
        "✓ with random weights 0.20 alike",
    )
    bad = good._replace(deletion=0.5, alike=0.7, unchanged=True)
    assert bad.told() == (
        "✗ deletion: area 0.50, by chance 0.40",
        "✗ with random weights 0.70 alike",
    )
    assert (good.passed, bad.passed, good._replace(unchanged=True).passed) == (True, False, False)
    unlikely = bad._replace(share=0.001, unchanged=False)
    assert (unlikely.told()[0], unlikely.passed) == ("– deletion not tried: too unlikely", True)


def test_a_map_of_the_image_alone_is_found_out(lenet: Network, digit: Seen) -> None:
    heat = attribute(lenet, digit.x, "occlusion")
    assert tried(lenet, digit.x, heat, {}).borne_out
    upside_down = heat._replace(values=-heat.values)
    assert tried(lenet, digit.x, upside_down, {}).borne_out is False


def test_specks_do_not_hide_the_rest() -> None:
    values = torch.rand(50, 50)
    values[3, 3] = 1000
    assert float(clipped(values).max()) <= 1
    assert torch.equal(clipped(values)[values < 0.9], values[values < 0.9])
    assert torch.equal(clipped(torch.zeros(4, 4)), torch.zeros(4, 4))
