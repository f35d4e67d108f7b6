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

PEERS = {"torchvision": TORCHVISION}
