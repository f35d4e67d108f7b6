"""Tests of trust give what they must where the answer is known, and leave the network as it was."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.data import read_image
from striate.nn.build import Network
from striate.visualize.attribution import Heat, attribute
from striate.visualize.images import seen
from striate.visualize.trust import Curves, Randomised, blur, curves, pointing, randomised, ssim


class Corner(nn.Module):
    """Sees only the upper left 4×4 of an image of 8×8: two classes, the second for what is bright there."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([[6.0]]))

    def forward(self, x: Tensor) -> Tensor:
        bright = x[:, 0, :4, :4].mean((1, 2))[:, None] * self.scale
        return torch.cat([-bright, bright], 1)


def heat(values: Tensor, target: int = 1) -> Heat:
    n = len(values)
    return Heat("gradient", values, torch.full((n,), target), torch.ones(n), torch.ones(n))


def test_curves_of_a_network_that_looks_at_one_corner() -> None:
    x = torch.ones(1, 1, 8, 8)
    corner = torch.zeros(1, 8, 8)
    corner[:, :4, :4] = 1
    right = curves(Corner(), x, heat(corner), steps=4)
    wrong = curves(Corner(), x, heat(1 - corner), steps=4)
    sure = float(torch.sigmoid(torch.tensor(12.0)))
    assert torch.allclose(right.shares, torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert torch.allclose(
        right.deletion[0], torch.tensor([sure, 0.5, 0.5, 0.5, 0.5])
    )  # its 16 cells are the first 25 %
    assert torch.allclose(wrong.deletion[0], torch.tensor([sure, sure, sure, sure, 0.5]))
    assert float(right.areas["deletion"]) == pytest.approx(0.5 + (sure - 0.5) / 8, abs=1e-5)
    assert float(wrong.areas["deletion"]) == pytest.approx(sure - (sure - 0.5) / 8, abs=1e-5)
    assert right.insertion[0, -1] == pytest.approx(sure)
    assert right.areas["deletion"] < right.areas["random_deletion"] < wrong.areas["deletion"]


def test_insertion_begins_with_the_blurred_image() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[:, :, 1::2] = 2.0  # stripes
    found = curves(Corner(), x, heat(torch.rand(1, 8, 8)), steps=2)
    with torch.no_grad():
        ends = [float(Corner()(image).softmax(1)[0, 1]) for image in (blur(x), x)]
    assert found.insertion[0, [0, -1]].tolist() == pytest.approx(ends, abs=1e-6)
    assert torch.allclose(blur(torch.full((1, 3, 9, 7), 2.5)), torch.full((1, 3, 9, 7), 2.5))
    assert blur(x).std() < 0.5 * x.std()


def test_a_good_map_beats_chance_on_a_real_network(squeezenet: Network, shared: Path) -> None:
    x = seen(squeezenet, [shared / "hymenoptera" / "val" / "bees" / "10870992_eebeeb3a12.jpg"]).x
    found = attribute(squeezenet, x, "grad-cam")
    tried = curves(squeezenet, x, found, steps=8, random=1)
    areas = {name: float(area) for name, area in tried.areas.items()}
    assert areas["insertion"] > areas["random_insertion"]
    assert areas["deletion"] < areas["random_deletion"]
    assert tried.deletion[0, 0] == pytest.approx(float(found.shares[0]), abs=1e-4)
    assert tried.insertion[0, -1] == pytest.approx(float(found.shares[0]), abs=1e-4)
    again = curves(squeezenet, x, found, steps=8, random=1, at_once=2)
    assert torch.allclose(again.insertion, tried.insertion, atol=1e-4)


def test_pointing() -> None:
    values = torch.zeros(3, 40, 60)
    values[0, 10, 20] = values[1, 39, 0] = values[2, 20, 50] = 1
    boxes = [
        torch.tensor([[18, 8, 23, 12], [0, 0, 1, 1]]),
        torch.tensor([[2, 30, 10, 37]]),
        torch.tensor([[0, 0, 35, 5]]),
    ]
    assert pointing(values, boxes, tolerance=0).tolist() == [True, False, False]
    assert pointing(values, boxes, tolerance=2).tolist() == [True, False, False]
    assert pointing(values, boxes, tolerance=3).tolist() == [True, True, False]
    assert pointing(values, boxes, tolerance=16).tolist() == [True, True, True]
    edges = {(20, 10, 21, 11): 0, (21, 10, 22, 11): 1, (19, 10, 20, 11): 1, (20, 11, 21, 12): 1, (20, 9, 21, 10): 1}
    for edge, least in edges.items():  # beside the first map's point, which is row 10, column 20
        hits = [bool(pointing(values[:1], [torch.tensor([edge])], tolerance)) for tolerance in (0, 1)]
        assert hits == [least <= 0, True]
    with pytest.raises(Refusal, match=r"Cannot point in image 1: it has no box\."):
        pointing(values, [boxes[0], torch.zeros(0, 4), boxes[2]])
    with pytest.raises(Refusal, match=r"Cannot point in image 0: box 1 is empty or beyond 60×40\."):
        pointing(values, [torch.tensor([[1, 1, 2, 2], [3, 3, 3, 9]]), *boxes[1:]])
    with pytest.raises(Refusal, match=r"Cannot point: 3 maps, but boxes of 1 image\."):
        pointing(values, boxes[:1])


def test_pointing_at_real_cells(shared: Path) -> None:
    """White blood cells are the purple ones: a map of the colour, not of a network, finds their boxes, its opposite
    does not.
    """
    folder, maps, boxes = shared / "bccd", [], []
    for name in (folder / "ImageSets" / "Main" / "test.txt").read_text().split()[:12]:
        found = [
            [float(one.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for one in ET.parse(folder / "Annotations" / f"{name}.xml").getroot().iter("object")
            if one.findtext("name") == "WBC"
        ]
        if found:
            red, _, blue = read_image(folder / "JPEGImages" / f"{name}.jpg", 3).float()
            maps.append(blur((blue - red)[None, None])[0, 0])
            boxes.append(torch.tensor(found))
    purple = torch.stack(maps)
    assert len(boxes) >= 8
    assert pointing(purple, boxes).float().mean() >= 0.9
    assert pointing(-purple, boxes).float().mean() <= 0.5


def test_a_map_among_four_photos_points_at_its_own(squeezenet: Network, shared: Path) -> None:
    """Boxes where there are none: four photos as one, each in its quarter; the class is that of one of them."""
    names = (
        "10870992_eebeeb3a12.jpg",
        "1032546534_06907fe3b3.jpg",
        "149973093_da3c446268.jpg",
        "152789693_220b003452.jpg",
    )
    pixels = seen(squeezenet, [shared / "hymenoptera" / "val" / "bees" / names[0]]).pixels[0]
    others = seen(squeezenet, sorted((shared / "camvid_240x180" / "train").glob("*.jpg"))[:1]).pixels[0]
    quarter, other = pixels[:, ::2, ::2][:, :113, :113], others[:, ::2, ::2][:, :113, :113]
    sheet = torch.cat([torch.cat([other, other], 2), torch.cat([other, quarter], 2)], 1)
    x = seen(squeezenet, sheet[None]).x
    values = attribute(squeezenet, x, "grad-cam", "bee").values
    assert pointing(values, [torch.tensor([[113, 113, 226, 226]])], tolerance=0).all()
    assert not pointing(values, [torch.tensor([[0, 0, 113, 113]])], tolerance=0).any()


def test_a_map_of_the_image_alone_is_marked(squeezenet: Network, shared: Path) -> None:
    names = ("10870992_eebeeb3a12.jpg", "1032546534_06907fe3b3.jpg", "149973093_da3c446268.jpg")
    x = seen(squeezenet, [shared / "hymenoptera" / "val" / "bees" / name for name in names]).x
    state = {name: value.clone() for name, value in squeezenet.state_dict().items()}
    ticks: list[int] = []
    guided = randomised(squeezenet, x, "guided-backprop", stages=4, tick=ticks.append)
    cam = randomised(squeezenet, x, "grad-cam", stages=4)
    assert guided.unchanged
    assert not cam.unchanged
    assert not randomised(squeezenet, x, "gradient", stages=2).unchanged
    assert ticks == [1, 2, 3, 4]
    assert guided.layers[0][1].startswith("body.8")
    assert guided.layers[-1] == (26, "conv1.conv")
    assert guided.half == 1
    assert all(torch.equal(value, state[name]) for name, value in squeezenet.state_dict().items())
    assert guided.rank.shape == guided.ssim.shape == (4, 3)


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head, self.runs = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        if self.runs > 4:
            raise KeyboardInterrupt
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


def test_weights_come_back_whatever_happens() -> None:
    torch.manual_seed(0)
    model = Fails().train()
    model.norm.running_mean.add_(0.3)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        randomised(model, torch.randn(1, 1, 8, 8), "gradient", stages=3)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training
    with pytest.raises(Refusal, match=r"Cannot randomise in 0 stages\.\n    8 are usual"):
        randomised(model, torch.randn(1, 1, 8, 8), "gradient", stages=0)
    with pytest.raises(Refusal, match="Cannot randomise Sequential: nothing in it has weights"):
        randomised(nn.Sequential(nn.Flatten()), torch.randn(1, 1, 2, 2), "gradient")


def test_layers_are_redrawn_from_the_top() -> None:
    """Of a linear network the gradient is the weights: it changes with the first stage, and the image does not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    found = randomised(model, torch.randn(1, 1, 8, 8), "gradient", stages=5)
    assert found.layers == ((1, "1"),)
    assert found.rank.abs().max() < 0.5
    assert not found.unchanged


@pytest.mark.parametrize(("rank", "alike", "marked"), [(0.9, 0.9, True), (0.8, 0.15, False), (0.2, 0.9, True)])
def test_marked_is_what_both_measures_say(rank: float, alike: float, marked: bool) -> None:
    layers = ((1, "fc"), (2, "conv2"), (4, "conv1"))
    upper = torch.tensor([[0.9], [rank], [0.1]]), torch.tensor([[0.9], [alike], [0.1]])
    assert Randomised("gradient", layers, *upper).half == 1
    assert Randomised("gradient", layers, *upper).unchanged == marked
    early = torch.tensor([[0.9], [0.1], [0.1]])  # alike only while little is random: that is no mark
    assert not Randomised("gradient", layers, early, early).unchanged
    silent = torch.tensor([[0.9, 0.9], [0.9, torch.nan], [torch.nan, torch.nan]])  # no map is no other map
    assert Randomised("gradient", layers, silent, silent).unchanged


class Silent(nn.Module):
    """Whose scores do not follow the image once its weights are drawn anew: the bias, then 0, held them up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 8)
        nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, 1e6)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x)[:, :, 0, 0] - 1e5).relu() + 0 * x.mean((1, 2, 3))[:, None]


def test_a_network_without_a_map_is_no_evidence() -> None:
    found = randomised(Silent(), torch.randn(2, 1, 8, 8), "gradient", stages=1)
    assert found.rank.isnan().all()
    assert found.alike.isnan().all()
    assert not found.unchanged


def test_structural_similarity() -> None:
    chance = torch.Generator().manual_seed(0)
    one = torch.rand(1, 32, 32, generator=chance)
    assert ssim(one, one).item() == pytest.approx(1)
    assert ssim(one, one + 0.1).item() < 1
    near, far = ssim(one, one + 0.05 * torch.randn(one.shape, generator=chance)), ssim(one, one.flip(1))
    assert near > 0.9 > 0.3 > far
    flat_a, flat_b = torch.full((1, 9, 9), 0.2), torch.full((1, 9, 9), 0.6)  # only the means differ
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(flat_a, flat_b).item() == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_tried() -> None:
    x = torch.ones(1, 1, 8, 8)
    with pytest.raises(Refusal, match=r"Cannot try a map of 1×4×4 on images of 1×1×8×8\."):
        curves(Corner(), x, heat(torch.ones(1, 4, 4)))
    with pytest.raises(Refusal, match=r"Cannot try 0 steps and 3 maps of chance\."):
        curves(Corner(), x, heat(torch.ones(1, 8, 8)), steps=0)
    assert Curves._fields[0] == "shares"


def test_a_map_of_one_value_points_nowhere() -> None:
    everywhere = [torch.tensor([[0, 0, 8, 8]])] * 2
    assert pointing(torch.stack([torch.zeros(8, 8), torch.eye(8)]), everywhere).tolist() == [False, True]
