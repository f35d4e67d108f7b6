"""DeepFace: Taigman, Yang, Ranzato, Wolf, DeepFace: Closing the Gap to Human-Level Performance in Face Verification,
CVPR 2014, section 3.1, figure 2.

Two convolutions and a pool, then three locally connected layers: on an aligned face, an eye's place wants other
filters than a mouth's. 152×152 -> 142, 71, 63, 55, 25, 21. The paper speaks of more than 120 million parameters, 95 %
of them in the local and the fully connected layers; the sizes that it gives come to 118.9 million, with a bias for
every position. The pool hangs over the edge: 71 positions of 3 at stride 2 need one cell more than the 142 there are.
"""

from striate.blueprint import Conv, Dropout, Linear, LocallyConnected, MaxPool, Relu, Seq


def deepface(name: str, classes: int) -> Seq:
    """3×152×152 -> identities (4,030 in the paper)."""
    return Seq(
        c1=Seq(conv=Conv(32, 11), act=Relu),
        m2=MaxPool(3, 2, fit="ceil"),
        c3=Seq(conv=Conv(16, 9), act=Relu),
        l4=Seq(local=LocallyConnected(16, 9), act=Relu),
        l5=Seq(local=LocallyConnected(16, 7, 2), act=Relu),
        l6=Seq(local=LocallyConnected(16, 5), act=Relu),
        f7=Seq(fc=Linear(4096), act=Relu, drop=Dropout()),
        f8=Linear(classes),
    )
