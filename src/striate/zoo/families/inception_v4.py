"""Inception-v4 and Inception-ResNet-v2: Szegedy, Ioffe, Vanhoucke, Alemi, Inception-v4, Inception-ResNet and the
Impact of Residual Connections on Learning, AAAI 2017, arXiv 1602.07261.

`inception_v4` is figure 9: the stem of figure 3, four, seven and three modules of figures 4, 5, 6, reductions of
figures 7 and 8. `inception_resnet_v2` is the authors' released network, which today's weights have: its stem is
Inception-v3's and one module of 320 channels instead of figure 3; ten, twenty and ten residual modules (figure 15 has
five, ten and five); channels of 320, 1088 and 2080; residuals scaled by 0.17, 0.1 and 0.2 (section 3.3), the last by
1; the 1×1 that ends a residual has a bias and neither norm nor ReLU. The means leave padding out of their divisor.
Dropout keeps 0.8.
"""

from striate.blueprint import (
    AvgPool,
    Blueprint,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Linear,
    MaxPool,
    Relu,
    Residual,
    Scale,
    Seq,
)
from striate.zoo.families.inception_v3 import COLUMN, ROW, conv, same, stem

MEAN = AvgPool(3, 1, 1, count_include_pad=False)


def inception_v4(name: str, classes: int) -> Seq:
    """`inception_v4`, `inception_resnet_v2`: 3×299×299 -> classes."""
    body = BODIES[name]()
    return Seq(**body, mean=GlobalPool(), drop=Dropout(0.2), fc=Linear(classes))


def _v4() -> dict[str, Blueprint]:
    first = Seq(conv(32, 3, 2), conv(32, 3), same(64, 3), Concat(MaxPool(3, 2), conv(96, 3, 2)))
    second = Concat(
        Seq(conv(64, 1), conv(96, 3)),
        Seq(conv(64, 1), same(64, ROW), same(64, COLUMN), conv(96, 3)),
    )
    a = Concat(
        conv(96, 1),
        Seq(conv(64, 1), same(96, 3)),
        Seq(conv(64, 1), same(96, 3), same(96, 3)),
        Seq(MEAN, conv(96, 1)),
    )
    reduce_a = Concat(conv(384, 3, 2), Seq(conv(192, 1), same(224, 3), conv(256, 3, 2)), MaxPool(3, 2))
    b = Concat(
        conv(384, 1),
        Seq(conv(192, 1), same(224, ROW), same(256, COLUMN)),
        Seq(conv(192, 1), same(192, COLUMN), same(224, ROW), same(224, COLUMN), same(256, ROW)),
        Seq(MEAN, conv(128, 1)),
    )
    reduce_b = Concat(
        Seq(conv(192, 1), conv(192, 3, 2)),
        Seq(conv(256, 1), same(256, ROW), same(320, COLUMN), conv(320, 3, 2)),
        MaxPool(3, 2),
    )
    fork = Concat(same(256, (1, 3)), same(256, (3, 1)))
    c = Concat(
        conv(256, 1),
        Seq(conv(384, 1), fork),
        Seq(conv(384, 1), same(448, (3, 1)), same(512, (1, 3)), fork),
        Seq(MEAN, conv(256, 1)),
    )
    stem = Seq(first, second, Concat(conv(192, 3, 2), MaxPool(3, 2)))
    modules = {"a": Seq(*[a] * 4), "reduce_a": reduce_a, "b": Seq(*[b] * 7), "reduce_b": reduce_b, "c": Seq(*[c] * 3)}
    return {"stem": stem, **modules}


def _resnet_v2() -> dict[str, Blueprint]:
    def module(arms: Concat, channels: int, scale: float, act: Blueprint | None = Relu) -> Seq:
        turned_down = Scale(scale) if scale != 1 else None
        return Seq(sum=Residual(Seq(arms=arms, project=Conv(channels, 1), scale=turned_down)), act=act)

    mixed = Concat(
        conv(96, 1),
        Seq(conv(48, 1), same(64, 5)),
        Seq(conv(64, 1), same(96, 3), same(96, 3)),
        Seq(MEAN, conv(64, 1)),
    )
    a = Concat(conv(32, 1), Seq(conv(32, 1), same(32, 3)), Seq(conv(32, 1), same(48, 3), same(64, 3)))
    reduce_a = Concat(conv(384, 3, 2), Seq(conv(256, 1), same(256, 3), conv(384, 3, 2)), MaxPool(3, 2))
    b = Concat(conv(192, 1), Seq(conv(128, 1), same(160, ROW), same(192, COLUMN)))
    reduce_b = Concat(
        Seq(conv(256, 1), conv(384, 3, 2)),
        Seq(conv(256, 1), conv(288, 3, 2)),
        Seq(conv(256, 1), same(288, 3), conv(320, 3, 2)),
        MaxPool(3, 2),
    )
    c = Concat(conv(192, 1), Seq(conv(192, 1), same(224, (1, 3)), same(256, (3, 1))))
    return {
        "stem": Seq(stem(), mixed),
        "a": Seq(*[module(a, 320, 0.17)] * 10),
        "reduce_a": reduce_a,
        "b": Seq(*[module(b, 1088, 0.1)] * 20),
        "reduce_b": reduce_b,
        "c": Seq(*[module(c, 2080, 0.2)] * 9, module(c, 2080, 1, None)),
        "last": conv(1536, 1),
    }


BODIES = {"inception_v4": _v4, "inception_resnet_v2": _resnet_v2}
