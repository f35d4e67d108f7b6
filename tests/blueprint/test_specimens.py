"""What holds for every layer and wiring, swept over tests/specimens.py (without torch)."""

import json
from math import prod

import pytest

import striate.blueprint as blueprint_room
from specimens import SPECIMENS
from striate.blueprint import (
    LAYERS,
    WIRINGS,
    CannotPlace,
    Refusal,
    draft,
    from_json,
    graph_from_json,
    graph_to_json,
    to_json,
)

NAMES = {name: getattr(blueprint_room, name) for name in blueprint_room.__all__}
swept = pytest.mark.parametrize("name", SPECIMENS)
refusing = pytest.mark.parametrize("name", [name for name, specimen in SPECIMENS.items() if specimen.cannot])


def _classes(part):
    yield type(part).__name__
    for value in vars(part).values():
        for child in _children(value):
            yield from _classes(child)


def _children(value):
    if isinstance(value, tuple):
        for child in value:
            yield from _children(child)
    elif type(value).__name__ in LAYERS | WIRINGS:
        yield value


def test_every_layer_and_wiring_has_a_specimen():
    assert {name for specimen in SPECIMENS.values() for name in _classes(specimen.blueprint)} == {*LAYERS, *WIRINGS}


@swept
def test_repr_gives_the_blueprint_back(name):
    blueprint = SPECIMENS[name].blueprint
    assert eval(repr(blueprint), dict(NAMES)) == blueprint


@swept
def test_json_gives_the_blueprint_back(name):
    blueprint = SPECIMENS[name].blueprint
    assert from_json(json.loads(json.dumps(to_json(blueprint)))) == blueprint


@swept
def test_json_gives_the_graph_back(name):
    specimen = SPECIMENS[name]
    graph = draft(specimen.blueprint, specimen.fits)
    assert graph_from_json(json.loads(json.dumps(graph_to_json(graph)))) == graph


@swept
def test_a_graph_reads_only_earlier_nodes_and_names_each_once(name):
    graph = draft(SPECIMENS[name].blueprint, SPECIMENS[name].fits)
    seen = set()
    for node in graph.nodes:
        assert set(node.inputs) <= seen
        assert node.name not in seen
        assert node.twin is None or node.twin in seen
        seen.add(node.name)
    assert set(graph.taps.values()) <= seen
    assert graph.parameters == sum(
        prod(shape) for node in graph for shape in node.placed.weights.values() if node.twin is None
    )


@refusing
def test_a_volume_that_does_not_fit_is_refused_and_each_remedy_fits(name):
    specimen = SPECIMENS[name]
    with pytest.raises(Refusal) as caught:
        draft(specimen.blueprint, specimen.cannot)
    refusal = caught.value
    assert str(refusal).startswith("Cannot ")
    if isinstance(refusal, CannotPlace):
        for remedy in refusal.remedies:
            if hasattr(remedy, "layer"):
                placed = draft(remedy.layer, remedy.volume)
                assert placed.output == remedy.output
                assert str(remedy) in str(refusal)


def test_every_refusal_reads_as_it_is_kept(golden):
    texts = []
    for name, specimen in SPECIMENS.items():
        if specimen.cannot:
            with pytest.raises(Refusal) as caught:
                draft(specimen.blueprint, specimen.cannot)
            texts.append(f"# {name}\n{caught.value}\n")
    golden("refusals.txt", "\n".join(texts))
