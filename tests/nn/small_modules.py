"""The longer ones of the small modules: blocks and tricks as people write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Squeeze(nn.Module):
    """Squeeze and excitation with linear layers (Hu et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(channels, channels // 2), nn.Linear(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class ConvNeXt(nn.Module):
    """Depthwise, then linear layers with the channels last, then a scale a channel (arXiv 2201.03545)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm, self.up, self.down = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.scale = nn.Parameter(torch.rand(dim))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)
        y = self.scale * self.down(F.gelu(self.up(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Attention spelled out: one linear layer for all three, heads as an axis, two matrix products."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, c))


class WindowAttention(nn.Module):
    """Attention inside windows of a grid (Swin, arXiv 2103.14030), with a bias for each offset."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.attention = window, Attention(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        k = self.window
        y = x.permute(0, 2, 3, 1).view(n, h // k, k, w // k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, k * k, c)
        y = self.attention(y).view(n, h // k, w // k, k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return x + y.permute(0, 3, 1, 2)


class Patches(nn.Module):
    """An image cut to patches by views alone, a token for the class, a bias for each place, one encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Linear(3 * 4 * 4, 8), Attention(8, 2)
        self.token, self.place = nn.Parameter(torch.rand(1, 1, 8)), nn.Parameter(torch.rand(1, 5, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * 16)
        x = torch.cat([self.token.expand(n, -1, -1), self.embed(x)], 1) + self.place
        return self.head(self.attention(x)[:, 0])


class Tied(nn.Module):
    """The words' embedding is the head's weight too."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embed(words))


class Pyramid(nn.Module):
    """One head over three sizes of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> dict[str, Any]:
        maps = [x, F.max_pool2d(x, 2), F.avg_pool2d(x, 4)]
        return {"maps": [self.head(m) for m in maps], "none": None, "first": maps[1]}


class ByShape(nn.Module):
    """As many steps as the input is high."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.deep = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 5, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        while x.shape[-1] > 4:
            x = F.relu_(self.conv(x))[..., ::2, ::2]
        return self.deep(x) if mask is None else self.deep(x * mask)


class Standardised(nn.Conv2d):
    """Weights brought to mean 0 and deviation 1 before each use (arXiv 1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        deviation = self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / deviation, self.bias, self.stride, self.padding)


class Adapted(nn.Module):
    """A low-rank change to a linear layer's weight, made before it is used (LoRA, merged)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(12, 10)
        self.a, self.b = nn.Parameter(torch.rand(2, 12)), nn.Parameter(torch.rand(10, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.base.weight + self.b @ self.a, self.base.bias)


class Dynamic(nn.Module):
    """The convolution's weights are computed from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.make = nn.Conv2d(3, 4, 3), nn.Linear(4, 4 * 2 * 9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return F.conv2d(x, self.make(x.mean((2, 3))).view(2, 4, 3, 3))


class Unroll(nn.Module):
    """Cells called step by step."""

    def __init__(self, cell: nn.Module, state: int) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(state, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)
