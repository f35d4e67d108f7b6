"""Striate: a ConvNet laboratory. Write a network as the papers do, know what it costs, train it, see inside, transfer
it, ship it.

The public face is loaded on first use; importing striate loads neither torch nor numpy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

FACE = {  # name -> the module that has it
    "zoo": "striate.zoo",
    "ledger": "striate.cost",
    "compare": "striate.cost",
    "build": "striate.nn",
    "load": "striate.nn",
    "save": "striate.nn",
    "train": "striate.training",
    "evaluate": "striate.training",
    "predictor": "striate.training",
    **dict.fromkeys(
        (
            *(
                "Activation",
                "AvgPool",
                "BatchNorm",
                "Concat",
                "Conv",
                "Dag",
                "Dense",
                "Depthwise",
                "DropPath",
                "Dropout",
                "Foreign",
                "FractionalMaxPool",
            ),
            *(
                "Gate",
                "GlobalPool",
                "Graph",
                "GroupNorm",
                "Identity",
                "LayerNorm",
                "Linear",
                "LocalResponseNorm",
                "LocallyConnected",
                "MaxPool",
                "Pool",
            ),
            *(
                "PositionBias",
                "RadialBasis",
                "Refusal",
                "Relu",
                "Residual",
                "Select",
                "Seq",
                "Shared",
                "Shuffle",
                "Tap",
                "Upsample",
                "Volume",
                "draft",
            ),
        ),
        "striate.blueprint",
    ),
}
__all__ = ["FACE", *FACE]


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"module 'striate' has no attribute '{name}'")
    module = import_module(FACE[name])
    value = module if FACE[name] == f"striate.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *FACE])
