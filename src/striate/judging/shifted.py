"""Small pictures judged as they are, moved by a cell, and mirrored: six views, all of them cut on the device where the
images lie (Jordan 2024, arXiv 2404.00498, section 3.5).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data import Images, Preprocessing
from striate.judging.trained import answer

SHIFTED = "shifted"
AT_ONCE = 2000


@torch.inference_mode()
def shifted(
    model: nn.Module, images: Images, preprocessing: Preprocessing, dtype: torch.dtype = torch.float32, by: int = 1
) -> Tensor:
    """log-probabilities N×classes: the mean of the probabilities of the image and its mirror image (a half), and of
    both moved by `by` cells up and left, and down and right, their own cells coming in as in a mirror.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        said = [_said(model, pixels, preprocessing, device, dtype, by) for pixels in images.pixels.split(AT_ONCE)]
    finally:
        model.train(was_training)
    return torch.cat(said)


def _said(
    model: nn.Module, pixels: Tensor, rule: Preprocessing, device: torch.device, dtype: torch.dtype, by: int
) -> Tensor:
    x = rule.normalise(pixels, device)
    height, width = x.shape[2:]
    around = F.pad(x, (by,) * 4, mode="reflect")
    moved = around[..., :height, :width], around[..., 2 * by :, 2 * by :]

    def share(view: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return answer(model, view).softmax(1) + answer(model, view.flip(3)).softmax(1)

    return (share(x) / 4 + (share(moved[0]) + share(moved[1])) / 8).log()
