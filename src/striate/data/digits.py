"""The handwritten digits that come with scikit-learn: 1,797 images of 8×8 in 17 grey levels (Alpaydin & Kaynak, UCI
1998).
"""

from __future__ import annotations

import torch

from striate.data.images import Images, stratified

HELD = 360  # for the test; the split is fixed, whatever the seed of a training
BRIGHTEST = 16


def digits() -> tuple[Images, Images]:
    """(train, test): 1,437 and 360 images, uint8 1×8×8, ten classes in proportion."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (torch.from_numpy(bunch.images) * (255 / BRIGHTEST)).round().to(torch.uint8).unsqueeze(1)
    images = Images(pixels, torch.from_numpy(bunch.target).long(), tuple("0123456789"), "digits")
    kept, held = stratified(images.labels, HELD, seed=0)
    return images[kept], images[held]
