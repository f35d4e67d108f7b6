"""MobileNets: for phones, by depthwise convolutions.

`mobilenet_v1`: Howard et al. 2017, arXiv 1704.04861, Table 1. `width` is its width multiplier (0.75, 0.5, 0.25 in
Table 6), the input's size its resolution multiplier (192, 160, 128 in Table 7). Table 1 gives the last depthwise
convolution stride 2 with 7×7 both in front and behind: it is 1. ReLU6 as in the weights that there are (the authors',
timm's); `mobilenet_v1_paper` has the paper's ReLU.

`mobilenet_v2`: Sandler et al. 2018, arXiv 1801.04381, Table 2, as in torchvision: every skip where the volume stays.
`width` scales every layer but the last, which only grows; channels are rounded to eights.

`mobilenet_v3_small`, `mobilenet_v3_large`: Howard et al. 2019, arXiv 1905.02244, Tables 1 and 2, as in torchvision:
the gate is a quarter of the expansion rounded to eights, in front of the projection; BatchNorm with eps 1e-3 and
momentum 0.01.
"""

from striate.blueprint import (
    Activation,
    BatchNorm,
    Blueprint,
    CannotMake,
    Dropout,
    GlobalPool,
    Linear,
    Residual,
    Seq,
    conv_norm_act,
    squeeze_excite,
)

V1 = [  # Table 1: channels, stride
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
]
V2 = [  # Table 2: expansion, channels, blocks, stride
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
]
V3 = {  # Tables 1 and 2: kernel, expanded channels, channels, gate, activation, stride
    "mobilenet_v3_large": [
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hardswish", 2),
        (3, 200, 80, False, "hardswish", 1),
        (3, 184, 80, False, "hardswish", 1),
        (3, 184, 80, False, "hardswish", 1),
        (3, 480, 112, True, "hardswish", 1),
        (3, 672, 112, True, "hardswish", 1),
        (5, 672, 160, True, "hardswish", 2),
        (5, 960, 160, True, "hardswish", 1),
        (5, 960, 160, True, "hardswish", 1),
    ],
    "mobilenet_v3_small": [
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hardswish", 2),
        (5, 240, 40, True, "hardswish", 1),
        (5, 240, 40, True, "hardswish", 1),
        (5, 120, 48, True, "hardswish", 1),
        (5, 144, 48, True, "hardswish", 1),
        (5, 288, 96, True, "hardswish", 2),
        (5, 576, 96, True, "hardswish", 1),
        (5, 576, 96, True, "hardswish", 1),
    ],
}
HEAD = {"mobilenet_v3_large": 1280, "mobilenet_v3_small": 1024}
WIDEST = 16.0


def mobilenet(name: str, classes: int, width: float = 1.0) -> Seq:
    """A network named above, `width` times as wide: 3×224×224 -> classes. Raises CannotMake."""
    if not 0 < width <= WIDEST:
        raise CannotMake(f"Cannot make {name}(width={width}): its width must be above 0 and at most {WIDEST:g}.")
    return {"mobilenet_v1": _v1, "mobilenet_v1_paper": _v1, "mobilenet_v2": _v2}.get(name, _v3)(name, classes, width)


def rounded(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of eight, and never more than a tenth below."""
    near = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return near if near >= 0.9 * channels else near + divisor


def inverted_residual(
    expand: int | None,
    channels: int,
    kernel: int,
    stride: int,
    skip: bool,
    act: Blueprint,
    norm: Blueprint,
    gate: Blueprint | None = None,
    drop: Blueprint | None = None,
) -> Blueprint:
    """1×1 up (where there is `expand`), depthwise, gate, 1×1 down, linear; around it a skip (V2, figure 3b)."""
    body = Seq(
        expand=conv_norm_act(expand, 1, act=act, norm=norm) if expand else None,
        depthwise=conv_norm_act(None, kernel, stride, act, groups=None, norm=norm),
        gate=gate,
        project=conv_norm_act(channels, 1, act=None, norm=norm),
        drop=drop if skip else None,
    )
    return Residual(body) if skip else body


def _v1(name: str, classes: int, width: float) -> Seq:
    act = Activation("relu" if name.endswith("_paper") else "relu6")

    def block(channels: int, stride: int) -> Seq:
        wide = max(1, int(channels * width))
        return Seq(conv_norm_act(None, 3, stride, act, groups=None), conv_norm_act(wide, 1, act=act))

    blocks = [block(*row) for row in V1]
    stem = conv_norm_act(max(1, int(32 * width)), 3, 2, act)
    return Seq(stem=stem, blocks=Seq(*blocks), mean=GlobalPool(), fc=Linear(classes))


def _v2(name: str, classes: int, width: float) -> Seq:
    act, norm, channels = Activation("relu6"), BatchNorm(), rounded(32 * width)
    stem, blocks = conv_norm_act(channels, 3, 2, act), []
    for expansion, base, repeats, stride in V2:
        for i in range(repeats):
            out, step = rounded(base * width), stride if i == 0 else 1
            expand = channels * expansion if expansion > 1 else None
            blocks.append(inverted_residual(expand, out, 3, step, step == 1 and out == channels, act, norm))
            channels = out
    last = conv_norm_act(rounded(1280 * max(1.0, width)), 1, act=act)
    return Seq(stem=stem, blocks=Seq(*blocks), last=last, mean=GlobalPool(), drop=Dropout(0.2), fc=Linear(classes))


def _v3(name: str, classes: int, width: float) -> Seq:
    hardswish, norm, channels = Activation("hardswish"), BatchNorm(1e-3, 0.01), rounded(16 * width)
    stem, blocks = conv_norm_act(channels, 3, 2, hardswish, norm=norm), []
    for kernel, expanded, base, gated, act, stride in V3[name]:
        expand, out = rounded(expanded * width), rounded(base * width)
        gate = squeeze_excite(rounded(expand // 4), expand, gate="hardsigmoid") if gated else None
        skip = stride == 1 and out == channels
        up = expand if expand != channels else None
        blocks.append(inverted_residual(up, out, kernel, stride, skip, Activation(act), norm, gate))
        channels = out
    last = conv_norm_act(6 * channels, 1, act=hardswish, norm=norm)
    full = Seq(fc=Linear(rounded(HEAD[name] * width)), act=hardswish, drop=Dropout(0.2))
    return Seq(stem=stem, blocks=Seq(*blocks), last=last, mean=GlobalPool(), full=full, fc=Linear(classes))
