"""ResNets for CIFAR-10 and their plain twins: He et al., CVPR 2016, arXiv 1512.03385, section 4.2.

6n + 2 layers: a 3×3 of 16, three stages of n blocks of two 3×3 with 16, 32, 64 filters, a mean, 10 classes. Shortcuts
have no parameters (option A): every other cell, and zeros for the channels that are new. `plainN` is the same without
shortcuts. The paper's parameters: 0.27, 0.46, 0.66, 0.85, 1.7 and 19.4 million for 20, 32, 44, 56, 110 and 1202
layers.
"""

from striate.blueprint import Blueprint, GlobalPool, Linear, MaxPool, Pad, Relu, Residual, Seq, conv_norm_act


def resnet_cifar(name: str, classes: int) -> Seq:
    """`resnet20` … `resnet1202`, `plain20` … `plain110`: 3×32×32 -> classes."""
    residual = name.startswith("resnet")
    blocks = (int(name.removeprefix("resnet" if residual else "plain")) - 2) // 6
    stages = {
        f"stage{i}": Seq(block(width, 1 if i == 1 else 2, residual), *[block(width, 1, residual)] * (blocks - 1))
        for i, width in enumerate((16, 32, 64), 1)
    }
    return Seq(stem=conv_norm_act(16, 3), **stages, mean=GlobalPool(), fc=Linear(classes))


def block(width: int, stride: int, residual: bool = True) -> Blueprint:
    """Two 3×3; around them, where `residual`, a shortcut without parameters (section 3.3, option A)."""
    if not residual:
        return Seq(conv_norm_act(width, 3, stride), conv_norm_act(width, 3))
    body = Seq(conv_norm_act(width, 3, stride), conv_norm_act(width, 3, act=None))
    padded = Seq(every_other=MaxPool(1, 2), zeros=Pad(channels=width // 2))
    return Seq(sum=Residual(body, project=padded), act=Relu)
