"""NASNet-A: Zoph, Vasudevan, Shlens, Le, Learning Transferable Architectures for Scalable Image Recognition, CVPR
2018, arXiv 1707.07012, figure 4.

A cell reads the two before it. `nasnet_large` is NASNet-A (6 @ 4032), `nasnet_mobile` (4 @ 1056): so many normal
cells between reductions, so many filters at the end. As in the authors' code and timm's port of it, "same" padding
throughout; in the large one the cell behind a reduction reads the output two before that reduction, in the mobile one
the one before. Each separable convolution is applied twice. Means at stride 2 count the padding, as timm's do
(TensorFlow's do not). Without drop path and the auxiliary head, which only training has.
"""

from striate.blueprint import (
    AvgPool,
    BatchNorm,
    Blueprint,
    Concat,
    Conv,
    Dag,
    Depthwise,
    Dropout,
    GlobalPool,
    Linear,
    MaxPool,
    Pad,
    Relu,
    Seq,
)
from striate.blueprint.wiring import Step

Block = tuple[tuple[str, str], tuple[str, str]]

NORMAL: list[Block] = [  # figure 4: each block adds two values, operated upon; h: here, p: the cell before
    (("sep5", "h"), ("sep3", "p")),
    (("sep5", "p"), ("sep3", "p")),
    (("avg3", "h"), ("", "p")),
    (("avg3", "p"), ("avg3", "p")),
    (("sep3", "h"), ("", "h")),
]
REDUCTION: list[Block] = [  # 0 and 1 are the blocks before
    (("sep5", "h"), ("sep7", "p")),
    (("max3", "h"), ("sep7", "p")),
    (("avg3", "h"), ("sep5", "p")),
    (("avg3", "0"), ("", "1")),
    (("sep3", "0"), ("max3", "h")),
]
NASNET = {  # normal cells of a stage, filters at the end, filters of the first convolution, what a reduction hands on
    "nasnet_large": (6, 4032, 96, "prev"),
    "nasnet_mobile": (4, 1056, 32, "x"),
}
NORM = BatchNorm(1e-3)


def nasnet(name: str, classes: int) -> Seq:
    """`nasnet_large`: 3×331×331, `nasnet_mobile`: 3×224×224 -> classes."""
    cells, filters, first, handed = NASNET[name]
    width = filters // 24
    parts: dict[str, Blueprint] = {
        "conv0": Seq(conv=Conv(first, 3, 2, bias=False, fit="floor"), norm=NORM),
        "stem0": cell(REDUCTION, width // 4, None),
        "stem1": cell(REDUCTION, width // 2, halved(width // 2)),
    }
    for stage in range(3):
        wide = width * 2**stage
        if stage:
            parts[f"reduction{stage}"] = cell(REDUCTION, wide, squeezed(wide), handed)
        for i in range(cells):
            parts[f"cell{stage * cells + i}"] = cell(NORMAL, wide, squeezed(wide) if i else halved(wide))
    return Seq(
        **parts, last=Dag(("x", "prev"), (), "x"), act=Relu, mean=GlobalPool(), drop=Dropout(), fc=Linear(classes)
    )


def cell(blocks: list[Block], width: int, before: Seq | None, handed: str = "x") -> Dag:
    """A bundle (x, prev) -> (the output, x). `before` brings prev to x's grid and width; None: there is only x."""
    steps: list[Step] = [("h", squeezed(width), ("x",))]
    if before:  # what halves comes second, in the order of the weights that there are
        steps.insert("halves" in dict(before.parts), ("p", before, ("prev",)))
    for i, block in enumerate(blocks):
        read = []
        for side, (op, source) in zip(("left", "right"), block, strict=True):
            outside = source in "hp"
            source = "x" if source == "p" and not before else source
            if op:
                stride = 2 if outside and blocks is REDUCTION else 1
                steps.append((f"{i}{side}", operation(op, width, stride), (source,)))
            read.append(f"{i}{side}" if op else source)
        steps.append((str(i), "add", tuple(read)))
    joined = ("1", "2", "3", "4") if blocks is REDUCTION else ("p", "0", "1", "2", "3", "4")
    steps.append(("out", "concat", joined))
    return Dag(("x", "prev") if before else ("x",), tuple(steps), ("out", handed))


def operation(name: str, width: int, stride: int) -> Blueprint:
    kind, kernel = name[:3], int(name[3:])
    if kind == "sep":
        return Seq(separable(width, kernel, stride), separable(width, kernel))
    if kind == "max":
        return MaxPool(kernel, stride, "same")
    return AvgPool(kernel, stride, "same", count_include_pad=stride == 2)


def separable(width: int, kernel: int, stride: int = 1) -> Seq:
    depthwise = Depthwise(kernel, stride, "same", bias=False)
    return Seq(act=Relu, depthwise=depthwise, pointwise=Conv(width, 1, bias=False), norm=NORM)


def squeezed(width: int) -> Seq:
    return Seq(act=Relu, conv=Conv(width, 1, bias=False), norm=NORM)


def halved(width: int) -> Seq:
    """Half the grid, without losing cells: every other cell, and those between, side by side."""
    even = Seq(pool=AvgPool(1, 2), conv=Conv(width // 2, 1, bias=False))
    odd = Seq(shift=Pad(((-1, 1), (-1, 1))), pool=AvgPool(1, 2), conv=Conv(width // 2, 1, bias=False))
    return Seq(act=Relu, halves=Concat(even, odd), norm=NORM)
