"""Networks that others have too: ours, theirs, and the small input on which both are run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import reference


class Peer(NamedTuple):
    """`ours` as striate.build takes it; `theirs` of `library` with the options that it is made with."""

    library: str
    ours: str
    theirs: str
    volume: str
    options: Mapping[str, Any]
    slow: bool
    family: str = ""  # the table of names, where a library has two spellings
    double: bool = False  # they compute otherwise (a convolution for a Linear): what cancels needs more digits

    def __str__(self) -> str:
        return f"{self.library}-{self.ours}"


def tv(ours: str, theirs: str = "", volume: str = "3x64x64", slow: bool = False, **options: Any) -> Peer:
    return Peer("torchvision", ours, theirs or ours, volume, options, slow)


def timm(
    ours: str,
    theirs: str = "",
    volume: str = "3x64x64",
    slow: bool = False,
    family: str = "",
    double: bool = False,
    **options: Any,
) -> Peer:
    return Peer("timm", ours, theirs or ours, volume, options, slow, family, double)


PEERS = [
    tv("alexnet", volume="3x224x224"),
    *(tv(f"vgg{n}{bn}", volume="3x32x32", slow=n != 11) for n in (11, 13, 16, 19) for bn in ("", "_bn")),
    tv("googlenet", aux_logits=False, init_weights=False),
    tv("googlenet(aux=True)", "googlenet", init_weights=False),
    *(tv(f"resnet{n}", slow=n > 100) for n in (18, 34, 50, 101, 152)),
    *(tv(f"wide_resnet{n}_2", slow=True) for n in (50, 101)),
    *(tv(f"resnext{n}", slow=n != "50_32x4d") for n in ("50_32x4d", "101_32x8d", "101_64x4d")),
    *(tv(f"densenet{n}", slow=n != 121) for n in (121, 161, 169, 201)),
    *(tv(f"mobilenet_{n}") for n in ("v2", "v3_small", "v3_large")),
    *(tv(f"efficientnet_b{n}", slow=n > 1) for n in range(8)),
    tv("mnasnet1_0"),
    *(tv(f"shufflenet_v2_x{n}") for n in ("0_5", "1_0", "1_5", "2_0")),
    *(tv(f"squeezenet1_{n}", volume="3x65x65") for n in (0, 1)),
    tv("inception_v3", volume="3x107x107", aux_logits=False, init_weights=False),
    tv("inception_v3(aux=True)", "inception_v3", volume="3x299x299", slow=True, init_weights=False),
    *(timm(f"vgg{n}", volume="3x32x32", slow=True, double=n != "11") for n in ("11", "16_bn")),
    timm("resnet18"),
    timm("densenet121", slow=True),
    timm("inception_v3", volume="3x107x107", slow=True),
    *(timm(f"inception_{n}", volume="3x107x107") for n in ("v4", "resnet_v2")),
    timm("xception", "legacy_xception", volume="3x95x95"),
    *(timm(f"seresnet{n}", slow=n > 50) for n in (50, 101, 152)),
    timm("seresnext50_32x4d"),
    *(timm(f"seresnet{n}_paper", f"legacy_seresnet{n}", family="legacy_seresnet", slow=n > 50) for n in (50, 101, 152)),
    timm("seresnext50_32x4d_paper", "legacy_seresnext50_32x4d", family="legacy_seresnet"),
    timm("senet154", "legacy_senet154", family="legacy_senet154", slow=True),
    timm("nasnet_large", "nasnetalarge", volume="3x107x107", slow=True),
    timm("mobilenet_v1", "mobilenetv1_100"),
    timm("mobilenet_v2", "mobilenetv2_100"),
    *(
        timm(f"mobilenet_v3_{size}", f"mobilenetv3_{size}_100", double=True, bn_eps=1e-3, bn_momentum=0.01)
        for size in ("small", "large")
    ),
    timm("mnasnet1_0", "mnasnet_100", bn_momentum=3e-4),
    *(timm(f"efficientnet_b{n}", slow=n > 0) for n in range(5)),
    *(timm(f"efficientnet_b{n}", slow=True, bn_eps=1e-3, bn_momentum=0.01) for n in (5, 6, 7)),
]


def networks_of(library: str) -> set[str]:
    """The names that a library has. Skips where it is not installed."""
    return {*module_of(library).list_models()}


def module_of(library: str) -> Any:
    torchvision = reference.torchvision()
    if library == "torchvision":
        return torchvision.models
    pytest.importorskip("timm", reason="timm is not installed")
    return importlib.import_module("timm")


def theirs(peer: Peer) -> nn.Module:
    """A network of theirs whose every number is random; none is drawn twice."""
    module = module_of(peer.library)
    with torch.device("meta"):
        if peer.library == "torchvision":
            made = getattr(module, peer.theirs)(weights=None, **peer.options)
        else:
            made = module.create_model(peer.theirs, pretrained=False, **peer.options)
    made.to_empty(device="cpu")
    for part in made.modules():
        for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            _fill(name, tensor.data, isinstance(part, nn.BatchNorm2d))
    return without_chance(made)


def _fill(name: str, tensor: Tensor, norm: bool) -> None:
    """Statistics and scales as no initialisation leaves them."""
    if name == "running_var":
        tensor.uniform_(0.5, 1.5)
    elif name == "num_batches_tracked":
        tensor.fill_(7)
    elif norm and name == "weight":
        tensor.uniform_(0.4, 1.0)
    elif tensor.dim() > 1:
        nn.init.kaiming_normal_(tensor)
    else:
        tensor.normal_(0, 0.2)


def without_chance(module: nn.Module) -> nn.Module:
    """No dropout, no stochastic depth: a step of training is then one function."""
    for part in module.modules():
        if "Drop" in type(part).__name__ or "Stochastic" in type(part).__name__:
            part.p = part.drop_prob = 0.0
        if hasattr(part, "drop_rate"):
            part.drop_rate = 0.0
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


def apart(one: Tensor, other: Tensor, floor: float = 1e-30) -> float:
    """The largest difference, relative to the largest value, or to `floor` where all values are smaller."""
    assert one.shape == other.shape
    assert one.isfinite().all()
    return float((one - other).abs().max() / one.abs().max().clamp(min=floor))
