"""The arithmetic of volumes as the five lecture decks work it out."""

from dataclasses import replace

import pytest

from striate.blueprint import (
    AvgPool,
    CannotMake,
    CannotPlace,
    Concat,
    Conv,
    Linear,
    LocallyConnected,
    MaxPool,
    Relu,
    Seq,
    Volume,
    conv_norm_act,
    draft,
)

IMAGE = Volume(3, 32, 32)


@pytest.mark.parametrize(("stride", "side"), [(1, 5), (2, 3)])
def test_seven_by_seven_under_three_by_three(stride, side):
    assert Conv(1, 3, stride).place(Volume(1, 7, 7)).output == Volume(1, side, side)


def test_seven_by_seven_at_stride_three_cannot():
    with pytest.raises(CannotPlace, match=r"\(7 - 3\)/3 \+ 1 = 2\.333"):
        Conv(1, 3, 3).place(Volume(1, 7, 7))


@pytest.mark.parametrize(("stride", "side"), [(1, 28), (3, 10)])
def test_five_by_five_on_a_cifar_image(stride, side):
    placed = Conv(5, 5, stride).place(IMAGE)
    assert placed.output == Volume(5, side, side)
    assert placed.weights["weight"][1:] == (3, 5, 5)  # 75 weights a neuron, unchanged by the stride


def test_five_by_five_at_stride_two_cannot():
    with pytest.raises(CannotPlace) as caught:
        draft(Seq(conv1=Conv(6, 5, stride=2)), IMAGE)
    refusal = caught.value
    fact, why, ways = str(refusal).splitlines()
    assert fact == "Cannot place conv1: Conv(6, 5, stride=2) on 3×32×32"
    assert why == "    (32 - 5)/2 + 1 = 14.5: 1 row and 1 column of the volume would go unread."
    assert ways.startswith("    What fits: stride=3 -> 10×10, ")
    assert 'a 31×31 or 33×33 input; or fit="floor" leaves them out (14×14).' in ways
    assert (refusal.where, refusal.layer, refusal.volume) == ("conv1", Conv(6, 5, stride=2), IMAGE)
    formula, value = why.strip().split(":")[0].split(" = ")
    assert eval(formula) == float(value)  # the printed sum is valid Python


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_same_padding_preserves_the_size(kernel):
    assert Conv(10, kernel, padding=(kernel - 1) // 2).place(IMAGE).output == Volume(10, 32, 32)
    assert Conv(10, kernel, padding="same").place(IMAGE).output == Volume(10, 32, 32)


@pytest.mark.parametrize(
    ("network", "volume", "parameters", "macs"),
    [
        (Conv(10, 5, padding=2), Volume(10, 32, 32), 760, None),
        (Conv(6, 5), Volume(6, 28, 28), 456, 352_800),
        (Conv(10, 3, padding=1), Volume(10, 32, 32), 280, None),
        (Seq(Conv(10, 3, padding=1), Relu, Conv(10, 3, padding=1)), Volume(10, 32, 32), 280 + 910, None),
        (Conv(96, 11, 4), None, 34_944, None),
    ],
)
def test_worked_examples(network, volume, parameters, macs):
    graph = draft(network, IMAGE if volume else Volume(3, 227, 227))
    assert graph.output == (volume or Volume(96, 55, 55))
    assert graph.parameters == parameters
    assert macs in (None, graph.macs)


def test_the_example_network_of_lecture_7():
    block = Seq(Conv(10, 3, padding=1), Relu, Conv(10, 3, padding=1), Relu, MaxPool(2))
    graph = draft(Seq(block, block, block, Linear(10)), IMAGE)
    assert [node.output for node in graph if node.name.endswith(".4")] == [Volume(10, n, n) for n in (16, 8, 4)]
    assert graph["3"].parameters == 10 * 4 * 4 * 10 + 10  # 1,610; the slide says 1600


def test_sharing_saves_three_million_weights():
    apart = LocallyConnected(30, 5, padding=2, bias=False).place(IMAGE)
    shared = Conv(30, 5, padding=2, bias=False).place(IMAGE)
    assert apart.output == shared.output == Volume(30, 32, 32)
    assert draft(LocallyConnected(30, 5, padding=2, bias=False), IMAGE).parameters == 2_304_000  # "3 million"
    assert draft(Conv(30, 5, padding=2, bias=False), IMAGE).parameters == 2_250
    assert apart.macs == shared.macs


@pytest.mark.parametrize("channels", [8, 64])
def test_three_small_filters_see_as_far_as_one_large(channels):
    small = draft(Seq(*[Conv(channels, 3, bias=False)] * 3), Volume(channels, 32, 32))
    large = draft(Conv(channels, 7, bias=False), Volume(channels, 32, 32))
    assert [graph.nodes[-1].field.rows.size for graph in (small, large)] == [7, 7]
    assert small.output == large.output
    assert (small.parameters, large.parameters) == (27 * channels**2, 49 * channels**2)


def inception(reduced):
    def arm(width, kernel):
        conv = Conv(width, kernel, padding=kernel // 2, bias=False)
        return Seq(Conv(64, 1, bias=False), conv) if reduced and kernel > 1 else conv

    pool = Seq(MaxPool(3, 1, 1), Conv(64, 1, bias=False) if reduced else None)
    return draft(Concat(arm(128, 1), arm(192, 3), arm(96, 5), pool), Volume(256, 28, 28))


def test_the_naive_inception_module():
    graph = inception(reduced=False)
    assert graph.output == Volume(672, 28, 28)
    assert graph.output.size == 526_848  # the slide's 529k is 28*28*675
    assert graph.macs == 28 * 28 * 256 * (128 + 192 * 9 + 96 * 25)
    assert round(graph.macs / 1e6) == 854


def test_bottlenecks_make_it_three_times_cheaper():
    graph = inception(reduced=True)
    assert graph.output == Volume(480, 28, 28)
    # The slide totals its own six lines to 358M. They sum to 271M; 358M is what counting the 3×3 line twice gives.
    assert graph.macs == 28 * 28 * (3 * 64 * 256 + 128 * 256 + 192 * 9 * 64 + 96 * 25 * 64) == 271_351_808
    assert round((graph.macs + 28 * 28 * 192 * 9 * 64) / 1e6) == 358


@pytest.mark.parametrize("n", range(5, 24))
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_dilation_as_in_torchs_formula(n, dilation, stride):
    floored = (n + 2 - dilation * (3 - 1) - 1) // stride + 1
    layer = Conv(1, 3, stride, 1, dilation, fit="floor")
    if floored < 1:
        with pytest.raises(CannotPlace, match="only"):
            layer.place(Volume(1, n, n))
    else:
        assert layer.place(Volume(1, n, n)).output == Volume(1, floored, floored)


def test_the_four_fits():
    pool, volume = MaxPool(3, 2), Volume(1, 112, 112)
    assert replace(pool, fit="floor").place(volume).output == Volume(1, 55, 55)
    assert replace(pool, fit="ceil").place(volume).output == Volume(1, 56, 56)
    for fit in (None, "cover", "exact"):
        with pytest.raises(CannotPlace, match="would go unread"):
            replace(pool, fit=fit).place(volume)
    stem = Conv(64, 7, 2, 3)  # 112.5: the half position is padding, so nothing real is lost
    assert stem.place(Volume(3, 224, 224)).output == Volume(64, 112, 112)
    with pytest.raises(CannotPlace, match=r"= 112\.5: the last window does not end where the padded volume does"):
        replace(stem, fit="exact").place(Volume(3, 224, 224))
    assert draft(pool, volume, fit="floor").output == Volume(1, 55, 55)


def test_a_gapped_window_may_leave_cells_out():
    assert AvgPool(1, 2).place(Volume(4, 7, 7)).output == Volume(4, 4, 4)
    assert Conv(4, 1, 2).place(Volume(4, 8, 8)).output == Volume(4, 4, 4)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Conv(0, 3),
        lambda: Conv(10**9, 3),
        lambda: Conv(4, -1),
        lambda: Conv(4, 3, 0),
        lambda: Conv(4, 2.5),
        lambda: Conv(4, 3, padding=-1),
        lambda: Linear(True),
        lambda: MaxPool(2, fit="round"),
        lambda: Volume.parse("0x2x2"),
        lambda: Volume.parse("3x999999999999x2"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_at_once(layer):
    with pytest.raises(CannotMake, match="it must be"):
        layer()


def test_a_skip_that_changes_the_volume_says_so():
    from striate.blueprint import CannotJoin, Residual

    with pytest.raises(CannotJoin) as caught:
        draft(Seq(layer2=Seq(sum=Residual(conv_norm_act(512, 1, 2)))), Volume(256, 56, 56))
    assert str(caught.value) == (
        "Cannot add layer2.sum: 256×56×56 + 512×28×28.\n    The body changed the volume; give Residual a project=."
    )
