"""What a unit sees is what its gradient reaches, on branches, skips, dilation; what counts of it follows by hand."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference import torchvision
from striate.blueprint import (
    AvgPool,
    Concat,
    Conv,
    GlobalPool,
    NotFound,
    Refusal,
    Residual,
    Seq,
    Volume,
    squeeze_excite,
)
from striate.nn import build
from striate.nn.build import Network
from striate.visualize.field import effective, gradients, layer_field, sight
from striate.visualize.field_drawn import draw_field, framed
from striate.visualize.images import seen
from striate.visualize.units import Unit, unit


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


WIRINGS = {
    "branches": Seq(one=Conv(2, 3, padding=1), many=Concat(Conv(2, (1, 7), padding=(0, 3)), Conv(2, 5, padding=2))),
    "skips": Seq(one=Conv(2, 3, 2, 1), two=Residual(Seq(Conv(2, 3, padding=1), Conv(2, 3, padding=1)))),
    "dilation": Seq(one=Conv(2, 3, padding=2, dilation=2), two=Conv(2, 3, padding=4, dilation=4)),
    "strides": Seq(one=Conv(2, 5, 2), two=AvgPool(3, 2), three=Conv(2, 3)),
    "padding of one side": Seq(one=Conv(2, 4, 2, 1), two=Conv(2, 2, 2)),
}


def positive(model: nn.Module) -> nn.Module:
    """Where every weight is above 0 and nothing is left out, no gradient that there is cancels."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.abs() + 0.01)
    return model


def support(gradient: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = ((gradient != 0).any(axis).nonzero().flatten() for axis in (1, 0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@pytest.mark.parametrize("name", WIRINGS)
def test_what_a_unit_sees_is_what_its_gradient_reaches(name: str) -> None:
    model = positive(build(WIRINGS[name], "1x31x34", fit="floor"))
    for node in model.graph.nodes[1:]:  # type: ignore[union-attr]
        _, height, width = node.output
        for cell in ((0, 0), (height // 2, width // 2), (height - 1, width // 3)):
            of = Unit(node.name, None, cell)
            found = sight(model, of)
            assert found.how == "graph"
            gradient, _ = gradients(model, torch.randn(1, 1, 31, 34), of)
            assert found.inside == support(gradient[0]), str(of)


def test_where_it_is_not_cut_the_offset_is_said() -> None:
    model = build(WIRINGS["strides"], "1x31x34", fit="floor")
    found = sight(model, "three:1@1,2")
    assert (found.rows, found.columns) == ((4, 20), (8, 24))
    assert found.told() == (
        "three:1@1,2 sees 17×17 of 1×31×34: rows 4 to 20, columns 8 to 24. Its neighbours' fields are 4 cells on."
    )
    model = build(WIRINGS["branches"], "1x9x9")
    assert sight(model, "many@0,8").told() == (
        "many@0,8 sees 7×9 of 1×9×9: rows 0 to 3, columns 4 to 8. Beyond the border lie 3 rows and 4 columns of it. "
        "Its neighbours' fields are 1 cells on."
    )


def test_an_input_of_another_size(resnet: Network) -> None:
    found = sight(resnet, "stage2", "3x48x64")
    assert found.unit == Unit("stage2", None, (12, 16))
    assert found.size == sight(resnet, "stage2").size == (37, 37)
    assert found.columns == (16 * 2 - 18, 16 * 2 + 18)
    assert sight(resnet, "out:ship").unit == Unit("out", 8)


def test_other_peoples_networks_are_traced() -> None:
    model = torchvision().models.resnet18(weights=None)
    ours = build("resnet18")
    for theirs, name in (("maxpool", "stem.pool"), ("layer1", "layer1"), ("layer2:3", "layer2:3")):
        found = sight(model, theirs, "3x96x96")
        name = name if name in {"layer1", "layer2:3"} else unit(ours, "stem").layer
        want = sight(ours, name, "3x96x96")
        assert (found.rows, found.columns, found.jump) == (want.rows, want.columns, want.jump)
        assert found.how == "traced"
    again = layer_field(model, "layer1.0.relu", Volume(3, 96, 96))  # it runs twice: the last run counts
    assert again is not None
    assert again.field.rows.size == 27


class Decides(nn.Module):
    """What it does depends on numbers: no export can follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) if bool(x.sum() < 1e9) else x


def test_what_nobody_can_follow_is_seen_by_its_gradient() -> None:
    found = sight(positive(Decides()), "two:1@2,3", "1x20x24")
    assert found.how == "gradient"
    assert (found.rows, found.columns) == ((4, 10), (6, 12))
    assert "gradient" not in found.told()
    assert found.told() == "two:1@2,3 sees 7×7 of 1×20×24: rows 4 to 10, columns 6 to 12."


def test_a_gate_reads_everything() -> None:
    gated = Seq(one=Conv(4, 3, padding=1), se=squeeze_excite(2, 4), two=Conv(2, 3, padding=1))
    found = sight(build(gated, "1x16x16"), "two@8,8")
    assert found.size == (5, 5)
    assert found.told().endswith("Through a gate or a norm it reads the whole image, too.")


def ones(layers: int, size: int) -> nn.Module:
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(layers)))
    for layer in model:
        nn.init.ones_(layer.weight)
    return model.requires_grad_(False)


@pytest.mark.parametrize("layers", [1, 2, 12])
def test_the_effective_field_of_equal_weights_is_a_binomial(layers: int) -> None:
    size = 2 * layers + 9
    found = effective(ones(layers, size), torch.randn(2, 1, size, size), str(layers - 1))
    row = np.array([1.0])
    for _ in range(layers):
        row = np.convolve(row, [1, 1, 1])
    row /= row.sum()
    middle = found.shares[4:-4, 4:-4]
    assert torch.allclose(middle, torch.from_numpy(np.outer(row, row)).float(), atol=1e-7)
    assert found.shares.sum() == pytest.approx(1)
    held = [row[layers - reach : layers + reach + 1].sum() ** 2 for reach in range(layers + 1)]
    reach = next(i for i, share in enumerate(held) if share >= 0.9545 - 1e-6)
    assert found.side == (2 * reach + 1, 2 * reach + 1)
    assert found.share == pytest.approx((2 * reach + 1) / (2 * layers + 1))
    assert found.root == pytest.approx((np.outer(row, row) > (1 - 0.9545) * row.max() ** 2).sum() ** 0.5)
    if layers == 12:
        assert (
            found.told()
            == "95.45% of the gradient lies in 13×13 of the 25×25 that 11@16,16 sees: 52% of its side, on 2 images."
        )


def test_what_counts_is_held_against_what_the_image_shows(resnet: Network) -> None:
    """A field of 81×81 about an image of 32×32: no gradient can lie beyond that."""
    found = effective(resnet, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), "stage3.2.sum")
    assert found.sight.size == (81, 81)
    reached = max(2 * abs(end - (found.sight.rows[0] + found.sight.rows[1]) / 2) + 1 for end in (0, 31))
    assert found.share == pytest.approx(found.side[0] / reached, abs=0.02)
    assert found.share > 0.8
    assert "81×81 that stage3.2.sum@4,4 sees, of which 32×32 are in the image: " in found.told()
    assert found.told().endswith("% of the side that the image reaches, on 2 images.")


def test_the_frame_is_drawn_however_large_the_field_is(resnet: Network, scene: Tensor) -> None:
    from striate.visualize.figures import canvas

    for layer, dashed in (("stage1.2.sum", False), ("stage3.2.sum", False), ("stage3.2.sum:0@0,0", True)):
        axes = canvas(5, 5).subplots()
        at = sight(resnet, layer)
        assert framed(axes, at) == dashed
        frame = axes.patches[-1].get_bbox()
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert left < frame.x0 < frame.x1 < right
        assert top < frame.y0 < frame.y1 < bottom
        assert dashed or (frame.width, frame.height) == at.size[::-1]


def test_the_effective_field_is_a_mean_over_images(resnet: Network) -> None:
    x = torch.randn(4, 3, 32, 32)
    ticks: list[int] = []
    whole = effective(resnet, x, "stage2:3", ticks.append)
    parts = [gradients(resnet, x[i : i + 1], whole.sight.unit)[0] for i in range(4)]
    mean = torch.cat(parts).mean(0)
    assert torch.allclose(whole.shares, mean / mean.sum(), atol=1e-6)
    assert ticks[-1] == 4
    (top, bottom), (left, right) = whole.sight.inside
    outside = whole.shares.clone()
    outside[top : bottom + 1, left : right + 1] = 0
    assert not outside.any()
    assert resnet.get_submodule("stem.conv").weight.grad is None


def test_gradients_are_absolute_and_summed_over_the_input_s_channels(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    leaf = x.clone().requires_grad_()
    [by_hand] = torch.autograd.grad(resnet.eval()(leaf)[:, 8].sum(), leaf)
    for model in (resnet, deepcopy(resnet).double()):  # whatever the type of its weights
        found, _ = gradients(model, x, Unit("out", 8))
        assert torch.allclose(found, by_hand.abs().sum(1), atol=1e-4)
    with torch.inference_mode():
        assert gradients(resnet, torch.ones(1, 3, 32, 32), Unit("out", 8))[0].any()


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x.detach())


def test_what_cannot_be_seen(resnet: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(NotFound, match="stage9"):
        sight(resnet, "stage9")
    with pytest.raises(Refusal, match=r"Cannot see stage2@16,0: stage2 has 16 rows, row 16 is not among them\."):
        sight(resnet, "stage2@16,0")
    with pytest.raises(Refusal, match=r"Cannot see stage2:32@8,8: stage2 has 32 channels"):
        effective(resnet, x, "stage2:32")
    with pytest.raises(Refusal, match="Cannot see stage2@8,8: its value is not finite"):
        effective(resnet, x * float("nan"), "stage2")
    with pytest.raises(Refusal, match="none comes back from one"):
        effective(Cut().requires_grad_(False), x[:, :1], "one")
    dead = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    nn.init.constant_(dead[0].bias, -1e6)
    with pytest.raises(Refusal, match="its gradient is 0 on every image: the unit is dead there"):
        effective(dead, x, "1:0")
    with pytest.raises(Refusal, match=r'Cannot know what a Cut reads\.\n    Say the volume: "3x224x224"'):
        sight(Cut(), "one")


def test_the_field_of_a_pool_over_everything() -> None:
    model = build(Seq(one=Conv(2, 3, padding=1), mean=GlobalPool()), "1x8x8")
    found = sight(model, "mean:1")
    assert found.unit == Unit("mean", 1)
    assert (found.rows, found.size) == ((-1, 8), (10, 10))
    assert effective(model, torch.randn(3, 1, 8, 8), "mean:1").shares.shape == (8, 8)


def test_fields_as_pictures(resnet: Network, scene: Tensor, golden_picture: Callable[[str, bytes], None]) -> None:
    look = seen(resnet, torch.cat([scene, scene.flip(3), scene.flip(2), scene.flip(1)]))
    counts = effective(resnet, look.x, "stage2.2.act@2,6")
    golden_picture("field-resnet20", draw_field(counts.sight, look.pixels[0], counts))
    assert draw_field(counts.sight, look.pixels[0]).startswith(b"\x89PNG")
