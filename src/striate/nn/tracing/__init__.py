"""Anybody's module as a graph: what it is made of, step by step, without running it.

`capture` has torch export a copy that takes no memory; `reader` goes through the program with what is known of each
value (`axes`), looking through `views`; a step is a layer of `ours` or one of the `rest`; `scribe` writes it down.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from striate.blueprint import Graph, Refusal, Volume
from striate.nn.tracing.capture import capture
from striate.nn.tracing.leaf import Traced
from striate.nn.tracing.reader import Reader
from striate.nn.tracing.recognise import recognise

__all__ = ["Traced", "recognise", "trace"]


def trace(module: nn.Module, volume: Volume | str | Any) -> Graph:
    """What anybody's module does with one example, as a graph: `torch.export` of a copy without memory, in evaluation.

    `volume`: the input, C×H×W ("3x224x224"; "784" is N×784), or example tensors as the module takes them (one, or a
    tuple; a batch of one). A step is a layer or a join of ours wherever it means the same, a view is looked through,
    and anything else is a `Traced` leaf with its volume, weights and multiply-adds, None where those are not known.
    Weights used twice are a twin's, weights never read stand in nodes of their own. Nothing of the module changes.
    Raises Refusal where its forward fails, or asks for a number's value.
    """
    if not isinstance(module, nn.Module):
        raise Refusal(f"Cannot trace a {type(module).__name__}: an nn.Module is wanted.")
    if isinstance(volume, str):
        volume = Volume.parse(volume)
    elif isinstance(volume, tuple) and volume and all(isinstance(n, int) for n in volume):
        volume = Volume(*volume).checked()
    return Reader(capture(module, volume)).graph()
