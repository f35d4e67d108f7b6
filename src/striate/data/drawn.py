"""A batch as a picture: what the network will see, after every step of preparation and augmentation."""

from __future__ import annotations

from io import BytesIO

import torch
from torch import Tensor

from striate.data.preprocessing import Preprocessing

ACROSS = 8
INK, FAINT, BLUE, ORANGE = "#1f2933", "#9aa5b1", "#2b6cb0", "#c05621"  # the house's, told apart by the colour-blind


def drawn(x: Tensor, labels: Tensor, classes: tuple[str, ...], rule: Preprocessing, title: str) -> bytes:
    """A PNG of x (float N×C×H×W, normalised) in rows of eight, each with its class over it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (rule.mean, rule.std))
    shown = (x * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    down, across = -(-len(x) // ACROSS), min(ACROSS, len(x))
    figure = Figure(figsize=(1.5 * across, 1.7 * down + 0.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontweight="bold")
    for place, axes in enumerate(figure.subplots(down, across, squeeze=False).flat):
        axes.axis("off")
        if place < len(x):
            image = shown[place]
            axes.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
            axes.set_title(classes[labels[place]][:18], color=INK, fontsize=8)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
