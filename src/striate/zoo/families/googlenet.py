"""GoogLeNet: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, arXiv 1409.4842, Table 1.

| | `googlenet_paper` | `googlenet`: torchvision's |
|---|---|---|
| third arm of an inception | 5×5 | 3×3 (a slip that its weights depend on) |
| normalisation | response normalisation around conv2 | batch, eps 1e-3, behind every convolution; no biases |
| pool 4 | 3×3 at stride 2 | 2×2 at stride 2 |
| at the end | mean over 7×7, dropout 0.4 | mean over all there is, dropout 0.2 |
| auxiliary heads read | means over 5×5 at stride 3 | means to 4×4 |
| parameters | 6,998,552; with heads 13,378,280 | 6,624,904; with heads 13,004,888 |

`aux=True` adds the two heads behind 4a and 4d (section 5) as ways out `aux1` and `aux2`; trained with, they are left
out of use. The last window of a pool hangs over the edge: Table 1's volumes need it. The places of the response
normalisation are figure 3's; its constants are not in the paper and are AlexNet's here.

What Table 1 states (K = 1,024, biases not counted; operations are multiply-adds) is held against ours in tests/zoo.
Its first row, 2.7K parameters and 34M operations for a 7×7 of 64 filters, is not 7·7·3·64 = 9,408. Both are what that
convolution has when it is split in two, a 7×7 with 8 filters for each colour and then a 1×1: 7·7·3·8 + 24·64 = 2,712,
times 112². The operations of the other rows are ours but for 5a's; the parameters of rows 4c and 5a are far from
their own columns.
"""

from striate.blueprint import (
    AvgPool,
    BatchNorm,
    Blueprint,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Relu,
    Seq,
    Tap,
)

INCEPTION = {  # 1×1 | 3×3 reduce, 3×3 | 5×5 reduce, 5×5 | pool projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
HEADS = {"4a": "aux1", "4d": "aux2"}


def googlenet(name: str, classes: int, aux: bool = False) -> Seq:
    """`googlenet`, `googlenet_paper`: 3×224×224 -> classes; with `aux` also the ways out `aux1` and `aux2`."""
    paper = name == "googlenet_paper"

    def conv(width: int, kernel: int, stride: int = 1) -> Seq:
        norm = None if paper else BatchNorm(eps=1e-3)
        return Seq(conv=Conv(width, kernel, stride, kernel // 2, bias=paper), norm=norm, act=Relu)

    def head() -> Seq:
        mean: Blueprint = AvgPool(5, 3) if paper else GlobalPool(output_size=4)
        full = Seq(fc=Linear(1024), act=Relu, drop=Dropout(0.7))
        return Seq(mean=mean, conv=conv(128, 1), fc1=full, fc2=Linear(classes))

    def inception(row: str) -> Concat:
        one, three_reduce, three, five_reduce, five, project = INCEPTION[row]
        return Concat(
            one=conv(one, 1),
            three=Seq(conv(three_reduce, 1), conv(three, 3)),
            five=Seq(conv(five_reduce, 1), conv(five, 5 if paper else 3)),
            pool=Seq(MaxPool(3, 1, 1), conv(project, 1)),
        )

    def rows(names: str) -> dict[str, Blueprint]:
        parts: dict[str, Blueprint] = {}
        for row in names.split():
            parts[f"inception{row}"] = inception(row)
            if aux and row in HEADS:
                parts[HEADS[row]] = Tap(HEADS[row], head())
        return parts

    pool = MaxPool(3, 2, fit="ceil")
    norm = LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False) if paper else None
    return Seq(
        conv1=conv(64, 7, 2),
        pool1=pool,
        norm1=norm,
        reduce2=conv(64, 1),
        conv2=conv(192, 3),
        norm2=norm,
        pool2=pool,
        **rows("3a 3b"),
        pool3=pool,
        **rows("4a 4b 4c 4d 4e"),
        pool4=pool if paper else MaxPool(2, fit="ceil"),
        **rows("5a 5b"),
        mean=AvgPool(7, 1) if paper else GlobalPool(),
        drop=Dropout(0.4 if paper else 0.2),
        fc=Linear(classes),
    )
