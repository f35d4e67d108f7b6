"""Small pictures judged as they are, mirrored, and moved by a cell: six views, all of them cut on the device where the
images lie (Jordan 2024, arXiv 2404.00498, section 3.5).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data import Images, Preprocessing
from striate.judging.trained import answer

AT_ONCE = 2000
UNSURE = 4  # one of so many, those whose two likeliest classes are nearest, is looked at further


@torch.inference_mode()
def shifted(
    model: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    dtype: torch.dtype = torch.float32,
    by: int = 1,
    mirror: bool = True,
) -> Tensor:
    """log-probabilities N×classes: the mean of the probabilities of the image and its mirror image; and where these are
    the least sure, a half of that and a half of the mean of both moved by `by` cells up and left, and down and right,
    their own cells coming in as in a mirror. Without `mirror`, nothing is shown mirrored: then there are three views.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        said = [
            _said(model, pixels, preprocessing, device, dtype, by, mirror) for pixels in images.pixels.split(AT_ONCE)
        ]
    finally:
        model.train(was_training)
    return torch.cat(said)


def _said(
    model: nn.Module,
    pixels: Tensor,
    rule: Preprocessing,
    device: torch.device,
    dtype: torch.dtype,
    by: int,
    mirror: bool,
) -> Tensor:
    def share(view: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            plain = answer(model, view).softmax(1)
            return (plain + answer(model, view.flip(3)).softmax(1)) / 2 if mirror else plain

    x = rule.normalise(pixels, device)
    found = share(x)
    first, second = found.topk(2, 1).values.unbind(1)
    unsure = (
        (first - second).topk(-(-len(x) // UNSURE), largest=False).indices
    )  # as many each time: nothing is waited for
    height, width = x.shape[2:]
    around = F.pad(x[unsure], (by,) * 4, mode="reflect").contiguous(memory_format=torch.channels_last)
    moved = share(around[..., :height, :width]) + share(around[..., 2 * by :, 2 * by :])
    return found.index_copy(0, unsure, found[unsure] / 2 + moved / 4).log()
