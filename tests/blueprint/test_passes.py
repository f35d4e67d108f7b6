"""Graph -> Graph: fold, cut, another head; and graphs and blueprints from hostile JSON."""

import json

import pytest

from striate.blueprint import (
    Activation,
    BatchNorm,
    CannotRead,
    Conv,
    Foreign,
    GlobalPool,
    Linear,
    NotFound,
    Refusal,
    Relu,
    Seq,
    Tap,
    Volume,
    bottleneck,
    conv_norm_act,
    cut,
    draft,
    fold_norms,
    from_json,
    graph_from_json,
    graph_to_json,
    replace_head,
    to_json,
    without_softmax,
)

NET = Seq(
    stem=conv_norm_act(8, 3, 2),
    layer1=Seq(bottleneck(4), bottleneck(4)),
    early=Tap("aux", Seq(GlobalPool(), Linear(10))),
    layer2=bottleneck(8, 2),
    mean=GlobalPool(),
    fc=Linear(10),
    end=Activation("softmax"),
)
GRAPH = draft(NET, Volume(3, 33, 33))


def test_folding_leaves_no_norm_and_every_convolution_a_bias():
    folded = fold_norms(GRAPH)
    assert not any(isinstance(node.op, BatchNorm) for node in folded)
    assert all("bias" in node.placed.weights for node in folded if isinstance(node.op, Conv))
    assert folded.macs == GRAPH.macs
    assert folded.taps.keys() == GRAPH.taps.keys()
    assert folded.output == GRAPH.output


def test_a_norm_is_kept_where_its_convolution_is_read_twice():
    both = Seq(conv=Conv(4, 3), tap=Tap("map"), norm=BatchNorm())
    assert fold_norms(draft(both, "3x8x8")) == draft(both, "3x8x8")
    relu_between = draft(Seq(Conv(4, 3), Relu, BatchNorm()), "3x8x8")
    assert fold_norms(relu_between) == relu_between


def test_cutting_keeps_only_what_is_needed():
    short = cut(GRAPH, "layer1")
    assert short.output == GRAPH["layer1.1.act"].output
    assert {node.name.split(".")[0] for node in short} == {"input", "stem", "layer1"}
    assert short.taps == {"out": "layer1.1.act"}
    later = cut(GRAPH, "layer2")
    assert later.taps == {"out": "layer2.act"}  # the auxiliary head is on no way there
    with pytest.raises(NotFound, match=r'No node "layer3"\. Near: layer2'):
        cut(GRAPH, "layer3")


def test_a_new_head_on_every_classifier():
    graph = replace_head(GRAPH, 7)
    assert graph.output == Volume(7)
    assert graph[graph.taps["aux"]].output == Volume(7)
    assert graph.parameters == GRAPH.parameters - 3 * (32 + 1) - 3 * (16 + 1)
    with pytest.raises(Refusal, match="does not end in"):
        replace_head(draft(GlobalPool(), "3x8x8"), 7)


def test_the_soft_max_is_left_to_the_loss():
    assert without_softmax(GRAPH).taps["out"] == "fc"


DAMAGED = [
    None,
    [],
    {},
    {"Conv": 3},
    {"Conv": {"out_channels": 4}},
    {"Conv": {"out_channels": "4", "kernel_size": 3}},
    {"Evil": {}},
    {"Conv": {"out_channels": 4, "kernel_size": 3, "hidden": 1}},
    {"Seq": {"parts": [["a.b", {"Identity": {}}]]}},
    {"Seq": {"parts": [["a"]]}},
    {"Select": {"channels": 5}},
    {"RadialBasis": {"codes": ["a"]}},
    {"Linear": {"out_features": None}},
    {"Scale": {"factor": "2"}},
    {"Foreign": {"factory": "os:system"}},
    {"Conv": {"out_channels": 10**9, "kernel_size": 3}},
    {"Dag": {"takes": ["x"], "steps": [], "gives": "y"}},
    {"Seq": {"parts": [["a", 3]]}},
    {"Dag": {"takes": ["x"], "steps": [["y", "concat"]], "gives": "y"}},
    {"Activation": {"kind": ["relu"]}},
]


@pytest.mark.parametrize("data", DAMAGED, ids=map(json.dumps, DAMAGED))
def test_a_damaged_blueprint_is_refused(data):
    with pytest.raises(Refusal):
        from_json(data)


def test_a_blueprint_nested_without_end_is_refused():
    data = {"Identity": {}}
    for _ in range(5000):
        data = {"Seq": {"parts": [["a", data]]}}
    with pytest.raises(CannotRead, match="deeper"):
        from_json(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("input"),
        lambda d: d.update(input=[3, 0, 3]),
        lambda d: d.update(input="x"),
        lambda d: d.update(nodes=[["a", "concat", ["b", "c"]]]),
        lambda d: d.update(nodes=3),
        lambda d: d["nodes"].append(["a", {"Seq": {"parts": []}}, ["input"]]),
        lambda d: d.update(taps={"out": "nowhere"}),
        lambda d: d.update(taps={}),
        lambda d: d["nodes"].append(d["nodes"][0]),
        lambda d: d["nodes"][0].append("nobody"),
        lambda d: d["nodes"].append(["a", {"Identity": {}}, []]),
    ],
)
def test_a_damaged_graph_is_refused(damage):
    data = json.loads(json.dumps(graph_to_json(GRAPH)))
    damage(data)
    with pytest.raises(Refusal):
        graph_from_json(data)


def test_code_is_never_written_to_a_file():
    with pytest.raises(Refusal, match="it is code, and a file holds none"):
        to_json(Seq(Foreign(lambda volume: None)))
