"""AlexNet: Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012,
section 3.

| | `alexnet_paper` | `alexnet_lecture` | `alexnet` |
|---|---|---|---|
| what it is | the original, on two GPUs | the lecture's listing | torchvision's, after arXiv 1404.5997 |
| filters | 96 256 384 384 256 | 96 256 384 384 256 | 64 192 384 256 256 |
| two groups | in conv2, conv4, conv5 | none | none |
| norm | before the pool | after the pool | none |
| dropout | behind FC6 and FC7 | none listed: as the paper | before FC6 and FC7 |
| input | 227 | 227 | 224 and padding 2, any size from 63 |
| parameters | 60,965,224 | 62,378,344 | 61,100,840 |

The paper says 224×224, from which a window of 11 at stride 4 gives 54.25 positions: with 227, as the lecture has it,
it is the 55 of the paper's own figure. The halves of conv2, conv4 and conv5 read the maps of their own GPU only:
groups=2. Response normalisation is the paper's (k=2, n=5, alpha=1e-4, beta=0.75, a sum, not Caffe's and torch's
mean); it says nothing of the maps at the border between the GPUs, which are neighbours here. Pools overlap: 3×3 at
stride 2. arXiv 1404.5997 (Krizhevsky 2014) describes its network in words only; torchvision has the filters of the
code released with it.
"""

from striate.blueprint import Conv, Dropout, GlobalPool, Linear, LocalResponseNorm, MaxPool, Relu, Seq

ALEXNET = {  # filters, groups of conv2, conv4 and conv5, padding of conv1, what follows conv1 and conv2
    "alexnet_paper": ((96, 256, 384, 384, 256), 2, 0, "norm pool"),
    "alexnet_lecture": ((96, 256, 384, 384, 256), 1, 0, "pool norm"),
    "alexnet": ((64, 192, 384, 256, 256), 1, 2, "pool"),
}
NORM = LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)


def alexnet(name: str, classes: int) -> Seq:
    """`alexnet`, `alexnet_paper`, `alexnet_lecture`: 3×227×227 (`alexnet`: 3×224×224) -> classes."""
    (one, two, three, four, five), groups, padding, then = ALEXNET[name]
    after = {word: {"norm": NORM, "pool": MaxPool(3, 2)}[word] for word in then.split()}
    convs = {
        "conv1": Seq(conv=Conv(one, 11, 4, padding), act=Relu, **after),
        "conv2": Seq(conv=Conv(two, 5, padding=2, groups=groups), act=Relu, **after),
        "conv3": Seq(conv=Conv(three, 3, padding=1), act=Relu),
        "conv4": Seq(conv=Conv(four, 3, padding=1, groups=groups), act=Relu),
        "conv5": Seq(conv=Conv(five, 3, padding=1, groups=groups), act=Relu, pool=MaxPool(3, 2)),
    }
    if name == "alexnet":
        full = Seq(drop=Dropout(), fc=Linear(4096), act=Relu)
        return Seq(**convs, mean=GlobalPool(output_size=6), fc6=full, fc7=full, fc8=Linear(classes))
    full = Seq(fc=Linear(4096), act=Relu, drop=Dropout())
    return Seq(**convs, fc6=full, fc7=full, fc8=Linear(classes))
