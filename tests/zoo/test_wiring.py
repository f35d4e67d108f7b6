"""What no count shows: the order of layers, their constants, who reads whom, as the papers have it."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.blueprint import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    DropPath,
    GlobalPool,
    Graph,
    LocalResponseNorm,
    Node,
    Pad,
    Pool,
    Relu,
    Scale,
    Shuffle,
    draft,
)

KRIZHEVSKY = LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)  # NIPS 2012, section 3.3: k=2, n=5, a sum


def graph_of(call: str) -> Graph:
    network, drawn = zoo.call(call)
    return draft(drawn, network.input)


def ops(graph: Graph, kind: type) -> list[object]:
    return [node.op for node in graph if isinstance(node.op, kind)]


def words(graph: Graph, part: str) -> list[str]:
    """The layers of a part, in order: "conv", "norm" … as its names end."""
    return [node.name.rpartition(".")[2] for node in graph if node.name.startswith(f"{part}.")]


def readers(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph if name in node.inputs]


def test_lenet5_squashes_everything_up_to_f6() -> None:
    graph = graph_of("lenet5_paper")
    assert ops(graph, Activation) == [Activation("scaled_tanh")] * 6
    assert [words(graph, part) for part in ("c1", "s2", "f6")] == [
        ["conv", "act"],
        ["mean", "weigh", "act"],
        ["fc", "act"],
    ]
    assert [pool.kind for pool in ops(graph, Pool)] == ["average"] * 2  # type: ignore[attr-defined]
    assert ops(graph_of("lenet5"), Activation) == [Relu] * 4


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("alexnet_paper", ["conv", "act", "norm", "pool"]),
        ("alexnet_lecture", ["conv", "act", "pool", "norm"]),
        ("alexnet", ["conv", "act", "pool"]),
        ("zfnet", ["conv", "act", "pool", "norm"]),
    ],
)
def test_alexnets_norm_and_pool(name: str, order: list[str]) -> None:
    graph = graph_of(name)
    assert words(graph, "conv1") == words(graph, "conv2") == order
    assert words(graph, "conv3") == words(graph, "conv4") == ["conv", "act"]
    assert words(graph, "conv5") == ["conv", "act", "pool"]
    assert ops(graph, LocalResponseNorm) == [KRIZHEVSKY] * 2 * ("norm" in order)
    assert all((pool.kernel_size, pool.stride) == (3, 2) for pool in ops(graph, Pool))  # type: ignore[attr-defined]


def test_alexnets_dropout() -> None:
    assert words(graph_of("alexnet_paper"), "fc6") == ["fc", "act", "drop"]
    assert words(graph_of("alexnet"), "fc6") == ["drop", "fc", "act"]


def test_alexnets_gpus_meet_in_conv3_alone() -> None:
    graph = graph_of("alexnet_paper")
    assert [conv.groups for conv in ops(graph, Conv)] == [1, 2, 1, 2, 2]  # type: ignore[attr-defined]


def test_vggs_one_norm_is_behind_conv1() -> None:
    graph = graph_of("vgg_a_lrn")
    assert ops(graph, LocalResponseNorm) == [KRIZHEVSKY]
    assert isinstance(graph["stage1.1"].op, LocalResponseNorm)
    assert graph["stage1.1"].inputs == ("stage1.0.act",)


def test_vggs_batch_norm_is_behind_every_convolution() -> None:
    graph = graph_of("vgg16_bn")
    assert all(isinstance(readers(graph, node.name)[0].op, BatchNorm) for node in graph if isinstance(node.op, Conv))
    assert len(ops(graph, BatchNorm)) == 13


@pytest.mark.parametrize(
    ("name", "norms", "batch_norms", "dropout", "kernels"),
    [("googlenet_paper", [KRIZHEVSKY] * 2, 0, 0.4, {1, 3, 5, 7}), ("googlenet", [], 57, 0.2, {1, 3, 7})],
)
def test_googlenets_two_kinds(
    name: str, norms: list[object], batch_norms: int, dropout: float, kernels: set[int]
) -> None:
    graph = graph_of(name)
    assert ops(graph, LocalResponseNorm) == norms
    assert ops(graph, BatchNorm) == [BatchNorm(1e-3)] * batch_norms
    assert ops(graph, Dropout) == [Dropout(dropout)]
    assert {conv.kernel_size for conv in ops(graph, Conv)} == kernels  # type: ignore[attr-defined]


def test_googlenets_heads_hang_where_the_paper_has_them() -> None:
    graph = graph_of("googlenet_paper(aux=True)")
    assert graph["aux1.aux1.mean"].inputs == ("inception4a",)
    assert graph["aux2.aux2.mean"].inputs == ("inception4d",)
    assert [str(graph[f"{head}.{head}.mean"].output) for head in ("aux1", "aux2")] == [
        "512×4×4",
        "528×4×4",
    ]  # section 5
    assert ops(graph, Dropout) == [Dropout(0.7), Dropout(0.7), Dropout(0.4)]


def test_shortcuts_without_parameters() -> None:
    graph = graph_of("resnet20")
    assert ops(graph, Pad) == [Pad(channels=16), Pad(channels=32)]
    skipped = [node for node in graph if isinstance(node.op, Pool)]
    assert [(node.op.kernel_size, node.op.stride) for node in skipped] == [(1, 2)] * 2  # type: ignore[union-attr]
    assert not any(".project." in node.name and node.parameters for node in graph)


def test_shuffles_stand_between_the_first_1x1_and_the_depthwise() -> None:
    """Zhang et al., figure 2 (b) and (c)."""
    graph = graph_of("shufflenet_v1_g3")
    shuffles = [node for node in graph if isinstance(node.op, Shuffle)]
    assert [node.op for node in shuffles] == [Shuffle(3)] * 16
    for node in shuffles:
        [after] = readers(graph, node.name)
        assert isinstance(after.op, Conv)
        assert (after.op.kernel_size, after.op.groups) == (3, None)
        assert not isinstance(readers(graph, readers(graph, after.name)[0].name)[0].op, Activation)
    first = [conv for conv in ops(graph, Conv) if conv.kernel_size == 1]  # type: ignore[attr-defined]
    assert [conv.groups for conv in first[:4]] == [1, 3, 3, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cell", "sources"),  # figure 4, each block's two: h the cell's own 1×1, p the one on the cell before
    [
        ("cell1", ["hp", "pp", "hp", "pp", "hh"]),
        ("reduction1", ["hp", "hp", "hp", "01", "0h"]),
        ("stem1", ["hp", "hp", "hp", "01", "0h"]),
    ],
)
@pytest.mark.parametrize("name", ["nasnet_mobile", "nasnet_large"])
def test_nasnets_cells(name: str, cell: str, sources: list[str]) -> None:
    graph = graph_of(name)

    def end(part: str) -> str:
        return [
            node.name for node in graph if node.name == f"{cell}.{part}" or node.name.startswith(f"{cell}.{part}.")
        ][-1]

    ends = {end(part): part for part in ("h", "p", "0", "1") if part in "hp" or end(part)}

    def source(node: str, block: str) -> str:
        """Back from one side of a block to where the block begins."""
        while node not in ends or ends[node] == block:
            node = graph[node].inputs[0]
        return ends[node]

    for block, expected in enumerate(sources):
        sides = graph[f"{cell}.{block}"].inputs
        assert "".join(source(side, str(block)) for side in sides) == expected


def test_nasnets_kernels() -> None:
    """Figure 4, cell by cell; every separable convolution is applied twice (section 3.1)."""
    graph = graph_of("nasnet_large")
    for cell, kernels in (("cell1", [5, 5, 3, 3, 5, 5, 3, 3, 3, 3]), ("reduction1", [5, 5, 7, 7, 7, 7, 5, 5, 3, 3])):
        inside = [node.op for node in graph if node.name.startswith(f"{cell}.")]
        assert [op.kernel_size for op in inside if isinstance(op, Conv) and op.groups is None] == kernels


def test_who_reads_the_cell_before_a_reduction() -> None:
    large, mobile = graph_of("nasnet_large"), graph_of("nasnet_mobile")
    assert large["cell6.p.act"].inputs == ("cell4.out",)
    assert mobile["cell4.p.act"].inputs == ("cell3.out",)


def test_inception_resnets_residuals_are_turned_down() -> None:
    scales = [scale.factor for scale in ops(graph_of("inception_resnet_v2"), Scale)]  # type: ignore[attr-defined]
    assert scales == [0.17] * 10 + [0.1] * 20 + [0.2] * 9


def test_efficientnets_paths_drop_more_the_deeper_they_are() -> None:
    drops = [drop.p for drop in ops(graph_of("efficientnet_b0"), DropPath)]  # type: ignore[attr-defined]
    assert drops == sorted(drops)
    assert drops[0] == pytest.approx(0.2 * 2 / 16)
    assert drops[-1] == pytest.approx(0.2 * 14 / 16)


def test_mobilenets_activations() -> None:
    assert set(ops(graph_of("mobilenet_v1_paper"), Activation)) == {Relu}
    assert set(ops(graph_of("mobilenet_v1"), Activation)) == {Activation("relu6")}


@pytest.mark.parametrize(("name", "fit"), [("seresnet50_paper", "ceil"), ("seresnet50", None), ("senet154", "ceil")])
def test_senets_first_pool(name: str, fit: str | None) -> None:
    pool = ops(graph_of(name), Pool)[0]
    assert isinstance(pool, Pool)
    assert (pool.fit, pool.padding) == (fit, 0 if fit else 1)


def test_nin_ends_in_a_mean_for_each_class() -> None:
    graph = graph_of("nin_imagenet")
    assert isinstance(graph[graph.taps["out"]].op, GlobalPool)
