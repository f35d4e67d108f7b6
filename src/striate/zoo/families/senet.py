"""SENet: Hu, Shen, Sun, Squeeze-and-Excitation Networks, CVPR 2018, arXiv 1709.01507, Table 1.

A gate at the end of each residual's body: channel means, squeezed sixteenfold by a 1×1 with ReLU, back by a 1×1 with
a sigmoid. `seresnet50`, `seresnet101`, `seresnet152`, `seresnext50_32x4d` are ResNets and a ResNeXt as today's
weights have them (timm's), gates added. `…_paper` are as the authors' own weights (timm's legacy_seresnet50 …): the
first pool hangs over the edge instead of being padded, and a bottleneck's stride is in its first 1×1 (seresnext50's
stays in the 3×3). `senet154` won ILSVRC 2017 (appendix): groups of 64, a 3×3 twice as wide as the 1×1 in front of it,
three 3×3 as its stem, 3×3 projections where the grid shrinks, dropout 0.2.
"""

from striate.blueprint import (
    Blueprint,
    Dropout,
    GlobalPool,
    Linear,
    MaxPool,
    Relu,
    Residual,
    Seq,
    conv_norm_act,
    squeeze_excite,
)

BLOCKS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3), "154": (3, 8, 36, 3)}


def senet(name: str, classes: int) -> Seq:
    """A network named above: 3×224×224 -> classes."""
    largest, grouped, paper = name == "senet154", "_32x4d" in name, name.endswith("_paper")
    early = paper and not grouped
    depth = name.removesuffix("_paper").removesuffix("_32x4d")[-3:].lstrip("t")

    def block(width: int, stride: int) -> Seq:
        inner, groups = (2 * width, 32) if grouped else (2 * width, 64) if largest else (width, 1)
        body = Seq(
            conv_norm_act(inner, 1, stride if early else 1),
            conv_norm_act(4 * width if largest else inner, 3, 1 if early else stride, groups=groups),
            conv_norm_act(4 * width, 1, act=None),
            squeeze_excite(width // 4, 4 * width),
        )
        project = conv_norm_act(4 * width, 3 if largest and stride > 1 else 1, stride, act=None)
        return Seq(sum=Residual(body, project=project), act=Relu)

    stages: dict[str, Blueprint] = {}
    for i, blocks in enumerate(BLOCKS[depth]):
        width = 64 * 2**i
        stages[f"layer{i + 1}"] = Seq(block(width, 2 if i else 1), *[block(width, 1)] * (blocks - 1))
    stem = (
        Seq(conv_norm_act(64, 3, 2), conv_norm_act(64, 3), conv_norm_act(128, 3))
        if largest
        else conv_norm_act(64, 7, 2)
    )
    pool = MaxPool(3, 2, fit="ceil") if largest or paper else MaxPool(3, 2, 1)
    return Seq(
        stem=stem, pool=pool, **stages, mean=GlobalPool(), drop=Dropout(0.2) if largest else None, fc=Linear(classes)
    )
