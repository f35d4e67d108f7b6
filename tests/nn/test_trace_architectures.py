"""Architectures of torchvision and timm: parameters, and multiply-adds by shapes alone and as their makers state them.

All of them are in benchmarks/trace.py; here is one of each kind.
"""

import pytest

from nn.architectures import SAMPLE, architecture, by_shapes
from striate.blueprint import Refusal
from striate.nn import trace


def there(text):
    try:
        return architecture(text)
    except Refusal as refusal:
        pytest.skip(str(refusal))


@pytest.mark.parametrize("name", SAMPLE)
def test_an_architecture_costs_what_its_shapes_say(name):
    module, volume, published = there(name)
    graph = trace(module, volume)
    assert not graph.unknown
    assert graph.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert graph.macs == by_shapes(module, volume)
    assert published is None or graph.macs / 1e9 == pytest.approx(published, rel=2e-3, abs=6e-4)
