"""Networks to look into: LeNet-5 and ResNet-20 as they come along, SqueezeNet with ImageNet's weights; pictures held
against tests/golden/pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from torch import Tensor

import striate
from pictures import NEAR, apart
from striate.nn.build import Network

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.text import Text

PICTURES = Path(__file__).parents[1] / "golden" / "pictures"
SMALLEST = 8.0  # points; of a picture as wide as a phone a point is a pixel


@pytest.fixture(scope="session")
def lenet() -> Network:
    return striate.load("lenet5-mnist")


@pytest.fixture(scope="session")
def resnet() -> Network:
    return striate.load("resnet20-cifar10")


@pytest.fixture(scope="session")
def squeezenet(shared: Path) -> Network:
    """SqueezeNet v1.0, with the weights of ImageNet; reads 227×227."""
    file = shared / "weights" / "squeezenet1_0_deepcompression" / "squeezenet1_0.npz"
    return striate.load("squeezenet1_0", weights=file)


@pytest.fixture(scope="session")
def scene() -> Tensor:
    """A picture of our own, for those that are kept: a disc and a bar before stripes, uint8 1×3×64×64."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    stripes = 0.5 + 0.25 * torch.sin(9 * (rows + columns))
    sky = torch.stack([0.3 * stripes, 0.6 * stripes, stripes])
    disc = ((rows + 0.2) ** 2 + (columns - 0.2) ** 2 < 0.3).float()
    bar = ((rows - 0.6).abs() < 0.12).float() * (columns < 0.5)
    red, green = (torch.tensor(colour).view(3, 1, 1) for colour in ((0.9, 0.4, 0.2), (0.2, 0.7, 0.3)))
    picture = (sky * (1 - disc) + red * disc) * (1 - bar) + green * bar
    return (picture * 255).round().to(torch.uint8)[None]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the texts that are drawn in the test, those that leave their picture or are too small."""
    from matplotlib.text import Text

    draw, found = Text.draw, list[str]()

    def watched(text: Text, paper: RendererAgg) -> None:
        draw(text, paper)
        if text.get_visible() and text.get_text().strip():
            found.extend(_unreadable(text, paper))

    monkeypatch.setattr(Text, "draw", watched)
    return found


@pytest.fixture
def golden_picture(request: pytest.FixtureRequest, faults: list[str]) -> Callable[[str, bytes], None]:
    """`golden_picture("lenet5-filters", png)` fails where the picture is not that of tests/golden/pictures to the
    eye: of the same size, and alike in all blocks; and where `faults` were drawn.
    """

    def compare(name: str, png: bytes) -> None:
        assert not faults, "\n".join(faults)
        path = PICTURES / f"{name}.png"
        now = Image.open(BytesIO(png)).convert("RGB")
        if request.config.getoption("--accept"):
            path.parent.mkdir(parents=True, exist_ok=True)
            now.save(path, optimize=True)
            return
        if not path.exists():
            pytest.fail(f"{path.name} is not there yet: make accept draws it", pytrace=False)
        kept = Image.open(path).convert("RGB")
        if kept.size != now.size:
            pytest.fail(f"{path.name}: {now.size[0]}×{now.size[1]}, kept is {kept.size[0]}×{kept.size[1]}")
        far = apart(now, kept)
        assert far < NEAR, f"{path.name}: {far:.0f} of 255 apart in some place; if this is meant: make accept"

    return compare


def _unreadable(text: Text, paper: RendererAgg) -> list[str]:
    """What keeps a reader from a text: it leaves the paper, or is too small."""
    box, found = text.get_window_extent(), list[str]()
    if box.x0 < -1 or box.y0 < -1 or box.x1 > paper.width + 1 or box.y1 > paper.height + 1:
        found.append(f"cut off: {text.get_text()!r}")
    if text.get_fontsize() < SMALLEST:
        found.append(f"too small, {text.get_fontsize():g} points: {text.get_text()!r}")
    return found
