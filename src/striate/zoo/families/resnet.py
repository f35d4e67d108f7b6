"""ResNet: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, Table 1.

The plain names are what today's weights fit, torchvision's: blocks of two 3×3 (18, 34) or of 1×1, 3×3, 1×1 (50, 101,
152), a projection where the volume changes (option B), and the stride of a bottleneck in its 3×3.

`resnet50_paper`, `resnet101_paper` and `resnet152_paper` differ in one thing: the stride is in the first 1×1, as the
authors' own models have it. Parameters are the same; MACs are fewer (3.86 instead of 4.09 billion for 50 layers). 18
and 34 layers have no such difference: the paper's are these, with option B (its Table 3 has 34 layers with A, B and
C; B is the column that Table 4 goes on with). The paper's FLOPs are multiply-adds: 1.8, 3.6, 3.8, 7.6, 11.3 billion;
tests/zoo says which of ours gives which.
"""

from striate.blueprint import GlobalPool, Linear, MaxPool, Seq, basic_block, bottleneck, conv_norm_act

RESNET = {  # Table 1: how many blocks at width 64, 128, 256, 512
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def resnet(name: str, classes: int = 1000) -> Seq:
    """A depth by its name, from 50 on also `_paper`: 3×224×224 -> classes."""
    plain = name.removesuffix("_paper")

    def block(width: int, stride: int = 1) -> Seq:
        if plain in ("resnet18", "resnet34"):
            return basic_block(width, stride)
        return bottleneck(width, stride, stride_in_1x1=name != plain)

    def stage(width: int, blocks: int) -> Seq:
        return Seq(block(width, 1 if width == 64 else 2), *[block(width)] * (blocks - 1))

    layers = {f"layer{i + 1}": stage(64 * 2**i, blocks) for i, blocks in enumerate(RESNET[plain])}
    stem = Seq(conv1=conv_norm_act(64, 7, 2), pool=MaxPool(3, 2, 1))
    return Seq(stem=stem, **layers, mean=GlobalPool(), fc=Linear(classes))
