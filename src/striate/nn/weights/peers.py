"""The names that torchvision and timm give to the parts of the networks here; `names` says how to read a table.

A family stands here when its names differ from ours; that its numbers mean the same is shown by equal logits
(tests/parity), not by names.
"""

RESNET = """
stem.conv1                      (conv1|bn1)
layer{s}.{b}.sum.body.{i}       layer{s}.{b}.(conv|bn){i+1}
layer{s}.{b}.sum.project        layer{s}.{b}.downsample.(0|1)
fc                              fc
"""

INCEPTION_V3 = """
stem.0                          Conv2d_1a_3x3.(conv|bn)
stem.1                          Conv2d_2a_3x3.(conv|bn)
stem.2                          Conv2d_2b_3x3.(conv|bn)
stem.4                          Conv2d_3b_1x1.(conv|bn)
stem.5                          Conv2d_4a_3x3.(conv|bn)
mixed{m}.one                    Mixed_{m}.branch1x1.(conv|bn)
mixed{m}.pool.1                 Mixed_{m}.branch_pool.(conv|bn)
mixed{m}.five.{i}               Mixed_{m}.branch5x5_{i+1}.(conv|bn)
mixed6a.three                   Mixed_6a.branch3x3.(conv|bn)
mixed6a.deep.{i}                Mixed_6a.branch3x3dbl_{i+1}.(conv|bn)
mixed6{m}.deep.{i}              Mixed_6{m}.branch7x7dbl_{i+1}.(conv|bn)
mixed6{m}.seven.{i}             Mixed_6{m}.branch7x7_{i+1}.(conv|bn)
mixed7{m}.seven.{i}             Mixed_7{m}.branch7x7x3_{i+1}.(conv|bn)
mixed{m}.three.1.0              Mixed_{m}.branch3x3_2a.(conv|bn)
mixed{m}.three.1.1              Mixed_{m}.branch3x3_2b.(conv|bn)
mixed{m}.three.{i}              Mixed_{m}.branch3x3_{i+1}.(conv|bn)
mixed{m}.deep.2.0               Mixed_{m}.branch3x3dbl_3a.(conv|bn)
mixed{m}.deep.2.1               Mixed_{m}.branch3x3dbl_3b.(conv|bn)
mixed{m}.deep.{i}               Mixed_{m}.branch3x3dbl_{i+1}.(conv|bn)
aux.aux.reduce                  AuxLogits.conv0.(conv|bn)
aux.aux.conv                    AuxLogits.conv1.(conv|bn)
aux.aux.fc                      AuxLogits.fc
fc                              fc
"""

TORCHVISION = {
    "resnet": RESNET,
    "alexnet": """
conv{i}.conv                    features.{node}
fc6.fc                          classifier.1
fc7.fc                          classifier.4
fc8                             classifier.6
""",
    "vgg": """
stage{s}.{i}.conv               features.{node}
stage{s}.{i}.norm               features.{node}
fc6.fc                          classifier.0
fc7.fc                          classifier.3
fc8                             classifier.6
""",
    "googlenet": """
conv1                           conv1.(conv|bn)
reduce2                         conv2.(conv|bn)
conv2                           conv3.(conv|bn)
inception{r}.one                inception{r}.branch1.(conv|bn)
inception{r}.three.{i}          inception{r}.branch2.{i}.(conv|bn)
inception{r}.five.{i}           inception{r}.branch3.{i}.(conv|bn)
inception{r}.pool.1             inception{r}.branch4.1.(conv|bn)
aux{a}.{t}.conv                     aux{a}.conv.(conv|bn)
aux{a}.{t}.fc1.fc                   aux{a}.fc1
aux{a}.{t}.fc2                      aux{a}.fc2
fc                              fc
""",
    "inception_v3": INCEPTION_V3,
    "densenet": """
stem                            features.(conv|norm)0
dense{s}.{b}.block.{i}          features.denseblock{s}.denselayer{b+1}.(conv|norm){i+1}
transition{s}.squeeze           features.transition{s}.(conv|norm)
norm                            features.norm5
fc                              classifier
""",
    "mobilenet_v2": """
stem                            features.0.(0|1)
blocks.0.depthwise              features.1.conv.0.(0|1)
blocks.0.project.conv           features.1.conv.1
blocks.0.project.norm           features.1.conv.2
blocks.{b}.[body.]project.conv  features.{b+1}.conv.2
blocks.{b}.[body.]project.norm  features.{b+1}.conv.3
blocks.{b}.[body.]{#part}       features.{b+1}.conv.{part}.(0|1)
last                            features.{blocks#+1}.(0|1)
fc                              classifier.1
""",
    "mobilenet_v3": """
stem                            features.0.(0|1)
blocks.{b}.[body.]{#part}.gate.1  features.{b+1}.block.{part}.fc1
blocks.{b}.[body.]{#part}.gate.3  features.{b+1}.block.{part}.fc2
blocks.{b}.[body.]{#part}       features.{b+1}.block.{part}.(0|1)
last                            features.{blocks#+1}.(0|1)
full.fc                         classifier.0
fc                              classifier.3
""",
    "efficientnet": """
stem                            features.0.(0|1)
stage{s}.{b}.[body.]{#part}.gate.1  features.{s}.{b}.block.{part}.fc1
stage{s}.{b}.[body.]{#part}.gate.3  features.{s}.{b}.block.{part}.fc2
stage{s}.{b}.[body.]{#part}     features.{s}.{b}.block.{part}.(0|1)
last                            features.8.(0|1)
fc                              classifier.1
""",
    "mnasnet": """
stem.0                          layers.(0|1)
stem.1                          layers.(3|4)
stem.2                          layers.(6|7)
stage{s}.{b}.[body.]expand      layers.{s+7}.{b}.layers.(0|1)
stage{s}.{b}.[body.]depthwise   layers.{s+7}.{b}.layers.(3|4)
stage{s}.{b}.[body.]project     layers.{s+7}.{b}.layers.(6|7)
last                            layers.(14|15)
fc                              classifier.1
""",
    "shufflenet_v2": """
stem.conv1                      conv1.(0|1)
stage{s}.0.arms.0.0             stage{s}.0.branch1.(0|1)
stage{s}.0.arms.0.1             stage{s}.0.branch1.(2|3)
stage{s}.0.arms.1.0             stage{s}.0.branch2.(0|1)
stage{s}.0.arms.1.1             stage{s}.0.branch2.(3|4)
stage{s}.0.arms.1.2             stage{s}.0.branch2.(5|6)
stage{s}.{u}.arms.1.1.0         stage{s}.{u}.branch2.(0|1)
stage{s}.{u}.arms.1.1.1         stage{s}.{u}.branch2.(3|4)
stage{s}.{u}.arms.1.1.2         stage{s}.{u}.branch2.(5|6)
conv5                           conv5.(0|1)
fc                              fc
""",
    "squeezenet": """
conv1.conv                      features.0
body.{i}.squeeze.conv           features.{i+2}.squeeze
body.{i}.expand.0.conv          features.{i+2}.expand1x1
body.{i}.expand.1.conv          features.{i+2}.expand3x3
conv10.conv                     classifier.1
""",
}

SENET = """
layer{s}.{b}.sum.body.3.gate.1  layer{s}.{b}.se.fc1
layer{s}.{b}.sum.body.3.gate.3  layer{s}.{b}.se.fc2
layer{s}.{b}.sum.body.{i}       layer{s}.{b}.(conv|bn){i+1}
layer{s}.{b}.sum.project        layer{s}.{b}.downsample.(0|1)
fc                              fc
"""
OLD_SENET = SENET.replace(".se.", ".se_module.").replace(" fc\n", " last_linear\n")

INVERTED = """
OURS.[body.]expand              THEIRS.(conv_pw|bn1)
OURS.[body.]depthwise           THEIRS.(conv_dw|bn2)
OURS.[body.]gate.gate.1         THEIRS.se.conv_reduce
OURS.[body.]gate.gate.3         THEIRS.se.conv_expand
OURS.[body.]project             THEIRS.(conv_pwl|bn3)
"""
SEPARABLE = INVERTED.replace("bn2", "bn1").replace("pwl|bn3", "pw|bn2")  # a block that does not expand


def block(kind: str, ours: str, theirs: str) -> str:
    return kind.replace("OURS", ours).replace("THEIRS", theirs)


MOBILE = """
stem                            (conv_stem|bn1)
last                            (conv_head|bn2)
fc                              classifier
"""
MOBILE_V3 = """
stem                            (conv_stem|bn1)
last                            blocks.STAGES.0.(conv|bn1)
full.fc                         conv_head@
fc                              classifier
"""

NASNET = """
OURS.h                          THEIRS.conv_1x1.(conv|bn)
OURS.p.halves.0.conv            THEIRS.path_1.conv
OURS.p.halves.1.conv            THEIRS.path_2.conv
OURS.p                          THEIRS.conv_prev_1x1.(conv|bn)
OURS.{k}left.{i}.depthwise      THEIRS.comb_iter_{k}_left.separable_{i+1}.depthwise_conv2d
OURS.{k}left.{i}.pointwise      THEIRS.comb_iter_{k}_left.separable_{i+1}.pointwise_conv2d
OURS.{k}left.{i}.norm           THEIRS.comb_iter_{k}_left.bn_sep_{i+1}
OURS.{k}right.{i}.depthwise     THEIRS.comb_iter_{k}_right.separable_{i+1}.depthwise_conv2d
OURS.{k}right.{i}.pointwise     THEIRS.comb_iter_{k}_right.separable_{i+1}.pointwise_conv2d
OURS.{k}right.{i}.norm          THEIRS.comb_iter_{k}_right.bn_sep_{i+1}
"""

TIMM = {
    "resnet": RESNET,
    "densenet": TORCHVISION["densenet"],
    "inception_v3": INCEPTION_V3,
    "vgg": """
stage{s}.{i}.conv               features.{node}
stage{s}.{i}.norm               features.{node}
fc6.fc                          pre_logits.fc1@
fc7.fc                          pre_logits.fc2@
fc8                             head.fc
""",
    "seresnet": "stem (conv1|bn1)" + SENET,
    "legacy_seresnet": "stem layer0.(conv1|bn1)" + OLD_SENET,
    "senet154": "stem.0 conv1.(0|1)\nstem.1 conv1.(3|4)\nstem.2 (conv1.6|bn1)" + SENET,
    "legacy_senet154": "stem.{i} layer0.(conv|bn){i+1}" + OLD_SENET,
    "mobilenet_v1": MOBILE
    + """
blocks.{b}.0                    blocks.{b/1,2,2,6,2}.(conv_dw|bn1)
blocks.{b}.1                    blocks.{b/1,2,2,6,2}.(conv_pw|bn2)
""",
    "mobilenet_v2": MOBILE
    + block(SEPARABLE, "blocks.0", "blocks.0.0")
    + block(INVERTED, "blocks.{b}", "blocks.{b/1,2,3,4,3,3,1}"),
    "mobilenet_v3_large": MOBILE_V3.replace("STAGES", "6")
    + block(SEPARABLE, "blocks.0", "blocks.0.0")
    + block(INVERTED, "blocks.{b}", "blocks.{b/1,2,3,4,2,3}"),
    "mobilenet_v3_small": MOBILE_V3.replace("STAGES", "5")
    + block(SEPARABLE, "blocks.0", "blocks.0.0")
    + block(INVERTED, "blocks.{b}", "blocks.{b/1,2,3,2,3}"),
    "mnasnet": MOBILE.replace("stem ", "stem.0 ")
    + """
stem.1                          blocks.0.0.(conv_dw|bn1)
stem.2                          blocks.0.0.(conv_pw|bn2)
"""
    + block(INVERTED, "stage{s}.{b}", "blocks.{s}.{b}"),
    "efficientnet": MOBILE
    + block(SEPARABLE, "stage1.{b}", "blocks.0.{b}")
    + block(INVERTED, "stage{s}.{b}", "blocks.{s-1}.{b}"),
    "inception_v4": """
stem.0.3.1                      features.3.conv.(conv|bn)
stem.0.{i}                      features.{i}.(conv|bn)
stem.1.{b}.{i}                  features.4.branch{b}.{i}.(conv|bn)
stem.2.0                        features.5.conv.(conv|bn)
a.{n}.{b}                       features.{n+6}.branch{b}.(conv|bn)
a.{n}.{b}.{i}                   features.{n+6}.branch{b}.{i}.(conv|bn)
reduce_a.{b}                    features.10.branch{b}.(conv|bn)
reduce_a.{b}.{i}                features.10.branch{b}.{i}.(conv|bn)
b.{n}.{b}                       features.{n+11}.branch{b}.(conv|bn)
b.{n}.{b}.{i}                   features.{n+11}.branch{b}.{i}.(conv|bn)
reduce_b.{b}.{i}                features.18.branch{b}.{i}.(conv|bn)
c.{n}.0                         features.{n+19}.branch0.(conv|bn)
c.{n}.3.1                       features.{n+19}.branch3.1.(conv|bn)
c.{n}.{b}.{i}                   features.{n+19}.branch{b}_{i}.(conv|bn)
c.{n}.{b}.{i}.0                 features.{n+19}.branch{b}_{i}a.(conv|bn)
c.{n}.{b}.{i}.1                 features.{n+19}.branch{b}_{i}b.(conv|bn)
fc                              last_linear
""",
    "inception_resnet_v2": """
stem.0.0                        conv2d_1a.(conv|bn)
stem.0.1                        conv2d_2a.(conv|bn)
stem.0.2                        conv2d_2b.(conv|bn)
stem.0.4                        conv2d_3b.(conv|bn)
stem.0.5                        conv2d_4a.(conv|bn)
stem.1.{b}                      mixed_5b.branch{b}.(conv|bn)
stem.1.{b}.{i}                  mixed_5b.branch{b}.{i}.(conv|bn)
reduce_a.{b}                    mixed_6a.branch{b}.(conv|bn)
reduce_a.{b}.{i}                mixed_6a.branch{b}.{i}.(conv|bn)
reduce_b.{b}.{i}                mixed_7a.branch{b}.{i}.(conv|bn)
last                            conv2d_7b.(conv|bn)
fc                              classif
"""
    + "".join(
        f"""
{ours}.sum.body.arms.{{b}}      {theirs}.branch{{b}}.(conv|bn)
{ours}.sum.body.arms.{{b}}.{{i}} {theirs}.branch{{b}}.{{i}}.(conv|bn)
{ours}.sum.body.project         {theirs}.conv2d
"""
        for ours, theirs in (
            *(("a.{n}", "repeat.{n}"), ("b.{n}", "repeat_1.{n}"), ("c.9", "block8"), ("c.{n}", "repeat_2.{n}")),
        )
    ),
    "legacy_xception": """
stem.{i}                        (conv|bn){i+1}
entry.0.body.0.depthwise        block1.rep.0.conv1
entry.0.body.0.pointwise        block1.rep.0.pointwise
entry.0.body.0.norm             block1.rep.1
entry.0.body.2.depthwise        block1.rep.3.conv1
entry.0.body.2.pointwise        block1.rep.3.pointwise
entry.0.body.2.norm             block1.rep.4
"""
    + "".join(
        f"""
{ours}.body.1.depthwise         {theirs}.rep.1.conv1
{ours}.body.1.pointwise         {theirs}.rep.1.pointwise
{ours}.body.1.norm              {theirs}.rep.2
{ours}.body.3.depthwise         {theirs}.rep.4.conv1
{ours}.body.3.pointwise         {theirs}.rep.4.pointwise
{ours}.body.3.norm              {theirs}.rep.5
{ours}.body.5.depthwise         {theirs}.rep.7.conv1
{ours}.body.5.pointwise         {theirs}.rep.7.pointwise
{ours}.body.5.norm              {theirs}.rep.8
{ours}.project                  {theirs}.(skip|skipbn)
"""
        for ours, theirs in (("entry.{b}", "block{b+1}"), ("middle.{b}", "block{b+4}"), ("exit.0", "block12"))
    )
    + """
exit.1.depthwise                conv3.conv1
exit.1.pointwise                conv3.pointwise
exit.1.norm                     bn3
exit.3.depthwise                conv4.conv1
exit.3.pointwise                conv4.pointwise
exit.3.norm                     bn4
fc                              fc
""",
    "nasnet": """
conv0                           conv0.(conv|bn)
stem1.p.norm                    cell_stem_1.final_path_bn
cell0.p.norm                    cell_0.final_path_bn
cell6.p.norm                    cell_6.final_path_bn
cell12.p.norm                   cell_12.final_path_bn
fc                              last_linear
"""
    + block(NASNET, "stem{n}", "cell_stem_{n}")
    + block(NASNET, "cell{n}", "cell_{n}")
    + block(NASNET, "reduction{n}", "reduction_cell_{n-1}"),
}

PEERS = {"torchvision": TORCHVISION, "timm": TIMM}
