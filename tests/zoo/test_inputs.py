"""A published network on a volume that it does not take: inputs are offered, and each one does."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from striate.blueprint import CannotPlace, Volume, draft
from striate.cost import ledger
from striate.zoo import NETWORKS, call


@pytest.mark.parametrize(
    ("name", "volume", "first"),
    [
        ("alexnet", "3x7x7", Volume(3, 63, 63)),  # 56 cells away
        ("vgg16", "3x225x225", Volume(3, 224, 224)),
        ("googlenet", "3x20x20", Volume(3, 31, 31)),
        ("inception_v3", "3x8x8", Volume(3, 75, 75)),
        ("alexnet", "3x2x300", Volume(3, 224, 224)),  # no larger one of that shape: its own
    ],
)
def test_inputs_are_offered_and_no_other_layers(name: str, volume: str, first: Volume) -> None:
    with pytest.raises(CannotPlace) as caught:
        ledger(name, volume)
    said = str(caught.value)
    assert f"What fits: a network input of {first}" in said
    assert not re.search(r"(padding|stride|kernel_size)=\d+ ->", said)
    network = call(name)[1]
    for offered in re.findall(r"\d+×\d+×\d+", said.partition("What fits: ")[2]):
        assert draft(network, offered).volume == Volume.parse(offered)
    if 'fit="floor"' in said.partition("What fits: ")[2]:
        assert draft(network, volume, "floor")


def test_a_floor_that_does_not_help_is_not_offered() -> None:
    with pytest.raises(CannotPlace) as caught:
        ledger("inception_v3", "3x8x8")
    assert "floor" not in str(caught.value)


def test_a_blueprint_of_one_s_own_may_change_its_layers() -> None:
    with pytest.raises(CannotPlace, match=r"padding=\d"):
        draft(call("alexnet")[1], "3x7x7")


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "squeezenet1_0", "mobilenet_v2", "densenet121"])
def test_every_family_has_a_way_out_of_one_pixel(name: str) -> None:
    with suppress(CannotPlace):
        ledger(name, Volume(NETWORKS[name].input.channels, 1, 1))
        return
    with pytest.raises(CannotPlace, match="What fits: a network input of"):
        ledger(name, Volume(NETWORKS[name].input.channels, 1, 1))
