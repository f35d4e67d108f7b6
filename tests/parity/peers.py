"""Networks that others have too: ours, theirs, the input on which both are run, and whether it takes long."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """`ours` as striate.build takes it; `theirs` with the options it is made with."""

    ours: str
    theirs: str
    volume: str
    options: dict[str, object] = {}  # noqa: RUF012
    slow: bool = False


def same(*names: str, volume: str = "3x64x64", slow: bool = False, **options: object) -> list[Peer]:
    return [Peer(name, name, volume, options, slow) for name in names]


TORCHVISION = [
    *same("alexnet", volume="3x224x224"),
    *same("vgg11", "vgg11_bn", volume="3x32x32"),
    *same("vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg16_bn", "vgg19_bn", volume="3x32x32", slow=True),
    *same("googlenet", aux_logits=False, init_weights=False),
    *[Peer("googlenet(aux=True)", "googlenet", "3x64x64", {"init_weights": False})],
    *same("resnet18", "resnet34", "resnet50"),
    *same("resnet101", "resnet152", slow=True),
]
