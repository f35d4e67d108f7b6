"""Augmentations by name, as a recipe or a command line writes them: `flip, padded-crop(4), erasing(share=0.25)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from striate.blueprint import CannotRead, CannotTrain, NotFound
from striate.data.augment import (
    AlternatingFlip,
    Augmentation,
    Erasing,
    Flip,
    MirroredCrop,
    OutOfRange,
    PaddedCrop,
    ResizedCrop,
    ScaleJitter,
)
from striate.data.colour import ColourJitter, PCAColour
from striate.data.mix import CutMix, Mix, Mixup
from striate.data.trivial import TrivialAugment

AUGMENTATIONS = {
    "flip": Flip,
    "alternating-flip": AlternatingFlip,
    "padded-crop": PaddedCrop,
    "mirrored-crop": MirroredCrop,
    "resized-crop": ResizedCrop,
    "scale-jitter": ScaleJitter,
    "colour-jitter": ColourJitter,
    "pca-colour": PCAColour,
    "trivial-augment": TrivialAugment,
    "erasing": Erasing,
}
MIXES = {"mixup": Mixup, "cutmix": CutMix}
LONGEST = 2000  # characters
PART = re.compile(r"\s*([A-Za-z][\w-]*)\s*(\((?:[^()]|\([^()]*\))*\))?\s*(?:,|$)")


def augmentations(text: str) -> tuple[Augmentation, ...]:
    """The chain that a text names. Raises CannotRead, NotFound (a name, a field), CannotTrain (a value)."""
    chain, at = [], 0
    while at < len(text.rstrip()):
        if len(text) > LONGEST or not (found := PART.match(text, at)):
            raise CannotRead(
                f"Cannot read the augmentation {text[:60]!r} from character {at + 1} on.",
                ways="It is written like this: flip, padded-crop(4), erasing(share=0.25).",
            )
        chain.append(_made(found[1], found[2] or "()"))
        at = found.end()
    return tuple(chain)


def mixing(text: str) -> Mix | None:
    """The mixture that a text names, "mixup(0.2)" or "cutmix"; None where it is empty. Raises as `augmentations`."""
    if not text.strip():
        return None
    found = PART.fullmatch(text) if len(text) <= LONGEST else None
    if not found or text.rstrip().endswith(","):
        raise CannotRead(f"Cannot read the mixture {text[:60]!r}.", ways="It is written like this: mixup(0.2).")
    mix: Mix = _made(found[1], found[2] or "()", MIXES, "mixture")
    return mix


def _made(name: str, arguments: str, table: Mapping[str, Any] = AUGMENTATIONS, what: str = "augmentation") -> Any:
    if name not in table:
        raise NotFound(what, name, table)
    kind = table[name]
    try:
        call = ast.parse(f"f{arguments}", mode="eval").body
        assert isinstance(call, ast.Call)
        given = [ast.literal_eval(value) for value in call.args]
        named = {word.arg or "**": ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CannotRead(f"Cannot read the {what} {name}{arguments}: its numbers are written out.") from None
    known = {field.name: field.default for field in fields(kind)}
    if len(given) > len(known):
        raise CannotTrain(f"Cannot make {name}{arguments}: it takes {', '.join(known) or 'nothing'}.")
    values = {**dict(zip(known, given, strict=False)), **named}
    for field, value in values.items():
        if field not in known:
            raise NotFound(f"field of {name}", field, known)
        _checked(name, field, value, known[field])
    try:
        return kind(**values)
    except OutOfRange as refused:
        raise CannotTrain(f"Cannot make {name}{arguments}: {refused.told}.") from None


def _checked(name: str, field: str, value: Any, default: Any) -> None:
    """Numbers of 0 or more, where the default is one; tuples as long as it is; None: whole ones, two."""
    if value is None is default:
        return
    numbers, like = (v if isinstance(v, tuple) else (v,) for v in (value, (0, 0) if default is None else default))
    whole = isinstance(like[0], int)
    right = all(type(n) is int or (type(n) is float and not whole) for n in numbers)
    if not right or len(numbers) != len(like) or not all(n >= 0 for n in numbers):
        many = "a number" if len(like) == 1 else f"{len(like)} numbers"
        wanted = many.replace("number", "whole number") if whole else many
        raise CannotTrain(f"Cannot make {name} with {field}={value!r}: it is {wanted}, 0 or more.")
