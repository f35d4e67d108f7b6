"""Modules that somebody names on a command line: one of torchvision's or timm's, or one in a file of their own.

A user's file is code, and is run because it was named; nothing here is reached from a text that came another way.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from striate.blueprint import CannotRead, NotFound, Refusal, Volume

FORM = re.compile(r"\s*(?P<of>timm|torchvision|.+\.py):(?P<name>[\w./-]+)\s*(?P<said>\(.*\))?\s*", re.DOTALL)
_definitions: list[Any] = []  # libraries of op schemas die with their handle


class Named(NamedTuple):
    """A module, what it is called, and the volume it was made for, where its library says one."""

    name: str
    module: nn.Module
    volume: Volume | None = None


def named(text: str) -> Named:
    """`timm:resnet26d`, `torchvision:regnet_y_400mf(num_classes=10)`, `mymodels.py:Net(depth=3)`; values are literals.

    Raises CannotRead, NotFound, and Refusal where a library is not there or somebody's code fails.
    """
    form = FORM.fullmatch(text)
    if form is None:
        raise CannotRead(
            f'Cannot read "{text}" as a module. It is written file.py:Name, timm:NAME or torchvision:NAME.'
        )
    positional, options = _said(form["said"] or "()", text)
    make = LIBRARIES.get(form["of"])
    if make is None:
        return Named(text.strip(), _from_file(Path(form["of"]), form["name"], positional, options))
    if positional:
        raise CannotRead(f'Cannot read "{text}": its options are said by name, num_classes=10.')
    module, volume = make(form["name"], options)
    return Named(text.strip(), module, volume)


def _said(call: str, text: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        tree = ast.parse(f"f{call}", mode="eval").body
        assert isinstance(tree, ast.Call)
        return [ast.literal_eval(a) for a in tree.args], {
            w.arg or "**": ast.literal_eval(w.value) for w in tree.keywords
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError, AssertionError):
        raise CannotRead(
            f'Cannot read "{text}": what is between the brackets must be numbers, texts and lists.'
        ) from None


# A user's own


def _from_file(path: Path, name: str, positional: list[Any], options: dict[str, Any]) -> nn.Module:
    if not path.is_file():
        raise CannotRead(f"Cannot read {path}: there is no such file.")
    code = _run(path)
    found: Any = code
    for part in name.split("."):
        if not hasattr(found, part):
            ours = (n for n, value in vars(code).items() if getattr(value, "__module__", "") == code.__name__)
            raise NotFound(f"module in {path.name}", name, [n for n in ours if not n.startswith("_")])
        found = getattr(found, part)
    if callable(found) and not isinstance(found, nn.Module):
        found = _theirs(lambda: found(*positional, **options), f"Cannot make {name}", path)
    if not isinstance(found, nn.Module):
        raise Refusal(f"Cannot price {name} of {path}: it is {type(found).__name__}; an nn.Module is wanted.")
    return found


def _run(path: Path) -> ModuleType:
    """The file as a module of its own, its folder where its own imports look first."""
    spec = importlib.util.spec_from_file_location(f"striate_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code  # dataclasses and pickles look their own module up
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        _theirs(partial(spec.loader.exec_module, code), f"Cannot read {path}", path)
    finally:
        sys.path.remove(folder)
    return code


def _theirs(run: Callable[[], Any], fact: str, path: Path) -> Any:
    try:
        return run()
    except Refusal:
        raise
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()]
        where = f" ({path.name}, line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
        line = str(error).splitlines()[0].rstrip(".") if str(error) else "no more is said"
        raise Refusal(f"{fact}: {type(error).__name__}: {line}{where}.") from None


# Libraries


def _torchvision(name: str, options: dict[str, Any]) -> tuple[nn.Module, Volume | None]:
    models = library("torchvision").models
    if name not in models.list_models():
        raise NotFound("network of torchvision", name, models.list_models())
    plainly = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    module = _made(lambda: models.get_model(name, weights=None, **(plainly | options)), name, options)
    transforms = getattr(next(iter(models.get_model_weights(name)), None), "transforms", None)
    crop = getattr(transforms, "keywords", {}).get("crop_size")
    return module, Volume(3, crop, crop) if isinstance(crop, int) else None


def _timm(name: str, options: dict[str, Any]) -> tuple[nn.Module, Volume | None]:
    timm = library("timm")
    if not timm.is_model(name):
        raise NotFound("network of timm", name, timm.list_models())
    module: Any = _made(lambda: timm.create_model(name, pretrained=False, **options), name, options)
    size = getattr(module, "pretrained_cfg", {}).get("input_size")
    return module, Volume(*size) if size and len(size) == 3 else None


LIBRARIES = {"torchvision": _torchvision, "timm": _timm}


def _made(make: Callable[[], nn.Module], name: str, options: dict[str, Any]) -> nn.Module:
    """Without its memory where it can be made so; some compute their widths with tensors."""
    try:
        with torch.device("meta"):
            return make()
    except (NotImplementedError, RuntimeError):
        pass
    except TypeError as error:
        said = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise Refusal(f"Cannot make {name}({said}): {str(error).splitlines()[0]}.") from None
    return make()


def library(name: str) -> Any:
    """The library, imported only now. torchvision's compiled ops may be another torch's, but its networks need none:
    the two names that its Python describes are then given without them.
    """
    if importlib.util.find_spec(name) is None:
        raise Refusal(f"Cannot look into {name}: it is not installed.", ways=f"pip install {name}")
    try:
        if importlib.util.find_spec("torchvision") is not None:
            _torchvision_imported()
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        line = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise Refusal(
            f"Cannot look into {name}: it is installed, but does not import beside torch {torch.__version__} ({line}).",
            ways=f"Install the {name} that was made for this torch.",
        ) from None


def _torchvision_imported() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        schemas = torch.library.Library("torchvision", "FRAGMENT")
        schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _definitions.append(schemas)
        importlib.import_module("torchvision")
