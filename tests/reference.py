"""Peers that our numbers are held against."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_MISSING = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def _definitions(ops: str) -> object:
    """The schemas that torchvision describes at import, where its compiled ops do not load beside this torch.

    Its wheel is compiled against one build of torch (the CUDA one); beside another its Python, hence every
    network, works all the same once the names exist. The handle is kept: a library dies with it.
    """
    import torch

    try:
        torch.ops.load_library(ops)
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        library.define(_MISSING)
        library.define("q" + _MISSING)
        return library
    return None


@functools.cache
def torchvision() -> ModuleType:
    """torchvision itself, for its networks and transforms; skips the test, with the reason, where it cannot be."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision is not installed")
    _definitions(str(Path(spec.origin).with_name("_C.so")))
    try:
        return importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not import beside this torch: {error}")
