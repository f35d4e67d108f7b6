"""Modules that are one step of a program: those recognised as a layer of ours, and recurrent layers, which torch would
unroll (a hundred times as long) to learn the shapes that are written here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from striate.blueprint import Layer, Volume

LIBRARY = torch.library.Library("striate", "FRAGMENT")
LIBRARY.define("leaf(Tensor x, SymInt[] shape) -> Tensor")
RECURRENT = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}
SAID = "(Tensor input, Tensor[] hx, Tensor[] params, bool bidirectional, bool batch_first, SymInt[] out, SymInt[] state"


@torch.library.register_fake("striate::leaf", lib=LIBRARY)
def _leaf(x: Tensor, shape: list[int]) -> Tensor:
    return x.new_empty(shape)


for _kind in RECURRENT.values():
    LIBRARY.define(f"{_kind}{SAID}, SymInt[] cell) -> Tensor[]")

    @torch.library.register_fake(f"striate::{_kind}", lib=LIBRARY)
    def _recurrent(input: Tensor, hx: Any, params: Any, bidirectional: bool, batch_first: bool, *shapes: Any) -> Any:
        return [input.new_empty(shape) for shape in shapes if shape]


def one_step(layer: Layer) -> Callable[[Tensor], Tensor]:
    """A forward that is one step of the program, with the layer's own output."""

    def forward(x: Tensor) -> Tensor:
        out = layer.place(Volume(*x.shape[1:])).output
        shape = [x.shape[0], out.channels] if x.dim() == 2 else [x.shape[0], *out]
        return torch.ops.striate.leaf(x, shape)  # type: ignore[no-any-return]

    return forward


def recurrent(module: nn.RNNBase) -> Callable[..., Any]:
    """The forward of nn.LSTM, nn.GRU and nn.RNN as one step; sequences packed by their lengths go torch's way."""
    torchs, directions = module.forward, 2 if module.bidirectional else 1
    hidden, many = module.proj_size or module.hidden_size, directions * module.num_layers
    step = getattr(torch.ops.striate, RECURRENT[module.mode])

    def forward(input: Any, hx: Any = None) -> Any:
        if not isinstance(input, Tensor) or input.dim() not in (2, 3) or input.shape[-1] != module.input_size:
            return torchs(input, hx)
        batch = [] if input.dim() == 2 else [input.shape[0 if module.batch_first else 1]]
        out, state = [*input.shape[:-1], directions * hidden], [many, *batch, hidden]
        cell = [many, *batch, module.hidden_size] if module.mode == "LSTM" else []
        given = [] if hx is None else list(hx) if isinstance(hx, tuple) else [hx]
        weights = [getattr(module, name) for name in module._flat_weights_names]
        found = step(input, given, weights, bool(module.bidirectional), bool(module.batch_first), out, state, cell)
        return (found[0], (found[1], found[2])) if cell else (found[0], found[1])

    return forward
