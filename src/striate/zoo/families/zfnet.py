"""ZFNet: Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, arXiv 1311.2901, figure 3.

AlexNet on one GPU whose first layer has windows of 7×7 at stride 2 instead of 11×11 at stride 4, and whose second has
stride 2. `zfnet` is figure 3; `zfnet_lecture` has 512, 1024, 512 filters in conv3, conv4, conv5, as the lecture has
it and as model (b) of the paper's Table 2 (the ensemble of both made 14.8 %).

Not in the paper, and chosen here so that the volumes of figure 3 (110, 55, 26, 13, 13, 6) come out: the padding (1 in
conv1, none in conv2, 1 in conv3 to conv5), and pools of which the last window may hang over the edge. Nor are the
constants of its contrast normalisation across feature maps: they are AlexNet's.
"""

from striate.blueprint import Conv, Dropout, Linear, LocalResponseNorm, MaxPool, Relu, Seq

ZFNET = {"zfnet": (384, 384, 256), "zfnet_lecture": (512, 1024, 512)}  # filters of conv3, conv4, conv5


def zfnet(name: str, classes: int) -> Seq:
    """`zfnet`, `zfnet_lecture`: 3×224×224 -> classes."""
    three, four, five = ZFNET[name]
    pool, norm = MaxPool(3, 2, fit="ceil"), LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)
    full = Seq(fc=Linear(4096), act=Relu, drop=Dropout())
    return Seq(
        conv1=Seq(conv=Conv(96, 7, 2, padding=1), act=Relu, pool=pool, norm=norm),
        conv2=Seq(conv=Conv(256, 5, 2), act=Relu, pool=pool, norm=norm),
        conv3=Seq(conv=Conv(three, 3, padding=1), act=Relu),
        conv4=Seq(conv=Conv(four, 3, padding=1), act=Relu),
        conv5=Seq(conv=Conv(five, 3, padding=1), act=Relu, pool=pool),
        fc6=full,
        fc7=full,
        fc8=Linear(classes),
    )
