"""SqueezeNet: Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, arXiv 1602.07360,
Table 1.

`squeezenet1_0` is the paper's, `squeezenet1_1` the authors' later one at 2.4 times fewer multiply-adds. Both as
torchvision has them: the first convolution has no padding and leaves out what its stride does not reach (109 cells of
224; the paper's 111 are of 227), pools hang over the edge, ReLU also behind the last convolution.
"""

from striate.blueprint import Blueprint, Concat, Conv, Dropout, GlobalPool, MaxPool, Relu, Seq

SQUEEZENET = {  # filters and window of conv1, then fire modules by the width they squeeze to and expand to; | is a pool
    "squeezenet1_0": (96, 7, "| 16:64 16:64 32:128 | 32:128 48:192 48:192 64:256 | 64:256"),
    "squeezenet1_1": (64, 3, "| 16:64 16:64 | 32:128 32:128 | 48:192 48:192 64:256 64:256"),
}


def squeezenet(name: str, classes: int) -> Seq:
    """`squeezenet1_0`, `squeezenet1_1`: 3×224×224 -> classes."""
    filters, window, modules = SQUEEZENET[name]

    def conv(width: int, kernel: int) -> Seq:
        return Seq(conv=Conv(width, kernel, padding=kernel // 2), act=Relu)

    def module(word: str) -> Blueprint:
        if word == "|":
            return MaxPool(3, 2, fit="ceil")
        squeezed, expanded = map(int, word.split(":"))
        return Seq(squeeze=conv(squeezed, 1), expand=Concat(conv(expanded, 1), conv(expanded, 3)))

    return Seq(
        conv1=Seq(conv=Conv(filters, window, 2, fit="floor"), act=Relu),
        body=Seq(*map(module, modules.split())),
        drop=Dropout(),
        conv10=conv(classes, 1),
        mean=GlobalPool(),
    )
