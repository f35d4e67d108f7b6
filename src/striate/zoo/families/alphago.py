"""AlphaGo's policy network: Silver et al., Mastering the Game of Go with Deep Neural Networks and Tree Search, Nature
529, 2016, methods, "Neural network architecture".

48 planes of 19×19; a 5×5 and eleven 3×3 of k filters, zeros around; one 1×1 filter with a bias of its own for each
position. The match version has k = 192; extended data table 3 compares 128, 192, 256 and 384. The way out is the
19×19 map of scores: the soft-max over its 361 points is the loss's, or the player's.
"""

from striate.blueprint import Conv, PositionBias, Relu, Seq


def alphago(name: str) -> Seq:
    """`alphago_128`, `_192`, `_256`, `_384`, by their filters: 48×19×19 -> 1×19×19."""
    filters = int(name.removeprefix("alphago_"))
    layers = [Seq(conv=Conv(filters, kernel, padding=kernel // 2), act=Relu) for kernel in (5, *[3] * 11)]
    return Seq(*layers, last=Conv(1, 1, bias=False), bias=PositionBias())
