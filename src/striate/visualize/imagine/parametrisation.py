"""An image as what is optimised: the amplitudes of its waves in decorrelated colours (Olah et al. 2017,
"Preconditioning and Parameterization"). Steps along the gradient there are smooth changes of natural colours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# The covariance of red, green and blue (0..1) over all pixels of CIFAR-10's 50,000 training images, measured; of 800
# photos of Flickr8k it is the same but for a factor of 1.15, the correlations within 0.005.
COLOURS = ((0.06102, 0.05482, 0.05070), (0.05482, 0.05928, 0.05780), (0.05070, 0.05780, 0.06843))
START = 0.1  # the deviation of the first noise, before the logistic function


class Waves(NamedTuple):
    """How amplitudes become images: `scale`, H×(W//2+1), is 1/f, its root mean square 1; `colours`, C×C, of length 1 at
    most by row; the images' size.
    """

    scale: Tensor
    colours: Tensor
    size: tuple[int, int]

    def images(self, amplitudes: Tensor) -> Tensor:
        """float N×C×H×(W//2+1)×2 -> N×C×H×W, strictly within 0..1."""
        spectrum = torch.view_as_complex(amplitudes) * self.scale
        grey = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        return torch.einsum("nchw,dc->ndhw", grey, self.colours).sigmoid()

    def amplitudes(self, images: Tensor) -> Tensor:
        """Back from images, N×C×H×W in 0..1."""
        values = images.clamp(0.01, 0.99).logit()
        grey = torch.einsum("nchw,dc->ndhw", values, torch.linalg.inv(self.colours))
        return torch.view_as_real(torch.fft.rfft2(grey, norm="ortho") / self.scale).contiguous()

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Amplitudes of weak pink noise, different for each image."""
        shape = (count, len(self.colours), *self.scale.shape, 2)
        return START * torch.randn(shape, generator=generator).to(self.scale.device)


def waves(channels: int, size: tuple[int, int], device: torch.device | str = "cpu") -> Waves:
    """For images of three channels in natural colours; any other number is not correlated."""
    height, width = size
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    frequency = (rows[:, None].square() + columns.square()).sqrt().clamp(min=1 / max(size))
    scale = 1 / frequency
    if channels == 3:
        strengths, axes = torch.linalg.eigh(torch.tensor(COLOURS))
        colours = axes * strengths.sqrt()
        colours = colours / colours.norm(dim=1).max()
    else:
        colours = torch.eye(channels)
    return Waves((scale / scale.square().mean().sqrt()).to(device), colours.to(device), size)
