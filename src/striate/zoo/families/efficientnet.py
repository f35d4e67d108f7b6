"""EfficientNet: Tan, Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv
1905.11946.

B0 is Table 1; the others scale it in width, depth and input together (section 3.3). As in torchvision: channels
rounded to eights, blocks rounded up, squeezed to a quarter of what comes into a block, stochastic depth growing to
0.2, and from B5 on BatchNorm with eps 1e-3 and momentum 0.01 (the authors have that everywhere).
"""

from math import ceil

from striate.blueprint import (
    Activation,
    BatchNorm,
    Dropout,
    DropPath,
    GlobalPool,
    Linear,
    Seq,
    conv_norm_act,
    squeeze_excite,
)
from striate.zoo.families.mobilenet import inverted_residual, rounded

B0 = [  # Table 1: expansion, kernel, stride, channels, blocks
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
]
SCALED = {  # width, depth, dropout
    "efficientnet_b0": (1.0, 1.0, 0.2),
    "efficientnet_b1": (1.0, 1.1, 0.2),
    "efficientnet_b2": (1.1, 1.2, 0.3),
    "efficientnet_b3": (1.2, 1.4, 0.3),
    "efficientnet_b4": (1.4, 1.8, 0.4),
    "efficientnet_b5": (1.6, 2.2, 0.4),
    "efficientnet_b6": (1.8, 2.6, 0.5),
    "efficientnet_b7": (2.0, 3.1, 0.5),
}


def efficientnet(name: str, classes: int) -> Seq:
    """B0 to B7, each at an input of its own size -> classes."""
    width, depth, dropout = SCALED[name]
    act = Activation("silu")
    norm = BatchNorm(1e-3, 0.01) if name[-1] in "567" else BatchNorm()
    total = sum(ceil(blocks * depth) for *_, blocks in B0)
    channels, stages, done = rounded(32 * width), {}, 0
    stem = conv_norm_act(channels, 3, 2, act, norm=norm)
    for i, (expansion, kernel, stride, base, blocks) in enumerate(B0, 1):
        parts = []
        for _ in range(ceil(blocks * depth)):
            out, expand = rounded(base * width), rounded(channels * expansion)
            gate = squeeze_excite(max(1, channels // 4), expand, "silu")
            skip = stride == 1 and out == channels
            up = expand if expand != channels else None
            drop = DropPath(0.2 * done / total) if done else None
            parts.append(inverted_residual(up, out, kernel, stride, skip, act, norm, gate, drop))
            channels, stride, done = out, 1, done + 1
        stages[f"stage{i}"] = Seq(*parts)
    last = conv_norm_act(4 * channels, 1, act=act, norm=norm)
    return Seq(stem=stem, **stages, last=last, mean=GlobalPool(), drop=Dropout(dropout), fc=Linear(classes))
