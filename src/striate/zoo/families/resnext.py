"""ResNeXt: Xie, Girshick, Dollár, Tu, He, Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017,
arXiv 1611.05431.

A ResNet's bottlenecks whose 3×3 is in 32 (64) groups of 4 (8) channels at the first stage, twice as many a stage
later (Table 1, form c of figure 3). As in torchvision; the paper too has the stride in the 3×3. The paper's 101-layer
networks are 64x4d; 32x8d, of about the same cost, is Facebook's later one.
"""

from striate.blueprint import Seq, bottleneck
from striate.zoo.families.resnet import around

RESNEXT = {  # blocks of each stage, groups, channels of a group at width 64
    "resnext50_32x4d": ((3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": ((3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": ((3, 4, 23, 3), 64, 4),
}


def resnext(name: str, classes: int) -> Seq:
    """A network of the table: 3×224×224 -> classes."""
    blocks, groups, channels = RESNEXT[name]

    def block(width: int, stride: int) -> Seq:
        return bottleneck(width, stride, groups=groups, inner=width // 64 * groups * channels)

    return around(block, blocks, classes)
