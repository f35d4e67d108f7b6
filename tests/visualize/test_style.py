"""A photo takes a painting's style, and stays the photo."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from reference import torchvision
from striate.blueprint import CannotMake, NotFound
from striate.data import read_image
from striate.data.preprocessing import scaled
from striate.judging.trained import preprocessing_of
from striate.nn.build import Network
from striate.visualize.imagine.drawn import row
from striate.visualize.imagine.objectives import gram
from striate.visualize.style import by_grid, restyle
from striate.visualize.watching import as_far_as, undisturbed

STYLES = ["conv1.act", "body.3.expand", "body.8.expand", "body.10.expand"]


@pytest.fixture(scope="module")
def pictures(shared: Path) -> tuple[Tensor, Tensor]:
    found = sorted((shared / "hymenoptera" / "val" / "bees").glob("*.jpg"))
    photo, painting = (scaled(read_image(found[i], 3)[None], (64, 64))[0, :, :64, :96] for i in (11, 62))
    return photo, painting


def test_the_photo_takes_the_style(squeezenet: Network, pictures: tuple[Tensor, Tensor]) -> None:
    photo, painting = pictures
    told: list[int] = []
    made = restyle(squeezenet, photo, painting, steps=40, tick=told.append)
    assert made.shape == photo.shape
    assert made.dtype == torch.uint8
    assert told[-1] == 40
    rule = preprocessing_of(squeezenet)
    with torch.no_grad(), undisturbed(squeezenet), as_far_as(squeezenet, STYLES) as run:
        was, wanted, now = (run(rule.normalise(picture[None])) for picture in (photo, painting, made))
    far = lambda a, b: float((a - b).square().sum() / b.square().sum())  # noqa: E731
    for name in STYLES:
        before, after = far(gram(was[name]), gram(wanted[name])), far(gram(now[name]), gram(wanted[name]))
        assert after < 0.6 * before, name
    made_to, photos, paintings = (found["body.3.expand"][..., :15] for found in (now, was, wanted))
    assert far(made_to, photos) < 0.6 * far(paintings, photos)


def test_where_style_and_content_are_taken_from(squeezenet: Network) -> None:
    found = by_grid(squeezenet, torch.randn(1, 3, 227, 227))
    assert [*found] == STYLES
    assert [round(cell) for cell in found.values()] == [2, 4, 8, 17]
    other = torchvision().models.vgg11(weights=None)
    # the last of each grid before the next pool, up to the layer to look at
    assert [*by_grid(other, torch.randn(1, 3, 64, 64))][:2] == ["features.1", "features.4"]


def test_networks_of_other_precision(resnet: Network, pictures: tuple[Tensor, Tensor]) -> None:
    half = copy.deepcopy(resnet).bfloat16()
    assert restyle(half, *pictures, steps=2).shape == pictures[0].shape


def test_a_photo_of_another_size_than_the_head_reads(lenet: Network) -> None:
    photo, painting = (torch.randint(0, 256, (1, *grid), dtype=torch.uint8) for grid in ((40, 48), (28, 28)))
    assert restyle(lenet, photo, painting, steps=1).shape == photo.shape


def test_what_cannot_be_restyled(squeezenet: Network, pictures: tuple[Tensor, Tensor]) -> None:
    photo, painting = pictures
    with pytest.raises(CannotMake, match=r"Cannot restyle: the painting is torch.float32 3×64×\d+; uint8 3×H×W"):
        restyle(squeezenet, photo, painting / 255)
    with pytest.raises(CannotMake, match="Cannot restyle: the photo is 64×8"):
        restyle(squeezenet, photo[:, :, :8], painting)
    with pytest.raises(NotFound, match='No layer "conv99"'):
        restyle(squeezenet, photo, painting, contents="conv99")


def test_the_picture(resnet: Network, scene: Tensor, golden_picture: Callable[[str, bytes], None]) -> None:
    painting = scene[0].flip(0, 2)
    made = restyle(resnet, scene[0], painting, contents="stage1.0.sum", styles=["stem", "stage1.2.sum"], steps=6)
    shown = {"the photo": scene[0], "in the style of": painting, "is": made}
    golden_picture("style", row({name: picture / 255 for name, picture in shown.items()}))
