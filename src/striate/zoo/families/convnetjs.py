"""ConvNetJS's network for CIFAR-10, as its page trains it in the browser: Karpathy 2014, demo/cifar10 (the lectures'
demo).

22,466 parameters. The page crops nothing (random flips and shifts of 2, and the network sees 32×32×3); its soft-max
is the loss here, as everywhere.
"""

from striate.blueprint import Conv, Linear, MaxPool, Relu, Seq

CIFAR10 = (16, 20, 20)  # filters of 5×5, padded by 2, each followed by ReLU and a pool of 2×2


def convnetjs(name: str, classes: int) -> Seq:
    """`convnetjs_cifar10`: 3×32×32 -> classes."""
    stages = [Seq(conv=Conv(width, 5, padding=2), act=Relu, pool=MaxPool(2)) for width in CIFAR10]
    return Seq(conv1=stages[0], conv2=stages[1], conv3=stages[2], fc=Linear(classes))
