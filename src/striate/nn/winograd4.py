"""A 3×3 convolution of many channels in float32 on a processor, without gradients: Winograd's F(4×4, 3×3).

Each 4×4 of outputs reads a tile of 6×6 inputs. Tiles and filters become 36 numbers each, are multiplied there, summed
over the channels (36 products of matrices in place of 144), and turned back (Lavin & Gray 2016, arXiv 1509.09308,
section 4.3). Tiles are turned by two more products of matrices, for their columns and their rows: sums and differences
one by one, as `winograd` has them, would read and write memory six times.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUT, FILTER = 4, 3
TILE = OUT + FILTER - 1
POINTS = 0.0, 0.75, -0.75, 1.5, -1.5  # and infinity: close together, so that little is lost to rounding
WIDE = 256  # channels: of fewer, turning tiles takes as long as is saved
TILES = 128  # at a time: enough for quick products of matrices, few enough to stay near the processor


class Wide(nn.Conv2d):
    """A convolution whose weights have been turned, for inference only."""

    turned: Tensor

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv3x3(x, self.turned, bias, self.padding)  # type: ignore[arg-type]


def wide(conv: nn.Conv2d) -> Wide:
    """The same convolution, its weights turned once and for all."""
    part = copy(conv)
    part.__class__, part.turned = Wide, turn(conv.weight.detach())
    return part  # type: ignore[return-value]


def fits(conv: nn.Conv2d) -> bool:
    """Whether a convolution can be worked out so, and it is worth while."""
    plain = conv.kernel_size == (FILTER, FILTER) and conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    exact = conv.weight.dtype == torch.float32 and conv.weight.device.type == "cpu"
    padded = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return plain and exact and padded and min(conv.in_channels, conv.out_channels) >= WIDE


def conv3x3(x: Tensor, turned: Tensor, bias: Tensor | None = None, padding: tuple[int, int] = (0, 0)) -> Tensor:
    """`conv2d(x, weight, bias, padding=padding)` by the weight as `turn` gives it.

    x float32 N×C×H×W -> N×K×H'×W', channels last. Of random numbers off by less than 4e-6 of the largest.
    """
    n, channels, *grid = x.shape
    rows, columns = (side + 2 * pad - FILTER + 1 for side, pad in zip(grid, padding, strict=True))
    down, across, wide = -(-rows // OUT), -(-columns // OUT), turned.shape[1]
    bottom, right = (
        OUT * tiles + FILTER - 1 - side - pad for tiles, side, pad in zip((down, across), grid, padding, strict=True)
    )
    _, here, back = _matrices()
    out = x.new_empty(n, down, OUT, across, OUT, wide)
    few = -(-TILES // (down * across))
    for part, into in zip(x.permute(0, 2, 3, 1).split(few), out.split(few), strict=True):
        padded = F.pad(part, (0, 0, padding[1], right, padding[0], bottom))
        tiles = padded.unfold(1, TILE, OUT).unfold(2, TILE, OUT).permute(4, 5, 0, 1, 2, 3)
        values = _both(here, tiles.reshape(TILE, TILE, -1)).view(TILE**2, -1, channels)
        outputs = _both(back, torch.bmm(values, turned.mT).view(TILE, TILE, -1))
        into.copy_(outputs.view(OUT, OUT, -1, down, across, wide).permute(2, 3, 0, 4, 1, 5))
    if bias is not None:
        out += bias
    return out.view(n, OUT * down, OUT * across, wide)[:, :rows, :columns].permute(0, 3, 1, 2)


def turn(weight: Tensor) -> Tensor:
    """Each filter's 36 numbers: K×C×3×3 -> 36×K×C."""
    nine = weight.permute(2, 3, 0, 1).reshape(FILTER, FILTER, -1)  # channels last, it is nearly there
    return _both(_matrices()[0], nine).view(TILE**2, *weight.shape[:2])


def _both(matrix: Tensor, squares: Tensor) -> Tensor:
    """A matrix, m×n, by the columns and then by the rows of squares, n×n×X: m×m×X."""
    half = (matrix @ squares.flatten(1)).view(len(matrix), *squares.shape[1:])
    return torch.bmm(matrix.expand(len(half), -1, -1), half)


@lru_cache(maxsize=1)
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """The paper's transforms: G, 6×3; Bᵀ, 6×6; Aᵀ, 4×6.

    Filters and outputs are polynomials that are evaluated at the points (powers), tiles go the way that interpolation
    does, backwards (Lagrange's polynomials).
    """
    others = [[q for q in POINTS if q != p] for p in POINTS]
    last = torch.eye(TILE, dtype=torch.float64)[-1:]  # at infinity a polynomial's highest coefficient counts
    with torch.inference_mode(False):
        shares = torch.tensor(
            [[1 / prod(p - q for q in of)] for p, of in zip(POINTS, others, strict=True)], dtype=torch.float64
        )
        filters = torch.cat([_powers(FILTER) * shares, last[:, -FILTER:]])
        tiles = torch.tensor([_polynomial(rest) for rest in [*others, POINTS]], dtype=torch.float64)
        outputs = torch.cat([_powers(OUT), last[:, -OUT:]]).T.contiguous()
    return filters.float(), tiles.float(), outputs.float()


def _powers(count: int) -> Tensor:
    """Points × exponents from 0."""
    return torch.tensor(POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)


def _polynomial(roots: Sequence[float]) -> list[float]:
    """What is zero at these: TILE coefficients, the constant first."""
    found = [1.0]
    for root in roots:
        found = [low - root * high for low, high in zip([0.0, *found], [*found, 0.0], strict=True)]
    return found + [0.0] * (TILE - len(found))
