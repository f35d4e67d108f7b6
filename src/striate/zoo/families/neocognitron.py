"""The neocognitron's layout: Fukushima, Neocognitron: A Self-organizing Neural Network Model for a Mechanism of
Pattern Recognition Unaffected by Shift in Position, Biological Cybernetics 36, 1980, section 5.

Three pairs of S-cells, which look for a feature in 5×5 of every plane before them, and C-cells, which blur over 5×5
of one plane and are fewer: 16×16, 10×10, 8×8, 6×6, 2×2, 1×1, with 24 planes each. Only the layout: S-cells are
convolutions with ReLU, a bias stands for their inhibition, C-cells are means; it learned without a teacher, each
plane's weights by itself. How the C-cells are thinned out (zeros of 3 and 4 around, a step of 2) is what the paper's
sizes need.
"""

from striate.blueprint import AvgPool, Conv, Pad, Relu, Seq

PLANES = 24


def neocognitron(name: str, classes: int) -> Seq:
    """1×16×16 -> the planes of the last pair."""
    blur = Seq(zeros=Pad(((3, 4), (3, 4))), mean=AvgPool(5, 2))
    return Seq(
        s1=Seq(conv=Conv(PLANES, 5, padding=2), act=Relu),
        c1=blur,
        s2=Seq(conv=Conv(PLANES, 5, padding=1), act=Relu),
        c2=blur,
        s3=Seq(conv=Conv(classes, 5), act=Relu),
        c3=AvgPool(2),
    )
