"""Every network of the table: what the table says is what drafting finds, and text gives the network back."""

from __future__ import annotations

import json
from inspect import signature

import pytest

from striate import blueprint, zoo
from striate.blueprint import CannotMake, CannotRead, Graph, NotFound, draft, from_json, notation, to_json
from striate.zoo import NETWORKS, Network

EVERY = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
GRAPHS: dict[str, Graph] = {}


def graph_of(name: str) -> Graph:
    if name not in GRAPHS:
        network, drawn = zoo.call(name)
        GRAPHS[name] = draft(drawn, network.input)
    return GRAPHS[name]


@EVERY
def test_the_table_says_what_drafting_finds(network: Network) -> None:
    graph = graph_of(network.name)
    assert (graph.parameters, graph.macs, graph.unknown) == (network.parameters, network.macs, False)
    assert graph.output.is_vector or network.classes is None
    assert 1950 < network.year < 2030
    assert network.paper
    assert bool(network.measured) == (network.top1 is not None or network.top5 is not None)
    assert all(0 < top < 100 for top in (network.top1, network.top5) if top is not None)


@EVERY
def test_classes_are_the_last_volume(network: Network) -> None:
    if network.classes is None:
        assert "classes" not in zoo.options(network.name)
        return
    assert zoo.options(network.name)["classes"] == network.classes == graph_of(network.name).output.channels
    assert draft(zoo.call(f"{network.name}(classes=7)")[1], network.input).output.channels == 7


@EVERY
def test_text_and_json_give_the_network_back(network: Network) -> None:
    drawn = getattr(zoo, network.name)()
    assert from_json(json.loads(json.dumps(to_json(drawn)))) == drawn
    assert eval(repr(drawn), vars(blueprint)) == drawn
    reading = notation.read(notation.write(drawn, network.input))
    assert (reading.blueprint, reading.volume) == (drawn, network.input)


def test_a_network_is_a_function_of_its_name() -> None:
    assert zoo.resnet50(classes=10) == zoo.call("resnet50(classes=10)")[1]
    assert zoo.find("resnet50") is NETWORKS["resnet50"]
    assert not hasattr(zoo, "resnet5O")  # what import and inspect ask of any module
    assert {"resnet50", "NETWORKS", "find"} <= set(dir(zoo))


def test_a_family_read_first_hides_no_network() -> None:
    from striate.zoo.families import alexnet

    assert callable(zoo.alexnet)
    assert zoo.alexnet() == alexnet.alexnet("alexnet", 1000)


@pytest.mark.parametrize("ask", [zoo.find, zoo.call, lambda name: getattr(zoo, name), lambda name: zoo.match([name])])
def test_a_misspelt_name_gets_the_near_ones(ask: object) -> None:
    with pytest.raises(NotFound) as refused:
        ask("resnet5O")  # type: ignore[operator]
    assert str(refused.value).startswith('No network "resnet5O". Near: resnet50, ')
    assert str(refused.value).endswith(" All of them: striate models")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("googlenet(auxx=True)", NotFound, 'No option of googlenet "auxx". Near: aux.'),
        ("googlenet(aux=3)", CannotMake, "Cannot make googlenet: aux is 3; it must be like False."),
        ("resnet50(classes=True)", CannotMake, "Cannot make resnet50: classes is True; it must be like 1000."),
        (
            "resnet50(classes=0)",
            CannotMake,
            "Cannot make Linear(0): out_features is 0; it must be from 1 to 100,000,000.",
        ),
        ("resnet50(classes=10**9)", CannotRead, 'Cannot read "resnet50(classes=10**9)" as a network.'),
        ("resnet50(10)", CannotRead, 'Cannot read "resnet50(10)" as a network.'),
        ("resnet50(classes=open('x'))", CannotRead, "Cannot read "),
        ("resnet50(**{'classes': 3})", NotFound, 'No option of resnet50 "**". Known: classes.'),
        ("zoo.resnet50()", CannotRead, "Cannot read "),
        ("resnet50(", CannotRead, "Cannot read "),
        ("resnet50()()", CannotRead, "Cannot read "),
        ("(" * 300, CannotRead, "Cannot read "),
        ("resnet50(classes=" + "1" * 10_000 + ")", CannotRead, "Cannot read "),
        ("", NotFound, 'No network "".'),
        ("lenet5_paper(classes=11)", CannotMake, "Cannot make lenet5_paper(classes=11): its output compares"),
    ],
)
def test_a_call_that_cannot_be(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as refused:
        zoo.call(text)
    assert str(refused.value).startswith(says)


def test_what_the_call_gives() -> None:
    network, drawn = zoo.call(" googlenet(aux=True, classes=12) ")
    assert network is NETWORKS["googlenet"]
    graph = draft(drawn, network.input)
    assert {tap: graph[node].output.channels for tap, node in graph.taps.items()} == {"aux1": 12, "aux2": 12, "out": 12}
    assert zoo.options("googlenet") == {"classes": 1000, "aux": False}


def test_patterns_name_networks_in_the_tables_order() -> None:
    names = [network.name for network in zoo.match(["vgg1?", "lenet*"])]
    assert names == ["lenet5", "lenet5_paper", "vgg11", "vgg13", "vgg16", "vgg19"]
    with pytest.raises(NotFound, match="No network"):
        zoo.match(["vgg*", "no*such*"])


def test_an_option_that_is_not_there_is_named_in_python_too() -> None:
    with pytest.raises(NotFound, match=r'No option of lenet5 "klasses"\. Near: classes'):
        zoo.lenet5(klasses=10)
    with pytest.raises(CannotMake, match="it is given 7 without a name"):
        zoo.lenet5(7)
    assert list(signature(zoo.googlenet).parameters) == list(zoo.options("googlenet"))
    assert zoo.lenet5(classes=7) == zoo.call("lenet5(classes=7)")[1]
