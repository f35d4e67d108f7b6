"""Striate: a ConvNet laboratory. Write a network as the papers do, know what it costs, train it, see inside, ship it.

The public face is loaded on first use: importing striate loads neither torch nor numpy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

FACE = {  # name -> the module that has it; every other public name is the blueprint room's
    "zoo": "striate.zoo",
    "ledger": "striate.cost",
    "compare": "striate.cost",
    "build": "striate.nn",
    "load": "striate.nn",
    "save": "striate.nn",
    "trace": "striate.nn",
    "train": "striate.training",
    "resume": "striate.training",
    "evaluate": "striate.judging",
    "predictor": "striate.judging",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'striate' has no attribute '{name}'")
    module = import_module(FACE.get(name, "striate.blueprint"))
    value = module if module.__name__ == f"striate.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *FACE, *import_module("striate.blueprint").__all__})
