"""MnasNet: Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, arXiv 1807.11626.

`mnasnet1_0` is B1, the network without gates, as in torchvision (BatchNorm with momentum 3e-4, TensorFlow's 0.9997);
the paper's own figure 7 is A1, with squeeze and excitation. The first block of a stage has no skip.
"""

from striate.blueprint import BatchNorm, Dropout, GlobalPool, Linear, Relu, Seq, conv_norm_act
from striate.zoo.families.mobilenet import inverted_residual

B1 = [  # expansion, kernel, stride, channels, blocks
    *((3, 3, 2, 24, 3), (3, 5, 2, 40, 3), (6, 5, 2, 80, 3), (6, 3, 1, 96, 2), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
]


def mnasnet(name: str, classes: int) -> Seq:
    """`mnasnet1_0`: 3×224×224 -> classes."""
    norm, channels, stages = BatchNorm(momentum=1 - 0.9997), 16, {}
    for i, (expansion, kernel, stride, out, blocks) in enumerate(B1, 1):
        parts = []
        for _ in range(blocks):
            skip = stride == 1 and out == channels
            parts.append(inverted_residual(channels * expansion, out, kernel, stride, skip, Relu, norm))
            channels, stride = out, 1
        stages[f"stage{i}"] = Seq(*parts)
    stem = Seq(
        conv_norm_act(32, 3, 2, norm=norm),
        conv_norm_act(None, 3, groups=None, norm=norm),
        conv_norm_act(16, 1, act=None, norm=norm),
    )
    last = conv_norm_act(1280, 1, norm=norm)
    return Seq(stem=stem, **stages, last=last, mean=GlobalPool(), drop=Dropout(0.2), fc=Linear(classes))
