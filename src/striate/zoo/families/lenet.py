"""LeNet-5: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998,
section II-B.

`lenet5_paper` is the network of the paper: 60,000 trainable parameters, 340,908 connections. Six maps become sixteen
by the connection table below; subsampling adds four cells, times one coefficient, plus one bias a map (here the mean
of the four, so the coefficient is four times theirs); every layer up to F6 ends in 1.7159·tanh(2x/3); the output is
the distance to a drawing of each digit. The drawings are ours, after figure 3, which is printed too small to be
copied bit by bit; and our output is minus the distance, so that the largest is the answer. With fewer `classes` the
first digits keep their drawings.

`lenet5` is what lectures draw today, [CONV-POOL-CONV-POOL-FC-FC] of 5×5 at stride 1 and pools of 2×2 at stride 2:
61,706 parameters. It differs from the paper: all sixteen filters read all six maps, pools are max and without
weights, ReLU instead of tanh, and a linear output of ten scores. (Where a lecture writes the last but two as CONV, it
is the same product: the 5×5 filter covers the 5×5 volume.)
"""

from striate.blueprint import (
    Activation,
    AvgPool,
    CannotMake,
    Concat,
    Conv,
    Depthwise,
    Linear,
    MaxPool,
    RadialBasis,
    Relu,
    Select,
    Seq,
)

C3 = [  # Table I: the maps of S2 that each map of C3 reads
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
]

DRAWN = """
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### ..###.. ..###..
.#...#. ..##... #.....# #.....# ...#.#. #...... .#..... #.....# .#...#. .#...#.
#.....# .###... ......# ......# ..#..#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. .....#. .#...#. ######. #...... .....#. .#...#. #.....#
#.....# ...#... ....#.. ..###.. .#...#. ......# #.###.. ....#.. ..###.. .#...##
#.....# ...#... ...#... .....#. #....#. ......# ##...#. ....#.. .#...#. ..###.#
#.....# ...#... ..#.... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... #...... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# .#...#. ..#.... .#...#. .....#.
..###.. .#####. ####### .#####. .....#. .#####. ..###.. ..#.... ..###.. .####..
"""
ROWS = [line.split() for line in DRAWN.split("\n")[1:-1]]  # 12 rows of 10 digits, 7 pixels wide
DIGITS = tuple(int("".join(rows).replace("#", "1").replace(".", "0"), 2) for rows in zip(*ROWS, strict=True))

SQUASH = Activation("scaled_tanh")


def lenet(name: str, classes: int) -> Seq:
    """`lenet5` or `lenet5_paper`: 1×32×32 -> classes. Raises CannotMake where the paper's output has no drawing."""
    return lenet5(classes) if name == "lenet5" else lenet5_paper(classes)


def lenet5(classes: int) -> Seq:
    def conv(maps: int) -> Seq:
        return Seq(conv=Conv(maps, 5), act=Relu, pool=MaxPool(2))

    def full(width: int) -> Seq:
        return Seq(fc=Linear(width), act=Relu)

    return Seq(conv1=conv(6), conv2=conv(16), fc3=full(120), fc4=full(84), fc5=Linear(classes))


def lenet5_paper(classes: int) -> Seq:
    if not 1 <= classes <= len(DIGITS):
        raise CannotMake(
            f"Cannot make lenet5_paper(classes={classes}): its output compares with drawings of {len(DIGITS)} digits.",
            "",
            f"What fits: from 1 to {len(DIGITS)} classes; or lenet5(classes={classes}), whose output is linear.",
        )
    subsample = Seq(mean=AvgPool(2), weigh=Depthwise(1), act=SQUASH)
    c3 = Concat(*(Seq(Select(maps), Conv(1, 5)) for maps in C3))
    return Seq(
        c1=Seq(conv=Conv(6, 5), act=SQUASH),
        s2=subsample,
        c3=Seq(maps=c3, act=SQUASH),
        s4=subsample,
        c5=Seq(conv=Conv(120, 5), act=SQUASH),
        f6=Seq(fc=Linear(84), act=SQUASH),
        output=RadialBasis(DIGITS[:classes]),
    )
