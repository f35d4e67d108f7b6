"""Small modules as people write them, each with an input: what a counter that watches only nn.Conv2d and nn.Linear
gets wrong. Sizes are small enough to be counted one multiply-add at a time (tests/nn/scalar_loops.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nn.small_modules import (
    Adapted,
    Attention,
    ByShape,
    ConvNeXt,
    Dynamic,
    Patches,
    Pyramid,
    Squeeze,
    Standardised,
    Tied,
    Unroll,
    WindowAttention,
)


class Case(NamedTuple):
    """A module, and the example it is given: shapes, or tensors."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    back: bool = True  # else torch makes its gradients of element-wise products, which nobody counts


def images(*shape: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (torch.rand(1, *shape),)


def tokens(n: int, words: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (torch.arange(n).remainder(words)[None],)


class Of(nn.Module):
    """A forward over named parts and parameters: `Of(lambda m, x: …, conv=nn.Conv2d(…))`."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, *inputs: Any) -> Any:
        return self.run(self, *inputs)


def of(forward: Callable[..., Any], **parts: Callable[[], Any]) -> Callable[[], nn.Module]:
    return lambda: Of(forward, **{name: make() for name, make in parts.items()})


def weight(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.rand(*shape)


def conv(*args: Any, **more: Any) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(*args, **more)


def after(*parts: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Behind a small convolution, so that the gradient of the input is wanted too."""
    return lambda: nn.Sequential(nn.Conv2d(3, 4, 1), *[part() for part in parts])


LSTM = {"batch_first": True}
SUITE: dict[str, Case] = {
    # convolutions
    "conv": Case(conv(3, 4, 3), images(3, 8, 8)),
    "conv twice": Case(after(conv(4, 5, 3)), images(3, 8, 8)),
    "conv functional": Case(
        of(lambda m, x: F.conv2d(x, m.w, m.b, 2, 1), w=weight(5, 3, 3, 3), b=weight(5)), images(3, 9, 9)
    ),
    "conv functional of a buffer": Case(
        of(lambda m, x: F.conv2d(m.stem(x), x.new_ones(4, 1, 3, 3), groups=4), stem=conv(3, 4, 1)), images(3, 6, 6)
    ),
    "conv grouped": Case(after(conv(4, 6, 3, groups=2)), images(3, 7, 7)),
    "conv depthwise": Case(after(conv(4, 4, 3, padding=1, groups=4)), images(3, 7, 7)),
    "conv depthwise, many a channel": Case(after(conv(4, 12, 3, groups=4)), images(3, 7, 7)),
    "conv dilated": Case(after(conv(4, 3, 3, dilation=2, padding=2)), images(3, 8, 8)),
    "conv same": Case(after(conv(4, 3, (3, 5), padding="same")), images(3, 8, 8)),
    "conv reflected": Case(after(conv(4, 3, 3, padding=1, padding_mode="reflect")), images(3, 8, 8)),
    "conv floored": Case(after(conv(4, 3, 3, stride=4)), images(3, 9, 9)),
    "conv transposed": Case(after(lambda: nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)), images(3, 5, 5)),
    "conv transposed grouped": Case(after(lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2)), images(3, 5, 5)),
    "conv transposed dilated": Case(after(lambda: nn.ConvTranspose2d(4, 2, 3, dilation=2)), images(3, 5, 5)),
    "conv transposed functional": Case(
        of(lambda m, x: F.conv_transpose2d(x, m.w, stride=3), w=weight(3, 4, 3, 3)), images(3, 4, 4)
    ),
    "conv1d": Case(lambda: nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), nn.Conv1d(6, 6, 3, groups=3)), images(4, 17)),
    "conv1d transposed": Case(lambda: nn.Sequential(nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(6, 2, 4, 2)), images(4, 9)),
    "conv3d": Case(lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.Conv3d(4, 4, (1, 2, 2), groups=2)), images(2, 5, 6, 6)),
    "conv3d transposed": Case(
        lambda: nn.Sequential(nn.Conv3d(2, 3, 2), nn.ConvTranspose3d(3, 2, 2, 2)), images(2, 3, 4, 4)
    ),
    "conv of its own input's size": Case(
        after(conv(4, 4, 8), lambda: nn.Flatten(), lambda: nn.Linear(4, 2)), images(3, 8, 8)
    ),
    "conv shared": Case(of(lambda m, x: m.c(F.relu(m.c(x))), c=conv(3, 3, 3)), images(3, 8, 8)),
    "conv standardised": Case(lambda: Standardised(3, 4, 3), images(3, 6, 6)),
    "conv spectrally normed": Case(lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), images(3, 6, 6)),
    "conv with computed weights": Case(Dynamic, images(3, 7, 7)),
    "conv without gradient": Case(
        of(_frozen := lambda m, x: m.b(_no_grad(m.a, x)), a=conv(3, 4, 3), b=conv(4, 2, 1)), images(3, 6, 6)
    ),
    # linear layers and matrix products
    "linear": Case(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 10), nn.ReLU(), nn.Linear(10, 3)), images(3, 4, 4)
    ),
    "linear functional": Case(of(lambda m, x: F.linear(x.flatten(1), m.w), w=weight(5, 48)), images(3, 4, 4)),
    "linear, channels last": Case(
        of(lambda m, x: m.fc(x.permute(0, 2, 3, 1)), fc=lambda: nn.Linear(3, 5)), images(3, 4, 6)
    ),
    "linear of a slice": Case(
        of(lambda m, x: m.fc(x[:, 1:, ::2].flatten(1)), fc=lambda: nn.Linear(16, 5)), images(3, 4, 4)
    ),
    "linear used three times": Case(
        of(lambda m, x: m.fc(m.fc(m.fc(x.flatten(1)))), fc=lambda: nn.Linear(12, 12)), images(3, 2, 2)
    ),
    "linear in a list": Case(
        of(
            lambda m, x: sum(fc(x.flatten(1)) for fc in m.all),
            all=lambda: nn.ModuleList(nn.Linear(12, n) for n in (4, 4, 4)),
        ),
        images(3, 2, 2),
    ),
    "linear with tied weights": Case(
        of(lambda m, x: F.linear(m.fc(x.flatten(1)), m.fc.weight.t()), fc=lambda: nn.Linear(12, 7)), images(3, 2, 2)
    ),
    "linear with a merged change": Case(Adapted, lambda: (torch.rand(1, 12),)),
    "bilinear": Case(
        of(lambda m, x: m.b(m.fc(x), x), fc=lambda: nn.Linear(6, 5), b=lambda: nn.Bilinear(5, 6, 4)),
        lambda: (torch.rand(1, 6),),
    ),
    "matmul with a parameter": Case(of(lambda m, x: x @ m.w, w=weight(5, 7)), images(6, 5)),
    "matmul from the left": Case(of(lambda m, x: m.w @ x, w=weight(7, 6)), images(6, 5)),
    "matmul of values": Case(of(lambda m, x: m.c(x) @ x.transpose(2, 3), c=conv(3, 3, 1)), images(3, 4, 5)),
    "matmul of a batch": Case(of(lambda m, x: torch.matmul(x, m.w), w=weight(3, 5, 2)), images(3, 4, 5)),
    "mm": Case(of(lambda m, x: torch.mm(x.flatten(1), m.w), w=weight(12, 5)), images(3, 2, 2)),
    "addmm": Case(of(lambda m, x: torch.addmm(m.b, x.flatten(1), m.w), w=weight(12, 5), b=weight(5)), images(3, 2, 2)),
    "bmm": Case(of(lambda m, x: torch.bmm(m.c(x)[0], x[0].transpose(1, 2)), c=conv(3, 3, 1)), images(3, 4, 5)),
    "baddbmm": Case(
        of(lambda m, x: torch.baddbmm(m.b, m.c(x)[0], x[0].mT), c=conv(3, 3, 1), b=weight(3, 4, 4)), images(3, 4, 5)
    ),
    "mv and dot": Case(
        of(lambda m, x: torch.dot(torch.mv(m.w, x.flatten()), m.v), w=weight(5, 12), v=weight(5)),
        images(3, 2, 2),
        False,
    ),
    "einsum of values": Case(
        of(lambda m, x: torch.einsum("nchw,ndhw->ncd", m.c(x), x), c=conv(3, 5, 1)), images(3, 4, 4)
    ),
    "einsum with a parameter": Case(
        of(lambda m, x: torch.einsum("nchw,oc->nohw", x, m.w), w=weight(5, 3)), images(3, 4, 4)
    ),
    "einsum of three": Case(
        of(lambda m, x: torch.einsum("nchw,dc,ed->nehw", x, m.a, m.b), a=weight(4, 3), b=weight(2, 4)), images(3, 3, 3)
    ),
    "einsum with dots": Case(of(lambda m, x: torch.einsum("...w,wv->...v", x, m.w), w=weight(4, 6)), images(3, 3, 4)),
    "einsum that only multiplies": Case(
        of(lambda m, x: torch.einsum("nchw,c->nchw", x, m.w), w=weight(3)), images(3, 3, 4)
    ),
    "tensordot": Case(
        of(lambda m, x: torch.tensordot(x, m.w, dims=([1, 3], [0, 2])), w=weight(3, 5, 4)), images(3, 2, 4)
    ),
    "inner": Case(of(lambda m, x: torch.inner(x, m.w), w=weight(5, 4)), images(3, 2, 4)),
    "outer": Case(
        of(lambda m, x: torch.outer(m.fc(x)[0], x[0]), fc=lambda: nn.Linear(6, 5)), lambda: (torch.rand(1, 6),)
    ),
    # attention
    "attention spelled out": Case(lambda: Attention(8, 2), images(5, 8)),
    "attention in one call": Case(
        of(lambda m, x: F.scaled_dot_product_attention(m.q(x), x, x), q=lambda: nn.Linear(6, 6)), images(2, 5, 6)
    ),
    "attention, keys of another length": Case(
        of(
            lambda m, x: F.scaled_dot_product_attention(m.q(x[:, :3]), x, m.v(x)),
            q=lambda: nn.Linear(6, 6),
            v=lambda: nn.Linear(6, 4),
        ),
        images(5, 6),
    ),
    "multi-head attention": Case(
        of(lambda m, x: m.a(x, x, x)[0], a=lambda: nn.MultiheadAttention(8, 2, **LSTM)), images(5, 8)
    ),
    "multi-head attention, no weights asked": Case(
        of(lambda m, x: m.a(x, x, x, need_weights=False)[0], a=lambda: nn.MultiheadAttention(8, 2, **LSTM)),
        images(5, 8),
    ),
    "encoder layer": Case(lambda: nn.TransformerEncoderLayer(8, 2, 16, **LSTM), images(5, 8)),
    "encoder of two": Case(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, **LSTM), 2, enable_nested_tensor=False),
        images(4, 8),
    ),
    "decoder layer": Case(
        of(lambda m, x: m.d(x[:, :3], x), d=lambda: nn.TransformerDecoderLayer(8, 2, 12, **LSTM)), images(5, 8)
    ),
    "window attention": Case(lambda: nn.Sequential(nn.Conv2d(3, 8, 1), WindowAttention(8, 2, 2)), images(3, 4, 6)),
    "patches": Case(Patches, images(3, 8, 8)),
    # recurrent
    "lstm": Case(of(lambda m, x: m.r(x)[0], r=lambda: nn.LSTM(6, 5, **LSTM)), images(4, 6)),
    "lstm of two, both ways": Case(
        of(lambda m, x: m.r(x)[0], r=lambda: nn.LSTM(6, 5, 2, bidirectional=True, **LSTM)), images(4, 6)
    ),
    "lstm projected": Case(of(lambda m, x: m.r(x)[0], r=lambda: nn.LSTM(6, 5, proj_size=3, **LSTM)), images(4, 6)),
    "lstm's last state": Case(
        of(lambda m, x: m.fc(m.r(x)[1][0][-1]), r=lambda: nn.LSTM(6, 5, **LSTM), fc=lambda: nn.Linear(5, 2)),
        images(4, 6),
    ),
    "gru": Case(
        of(lambda m, x: m.r(m.fc(x))[0], fc=lambda: nn.Linear(6, 4), r=lambda: nn.GRU(4, 5, **LSTM)), images(4, 6)
    ),
    "plain recurrent": Case(
        of(lambda m, x: m.r(x)[0], r=lambda: nn.RNN(6, 5, nonlinearity="relu", **LSTM)), images(4, 6)
    ),
    "lstm cell": Case(lambda: Unroll(nn.LSTMCell(6, 5), 5), images(3, 6)),
    "gru cell": Case(lambda: Unroll(nn.GRUCell(6, 5), 5), images(3, 6)),
    # embeddings
    "embedding": Case(lambda: nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 4)), tokens(5, 11)),
    "embedding tied to the head": Case(Tied, tokens(5, 11)),
    "embedding bag": Case(
        of(lambda m, x: m.fc(m.e(x)), e=lambda: nn.EmbeddingBag(11, 6), fc=lambda: nn.Linear(6, 2)), tokens(5, 11)
    ),
    # blocks
    "squeeze and excitation": Case(after(lambda: Squeeze(4)), images(3, 6, 6)),
    "convnext block": Case(after(lambda: ConvNeXt(4)), images(3, 6, 6)),
    "residual, relu in place": Case(
        of(lambda m, x: F.relu_(m.b(F.relu_(m.a(x))).add_(x)), a=conv(3, 3, 3, padding=1), b=conv(3, 3, 3, padding=1)),
        images(3, 6, 6),
    ),
    "dense by concatenation": Case(
        of(lambda m, x: m.b(torch.cat([x, m.a(x)], 1)), a=conv(3, 4, 3, padding=1), b=conv(7, 2, 1)), images(3, 6, 6)
    ),
    "split, half convolved": Case(
        of(
            lambda m, x: torch.cat([(y := m.a(x).chunk(2, 1))[0], m.b(y[1])], 1),
            a=conv(3, 8, 1),
            b=conv(4, 4, 3, padding=1),
        ),
        images(3, 6, 6),
    ),
    "split in uneven parts": Case(
        of(
            lambda m, x: torch.cat([m.b(y) if y.shape[1] == 4 else y for y in m.a(x).split([2, 4], 1)], 1),
            a=conv(3, 6, 1),
            b=conv(4, 4, 1),
        ),
        images(3, 5, 5),
    ),
    "shuffled by views": Case(
        of(
            lambda m, x: m.b(m.a(x).view(1, 2, 3, 5, 5).transpose(1, 2).reshape(1, 6, 5, 5)),
            a=conv(3, 6, 1),
            b=conv(6, 6, 3, groups=3),
        ),
        images(3, 5, 5),
    ),
    "pixel shuffle": Case(after(conv(4, 8, 3), lambda: nn.PixelShuffle(2), conv(2, 3, 3)), images(3, 6, 6)),
    "pixel unshuffle": Case(lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3)), images(3, 8, 8)),
    "interpolated": Case(
        of(lambda m, x: m.b(F.interpolate(m.a(x), scale_factor=2)), a=conv(3, 4, 3), b=conv(4, 2, 3)), images(3, 6, 6)
    ),
    "interpolated to a size": Case(
        of(lambda m, x: m.b(F.interpolate(m.a(x), size=(7, 9), mode="bilinear")), a=conv(3, 4, 3), b=conv(4, 2, 3)),
        images(3, 6, 6),
    ),
    "unfolded and multiplied": Case(
        of(lambda m, x: m.w @ F.unfold(m.a(x), 3), a=conv(3, 4, 1), w=weight(5, 36)), images(3, 6, 6)
    ),
    "padded by hand": Case(
        of(lambda m, x: m.c(F.pad(m.a(x), (0, 1, 0, 1))), a=conv(3, 4, 1), c=conv(4, 4, 3, stride=2)), images(3, 8, 8)
    ),
    "nested in containers": Case(
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(True))),
            nn.ModuleDict({"c": nn.Conv2d(4, 2, 1)})["c"],
        ),
        images(3, 6, 6),
    ),
    "one head, three sizes, a dictionary out": Case(Pyramid, images(4, 8, 8)),
    "steps by shape": Case(ByShape, lambda: (torch.rand(1, 3, 16, 16), None)),
    "two inputs": Case(
        of(lambda m, x, y: m.b(m.a(x) + y), a=conv(3, 4, 1), b=conv(4, 2, 1)),
        lambda: (torch.rand(1, 3, 4, 4), torch.rand(1, 4, 4, 4)),
    ),
    "norms of all kinds": Case(
        after(
            lambda: nn.GroupNorm(2, 4),
            lambda: nn.InstanceNorm2d(4, affine=True),
            lambda: nn.LayerNorm([4, 4, 4]),
            lambda: nn.PReLU(4),
            conv(4, 2, 1),
        ),
        images(3, 4, 4),
    ),
    "tuple of tuples out": Case(
        of(lambda m, x: ((m.a(x), m.b(x)), x.mean()), a=conv(3, 2, 1), b=conv(3, 4, 3)), images(3, 5, 5)
    ),
}


def _no_grad(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)
