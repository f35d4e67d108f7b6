"""VGG: Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, arXiv
1409.1556, Table 1.

`vgg11`, `vgg13`, `vgg16`, `vgg19` are columns A, B, D and E; `vgg_a_lrn` and `vgg_c` the two that have no common
name. `…_bn` puts batch normalisation behind every convolution, as torchvision does (the paper has none). The paper's
network takes 224×224; the mean to 7×7 in front of FC6 is torchvision's: at 224 it changes nothing, elsewhere it lets
the network be placed. The paper's Table 2 counts parameters with their biases: 133, 133, 134, 138, 144 million.
"""

from striate.blueprint import (
    BatchNorm,
    Blueprint,
    Conv,
    Dropout,
    GlobalPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Relu,
    Seq,
)

COLUMNS = {  # 3×3 convolutions by their width ("1-256": 1×1), a pool at the end of each stage
    "vgg11": "64 | 128 | 256 256 | 512 512 | 512 512",
    "vgg_a_lrn": "64 LRN | 128 | 256 256 | 512 512 | 512 512",
    "vgg13": "64 64 | 128 128 | 256 256 | 512 512 | 512 512",
    "vgg_c": "64 64 | 128 128 | 256 256 1-256 | 512 512 1-512 | 512 512 1-512",
    "vgg16": "64 64 | 128 128 | 256 256 256 | 512 512 512 | 512 512 512",
    "vgg19": "64 64 | 128 128 | 256 256 256 256 | 512 512 512 512 | 512 512 512 512",
}


def vgg(name: str, classes: int) -> Seq:
    """A column by its name, with or without `_bn`: 3×224×224 -> classes."""
    norm = BatchNorm() if name.endswith("_bn") else None

    def layer(cell: str) -> Blueprint:
        if cell == "LRN":
            return LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)
        kernel, width = (1, cell[2:]) if cell.startswith("1-") else (3, cell)
        return Seq(conv=Conv(int(width), kernel, padding=kernel // 2), norm=norm, act=Relu)

    stages = [
        Seq(*map(layer, stage.split()), pool=MaxPool(2)) for stage in COLUMNS[name.removesuffix("_bn")].split("|")
    ]
    full = Seq(fc=Linear(4096), act=Relu, drop=Dropout())
    named = {f"stage{i}": stage for i, stage in enumerate(stages, 1)}
    return Seq(**named, mean=GlobalPool(output_size=7), fc6=full, fc7=full, fc8=Linear(classes))
