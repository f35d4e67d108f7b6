"""In which numbers to multiply: bfloat16 where the hardware has it and the network is large enough to gain by it."""

from __future__ import annotations

import torch

from striate.blueprint import Conv, Graph

# Below this, bfloat16 gains little but where layers are run together (nn/fusing.py), and costs digits. A rule and no
# stopwatch, so that the same seed gives the same weights. On a processor, one filter a channel is twice as slow in it
# (MobileNetV2 at 32×32, Zen 4).
WORTH = 20_000_000  # MACs of one example


def has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are the hardware's own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()


def chosen(wanted: str, graph: Graph | None, device: torch.device) -> torch.dtype:
    """A recipe's word; "auto" decided: bfloat16 where the hardware multiplies in it and the network gains by it."""
    if wanted != "auto":
        return getattr(torch, wanted)  # type: ignore[no-any-return]
    gains = graph is not None and graph.macs >= WORTH and not (device.type == "cpu" and _depthwise(graph))
    return torch.bfloat16 if gains and has_bfloat16(device) else torch.float32


def _depthwise(graph: Graph) -> bool:
    return any(isinstance(node.op, Conv) and node.op.groups != 1 for node in graph)
