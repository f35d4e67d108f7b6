"""In which numbers to multiply: bfloat16 where the hardware has it and the network is large enough to gain by it."""

from __future__ import annotations

import torch

from striate.blueprint import Graph

# Below this, casting to and fro costs more than the products gain. Found on two cores of a Zen 4 by
# benchmarks/precision: a rule rather than a stopwatch, so that the same seed gives the same weights.
WORTH = 20_000_000  # MACs of one example


def has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are the hardware's own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()


def chosen(wanted: str, graph: Graph | None, device: torch.device) -> torch.dtype:
    """ "auto" decided; a word of a recipe otherwise."""
    if wanted != "auto":
        return getattr(torch, wanted)  # type: ignore[no-any-return]
    worth = graph is not None and graph.macs >= WORTH
    return torch.bfloat16 if worth and has_bfloat16(device) else torch.float32
