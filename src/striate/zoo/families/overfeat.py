"""OverFeat: Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, ICLR 2014, arXiv 1312.6229, Tables 1 (fast) and 3
(accurate).

No response normalisation, pools that do not overlap, dropout behind the two hidden layers (section 3.1). Table 1
gives the second convolution of the fast network an input of 24×24: that is its output, the input is 28×28. Table 4
counts 145 and 144 million parameters, as we do, and 2810 and 5369 million connections; multiply-adds are 2802 and
5355 million.
"""

from striate.blueprint import Conv, Dropout, Linear, MaxPool, Relu, Seq

OVERFEAT = {  # filters, kernel, stride, padding, pool behind; then the hidden layers
    "overfeat_fast": (
        [(96, 11, 4, 0, 2), (256, 5, 1, 0, 2), (512, 3, 1, 1, 0), (1024, 3, 1, 1, 0), (1024, 3, 1, 1, 2)],
        (3072, 4096),
    ),
    "overfeat_accurate": (
        [
            *((96, 7, 2, 0, 3), (256, 7, 1, 0, 2), (512, 3, 1, 1, 0)),
            *((512, 3, 1, 1, 0), (1024, 3, 1, 1, 0), (1024, 3, 1, 1, 3)),
        ],
        (4096, 4096),
    ),
}


def overfeat(name: str, classes: int) -> Seq:
    """`overfeat_fast`: 3×231×231, `overfeat_accurate`: 3×221×221 -> classes."""
    layers, hidden = OVERFEAT[name]
    convs = {
        f"conv{i}": Seq(conv=Conv(width, kernel, stride, padding), act=Relu, pool=MaxPool(pool) if pool else None)
        for i, (width, kernel, stride, padding, pool) in enumerate(layers, 1)
    }
    full = {f"fc{i}": Seq(fc=Linear(n), act=Relu, drop=Dropout()) for i, n in enumerate(hidden, len(layers) + 1)}
    return Seq(**convs, **full, fc=Linear(classes))
