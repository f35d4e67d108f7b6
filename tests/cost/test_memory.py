"""Peak and saved memory: against a count done the slow way, and against the storages that torch really makes."""

from __future__ import annotations

import pytest

from specimens import SPECIMENS
from striate.blueprint import (
    Activation,
    Blueprint,
    Concat,
    Conv,
    Dropout,
    Graph,
    Linear,
    MaxPool,
    Relu,
    Residual,
    Seq,
    Tap,
    draft,
)
from striate.cost import ledger
from striate.cost.holds import HOLDS, NOTHING, kinds
from striate.cost.memory import STATE, homes, peak_bytes
from striate.zoo import NETWORKS

LEANEST = {network.family: name for name, network in sorted(NETWORKS.items(), key=lambda item: -item[1].macs)}
SMALL = sorted(LEANEST.values())  # of each family the one that is soonest done


def slow_peak(graph: Graph, batch: int, size: int) -> int:
    """At each step, every memory that somebody still has to read, counted anew."""
    home, kind = homes(graph, kinds(graph)), kinds(graph)
    nodes = list(graph)
    kept = {home[name] for name in graph.taps.values()} | {"input"}
    most = 0
    for i, node in enumerate(nodes):
        made = {home[earlier.name] for earlier in nodes[: i + 1]}
        wanted = {home[name] for later in nodes[i:] for name in later.inputs} | kept | {home[node.name]}
        beside = HOLDS.get(kind[node.name], NOTHING).scratch
        scratch = beside(node, graph[node.inputs[0]], batch, size) if beside and home[node.name] == node.name else 0
        most = max(most, scratch + batch * size * sum(graph[name].output.size for name in made & wanted))
    return most


@pytest.mark.parametrize("name", SMALL)
def test_the_peak_is_what_a_slow_count_finds(name: str) -> None:
    graph = ledger(name).graph
    assert peak_bytes(graph, 2, 4) == slow_peak(graph, 2, 4)


@pytest.mark.parametrize(
    ("net", "peak"),
    [  # numbers alive at once, by hand; the input is 1×4×4 = 16 and stays
        (Conv(2, 1), 16 + 32),
        (Seq(Conv(2, 1), Conv(3, 1), Conv(1, 1)), 16 + 32 + 48),
        (Seq(Conv(2, 1), Relu), 16 + 32),  # overwrites
        (Seq(Conv(2, 1), Activation("tanh")), 16 + 32 + 32),  # does not
        (Seq(Relu), 16 + 16),  # never the input, which is somebody else's
        (Seq(Conv(2, 1), Dropout(), Conv(1, 1)), 16 + 32 + 16),  # hands on
        (Seq(Conv(2, 1), Residual(Conv(2, 1))), 16 + 32 + 32 + 32),  # both arms, and their sum
        (Concat(Conv(1, 1), Conv(2, 1)), 16 + 16 + 32 + 48),
        (Seq(Conv(2, 1), Tap("early"), Conv(1, 1), Conv(1, 1)), 16 + 32 + 16 + 16),  # a way out is kept
        (Seq(Conv(2, 1), Tap("early"), Relu), 16 + 32 + 32),  # and not overwritten
        (MaxPool(2), 16 + 4 + 4 * 2),  # torch keeps each maximum's index, an int64, for a moment
    ],
)
def test_the_peak_of_small_networks(net: Blueprint, peak: int) -> None:
    assert peak_bytes(draft(net, "1x4x4"), 1, 4) == 4 * peak


def test_the_total_peak_has_weights_and_buffers() -> None:
    totals = ledger("resnet18", batch=2).totals
    assert totals.peak_bytes == totals.weight_bytes + totals.buffer_bytes + peak_bytes(ledger("resnet18").graph, 2, 4)


@pytest.mark.parametrize("optimizer", STATE)
def test_training_adds_gradients_and_the_optimiser_s_state(optimizer: str) -> None:
    priced = ledger("lenet5", training=True, optimizer=optimizer)
    training, weights = priced.training, priced.totals.weight_bytes
    assert training is not None
    assert training.gradient_bytes == weights
    assert STATE[optimizer][0] * weights <= training.optimizer_bytes <= STATE[optimizer][1] * weights
    assert training.peak_bytes >= 2 * weights + training.optimizer_bytes  # the last moment has them all


@pytest.mark.parametrize(
    ("net", "saved"),
    [  # numbers kept for the way back, by hand: the input has 16, and is the first convolution's
        (Conv(2, 1), 16),
        (Seq(Conv(2, 1), Relu), 16 + 32),
        (Seq(Conv(2, 1), Relu, Conv(2, 1)), 16 + 32),  # one value, needed twice
        (Seq(Conv(2, 1), Activation("silu")), 16 + 32),
        (Seq(Conv(2, 1), Activation("silu"), Conv(2, 1)), 16 + 32 + 32),
        (Seq(Conv(1, 1), MaxPool(2), Linear(3)), 16 + 16 + 2 * 4 + 4),
        (Seq(MaxPool(2), Linear(3)), 4),  # before the first weights nothing is followed
        (Residual(Conv(1, 1)), 16),  # a sum needs nothing
    ],
)
def test_what_the_way_back_needs(net: Blueprint, saved: int) -> None:
    training = ledger(net, "1x4x4", training=True).training
    assert training is not None
    assert training.saved_bytes == 4 * saved


@pytest.mark.parametrize("name", SMALL)
def test_torch_holds_exactly_that(name: str) -> None:
    torch = pytest.importorskip("torch")
    import observed
    from striate import build

    priced = ledger(name, batch=2, training=True)
    module = build(name, device="meta")
    x = torch.empty(2, *priced.input, device="meta")
    peak, saved = observed.inference_peak(module, x), observed.saved(module, x)
    statistics = 8 * max(row.output.channels for row in priced.rows)  # a norm's, which only the meta device makes
    assert priced.training is not None
    if {"scaled_tanh", "LocallyConnected"} & {*kinds(priced.graph).values()}:  # of several steps: to a thousandth
        assert priced.training.saved_bytes == pytest.approx(saved, rel=2e-3)
        assert priced.totals.peak_bytes == pytest.approx(peak, rel=2e-3)
    else:
        assert priced.training.saved_bytes == saved
        assert peak - statistics <= priced.totals.peak_bytes <= peak


# A mask, a divisor, an index more or fewer than the table has.
ROUGH = {"average pool lopsided", "select", "gate of values", "fractional pool"}


@pytest.mark.parametrize("name", sorted(SPECIMENS.keys() - ROUGH))
def test_every_layer_s_line_of_the_table_is_torch_s(name: str) -> None:
    torch = pytest.importorskip("torch")
    import observed
    from striate import build

    blueprint, volume, *_ = SPECIMENS[name]
    priced = ledger(draft(blueprint, volume), batch=2, training=True)
    module = build(priced.graph, device="meta")
    peak = observed.inference_peak(module, torch.empty(2, *volume, device="meta"))
    x = torch.empty(2, *volume, device="meta", requires_grad=not list(module.parameters()))
    assert priced.training is not None
    assert priced.training.saved_bytes == observed.saved(module, x)
    assert priced.totals.peak_bytes == pytest.approx(peak, abs=400 if name in SCRATCH or "norm" in name else 0)


SCRATCH = {
    "locally connected",
    "locally connected grouped",
    "fractional pool",
    "radial basis",
    "residual projected",
    "shared",
}
