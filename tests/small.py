"""A network small enough to learn the digits in a second."""

from __future__ import annotations

import torch

from striate import nn
from striate.blueprint import Blueprint, Conv, Linear, MaxPool, Relu, Seq, draft

SMALL = Seq(conv1=Conv(8, 3), act1=Relu, pool=MaxPool(2), conv2=Conv(16, 3, padding=1), act2=Relu, fc=Linear(10))


def network(blueprint: Blueprint = SMALL, volume: str = "1x8x8", seed: int = 0) -> nn.Network:
    torch.manual_seed(seed)
    return nn.build(draft(blueprint, volume))
