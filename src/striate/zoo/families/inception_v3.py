"""Inception-v3: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception Architecture for Computer Vision,
CVPR 2016, arXiv 1512.00567, Table 1 and figures 5 to 10.

As in torchvision, whose weights are the authors'. That network differs from Table 1 in the stem: a 1×1 of 80, a 3×3
of 192 and a pool stand where the table has 3×3 convolutions of 80, 192 (at stride 2) and 288; and its 5×5 arms are
still 5×5 at 35×35, where figure 5 has two 3×3. `aux=True` adds the auxiliary head on the 17×17 grid (section 4) as
the way out `aux`: 27,161,264 parameters with it, as torchvision counts, and 23,834,568 without.
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
    MaxPool,
    Relu,
    Seq,
    Tap,
)

ROW, COLUMN = (1, 7), (7, 1)


def inception_v3(name: str, classes: int, aux: bool = False) -> Seq:
    """3×299×299 -> classes; with `aux` also the way out `aux`."""
    inner = {"mixed6b": 128, "mixed6c": 160, "mixed6d": 160, "mixed6e": 192}
    head = Seq(mean=AvgPool(5, 3), reduce=conv(128, 1), conv=conv(768, 5), pool=GlobalPool(), fc=Linear(classes))
    return Seq(
        stem=stem(),
        mixed5b=narrow(32),
        mixed5c=narrow(64),
        mixed5d=narrow(64),
        mixed6a=Concat(
            three=conv(384, 3, 2),
            deep=Seq(conv(64, 1), same(96, 3), conv(96, 3, 2)),
            pool=MaxPool(3, 2),
        ),
        **{name: factorised(width) for name, width in inner.items()},
        aux=Tap("aux", head) if aux else None,
        mixed7a=Concat(
            three=Seq(conv(192, 1), conv(320, 3, 2)),
            seven=Seq(conv(192, 1), same(192, ROW), same(192, COLUMN), conv(192, 3, 2)),
            pool=MaxPool(3, 2),
        ),
        mixed7b=expanded(),
        mixed7c=expanded(),
        mean=GlobalPool(),
        drop=Dropout(),
        fc=Linear(classes),
    )


def conv(width: int, kernel: int, stride: int = 1) -> Seq:
    """Without padding."""
    return Seq(conv=Conv(width, kernel, stride, bias=False), norm=BatchNorm(1e-3), act=Relu)


def same(width: int, kernel: int | tuple[int, int]) -> Seq:
    """Padded so that the grid stays."""
    padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    return Seq(conv=Conv(width, kernel, padding=padding, bias=False), norm=BatchNorm(1e-3), act=Relu)


def stem() -> Seq:
    """3×299×299 -> 192×35×35."""
    first = (conv(32, 3, 2), conv(32, 3), same(64, 3), MaxPool(3, 2))
    return Seq(*first, conv(80, 1), conv(192, 3), MaxPool(3, 2))


def narrow(projected: int) -> Concat:
    """Figure 5, with one 5×5 for its first two 3×3."""
    return Concat(
        one=conv(64, 1),
        five=Seq(conv(48, 1), same(64, 5)),
        deep=Seq(conv(64, 1), same(96, 3), same(96, 3)),
        pool=Seq(AvgPool(3, 1, 1), conv(projected, 1)),
    )


def factorised(inner: int) -> Concat:
    """Figure 6 with n = 7: 7×7 as 1×7 and 7×1."""
    return Concat(
        one=conv(192, 1),
        seven=Seq(conv(inner, 1), same(inner, ROW), same(192, COLUMN)),
        deep=Seq(conv(inner, 1), same(inner, COLUMN), same(inner, ROW), same(inner, COLUMN), same(192, ROW)),
        pool=Seq(AvgPool(3, 1, 1), conv(192, 1)),
    )


def expanded() -> Concat:
    """Figure 7: 1×3 and 3×1 side by side."""
    fork: Blueprint = Concat(same(384, (1, 3)), same(384, (3, 1)))
    return Concat(
        one=conv(320, 1),
        three=Seq(conv(384, 1), fork),
        deep=Seq(conv(448, 1), same(384, 3), fork),
        pool=Seq(AvgPool(3, 1, 1), conv(192, 1)),
    )
