"""What the table of networks says of each: where it was published, what it costs, how good it was.

`parameters` and `macs` are those of the network at its input without options, written here so that a listing costs
nothing; tests/zoo holds every one of them against the drafted network, and against what was published. Accuracies are
the published ones, in per cent, and `measured` says by whom and how: they are not comparable across lines that say
different things.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from striate.blueprint.volume import Volume


class Network(NamedTuple):
    """A line of the table. `family` is the module of striate.zoo.families whose function of the same name draws it."""

    name: str
    family: str
    input: Volume
    classes: int | None  # None: its output is not classes
    parameters: int
    macs: int
    year: int
    paper: str
    counted: str = ""  # who published its size, and what they say
    top1: float | None = None
    top5: float | None = None
    measured: str = ""
    note: str = ""


class Accuracy(NamedTuple):
    top1: float | None
    top5: float | None
    measured: str


def tv(top1: float, top5: float) -> Accuracy:
    return Accuracy(top1, top5, "torchvision 0.28, IMAGENET1K_V1: ImageNet-2012 validation, one crop")


def ten_crop(error1: float, error5: float) -> Accuracy:
    return Accuracy(round(100 - error1, 2), round(100 - error5, 2), "Table 3: ImageNet-2012 validation, ten crops")


def one_crop(top1: float | None, top5: float | None, where: str) -> Accuracy:
    return Accuracy(top1, top5, f"{where}: ImageNet-2012 validation, one crop")


def cifar(error: float, where: str) -> Accuracy:
    return Accuracy(round(100 - error, 2), None, f"{where}: CIFAR-10 test, trained with flips and shifts")


UNKNOWN = Accuracy(None, None, "")
TORCHVISION = "torchvision 0.28"
Row = tuple[str, Volume, int, int, str, Accuracy, str]


def rows(family: str, year: int, paper: str, *lines: Row, classes: int | None = 1000) -> Iterator[Network]:
    """The lines of one paper: name, input, parameters, MACs, who counted them, accuracy, note."""
    for name, volume, parameters, macs, counted, accuracy, note in lines:
        yield Network(name, family, volume, classes, parameters, macs, year, paper, counted, *accuracy, note)


IMAGE, TINY = Volume(3, 224, 224), Volume(3, 32, 32)
