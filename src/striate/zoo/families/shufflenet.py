"""ShuffleNets: grouped and depthwise convolutions, and channels shuffled so that groups mix.

`shufflenet_v1_g1` … `_g8`: Zhang, Zhou, Lin, Sun 2017, arXiv 1707.01083, Table 1, by the groups of their 1×1
convolutions. `width` is the paper's scale factor s. The first 1×1 of stage 2 is not grouped (section 3.2); a unit's
inner width is a quarter of its output; no ReLU behind the depthwise convolution.

`shufflenet_v2_x0_5` … `_x2_0`: Ma, Zhang, Zheng, Sun 2018, arXiv 1807.11164, Table 5, as in torchvision (whose 2.0
has 244, 488, 976 channels, as the table).
"""

from striate.blueprint import (
    AvgPool,
    CannotMake,
    Concat,
    GlobalPool,
    Linear,
    MaxPool,
    Relu,
    Residual,
    Select,
    Seq,
    Shuffle,
    conv_norm_act,
)

REPEATS = (4, 8, 4)  # units of stages 2, 3, 4, in both papers
V1 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # groups: channels of stage 2, twice as many a stage later
V2 = {  # channels of stages 2, 3, 4 and of conv5
    "shufflenet_v2_x0_5": (48, 96, 192, 1024),
    "shufflenet_v2_x1_0": (116, 232, 464, 1024),
    "shufflenet_v2_x1_5": (176, 352, 704, 1024),
    "shufflenet_v2_x2_0": (244, 488, 976, 2048),
}


def shufflenet(name: str, classes: int, width: float = 1.0) -> Seq:
    """A network of the tables: 3×224×224 -> classes. Raises CannotMake where `width` does not leave whole groups."""
    if name in V2:
        if width != 1:
            known = ", ".join(V2)
            raise CannotMake(f"Cannot make {name}(width={width}): its width is in its name.", "", f"There are {known}.")
        return _v2(name, classes)
    return _v1(name, classes, width)


def _v1(name: str, classes: int, width: float) -> Seq:
    groups = int(name.rpartition("_g")[2])
    first = round(24 * width)
    second = round(V1[groups] * width)
    if not 0 < width <= 16 or second % (4 * groups) or (second - first) % groups:
        raise CannotMake(
            f"Cannot make {name}(width={width}): {groups} groups must divide {V1[groups]}*{width}/4 channels.",
            "",
            "The paper has 0.25, 0.5, 1, 1.5 and 2.",
        )

    def unit(before: int, out: int, stride: int, grouped: int) -> Seq:
        inner = out // 4
        body = Seq(
            conv_norm_act(inner, 1, groups=grouped),
            Shuffle(groups),
            conv_norm_act(None, 3, stride, None, groups=None),
            conv_norm_act(out - before if stride == 2 else out, 1, act=None, groups=groups),
        )
        joined = Concat(skip=AvgPool(3, 2, 1), body=body) if stride == 2 else Residual(body)
        return Seq(sum=joined, act=Relu)

    before, stages = first, {}
    for stage, repeats in enumerate(REPEATS, 2):
        out = second * 2 ** (stage - 2)
        units = [unit(before, out, 2, 1 if stage == 2 else groups), *[unit(out, out, 1, groups)] * (repeats - 1)]
        stages[f"stage{stage}"], before = Seq(*units), out
    stem = Seq(conv1=conv_norm_act(first, 3, 2), pool=MaxPool(3, 2, 1))
    return Seq(stem=stem, **stages, mean=GlobalPool(), fc=Linear(classes))


def _v2(name: str, classes: int) -> Seq:
    *widths, last = V2[name]

    def unit(out: int, stride: int) -> Seq:
        half = out // 2
        body = Seq(
            conv_norm_act(half, 1),
            conv_norm_act(None, 3, stride, None, groups=None),
            conv_norm_act(half, 1),
        )
        if stride == 2:
            left = Seq(conv_norm_act(None, 3, 2, None, groups=None), conv_norm_act(half, 1))
            return Seq(arms=Concat(left, body), shuffle=Shuffle(2))
        split = Concat(Select(tuple(range(half))), Seq(Select(tuple(range(half, out))), body))
        return Seq(arms=split, shuffle=Shuffle(2))

    stages = {
        f"stage{i}": Seq(unit(out, 2), *[unit(out, 1)] * (repeats - 1))
        for i, (out, repeats) in enumerate(zip(widths, REPEATS, strict=True), 2)
    }
    stem = Seq(conv1=conv_norm_act(24, 3, 2), pool=MaxPool(3, 2, 1))
    return Seq(stem=stem, **stages, conv5=conv_norm_act(last, 1), mean=GlobalPool(), fc=Linear(classes))
