"""Networks that others have too: ours, theirs, and the small input on which both are run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.zoo import NETWORKS


class Peer(NamedTuple):
    """`ours` as striate.build takes it; `theirs` with the options that it is made with."""

    ours: str
    theirs: str
    volume: str
    options: Mapping[str, Any]
    slow: bool


def peer(ours: str, theirs: str = "", volume: str = "3x64x64", slow: bool = False, **options: Any) -> Peer:
    return Peer(ours, theirs or ours, volume, options, slow)


TORCHVISION = [
    peer("alexnet", volume="3x224x224"),
    *(peer(f"vgg{n}{bn}", volume="3x32x32", slow=n != 11) for n in (11, 13, 16, 19) for bn in ("", "_bn")),
    peer("googlenet", aux_logits=False, init_weights=False),
    peer("googlenet(aux=True)", "googlenet", init_weights=False),
    *(peer(f"resnet{n}", slow=n > 100) for n in (18, 34, 50, 101, 152)),
    *(peer(f"wide_resnet{n}_2", slow=True) for n in (50, 101)),
    *(peer(f"resnext{n}", slow=n != "50_32x4d") for n in ("50_32x4d", "101_32x8d", "101_64x4d")),
    *(peer(f"densenet{n}", slow=n != 121) for n in (121, 161, 169, 201)),
    *(peer(f"mobilenet_{n}") for n in ("v2", "v3_small", "v3_large")),
    *(peer(f"efficientnet_b{n}", slow=n > 3) for n in range(8)),
    peer("mnasnet1_0"),
    *(peer(f"shufflenet_v2_x{n}") for n in ("0_5", "1_0", "1_5", "2_0")),
    *(peer(f"squeezenet1_{n}", volume="3x65x65") for n in (0, 1)),
    peer("inception_v3", volume="3x107x107", aux_logits=False, init_weights=False),
]


TORCHVISION = [p for p in TORCHVISION if p.ours.partition("(")[0] in NETWORKS]


def randomise(module: nn.Module) -> nn.Module:
    """Statistics and scales as no initialisation leaves them, and no chance in training."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.4, 1.0)
            nn.init.normal_(part.bias, 0, 0.2)
        elif isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None:
            nn.init.normal_(part.bias, 0, 0.2)
    return without_chance(module)


def without_chance(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if "Drop" in type(part).__name__ or "Stochastic" in type(part).__name__:
            part.p = part.drop_prob = 0.0
    return module


def main(given: Any) -> Tensor:
    """The main way out of theirs or ours."""
    if isinstance(given, Tensor):
        return given
    return given["out"] if isinstance(given, dict) else given.logits


def all_ways(given: Any) -> Tensor:
    """Every way out, side by side: the side heads too have gradients."""
    if isinstance(given, Tensor):
        return given
    outs = given if isinstance(given, dict) else dict(zip(("out", "aux2", "aux1"), given, strict=False))
    return torch.cat([outs[name] for name in sorted(outs)], 1)


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert one.shape == other.shape
    assert one.isfinite().all()
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-30))
