"""Augmentations by name, as a recipe or a command line writes them: `flip, padded-crop(4), erasing(share=0.25)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from striate.blueprint import CannotRead, CannotTrain, NotFound
from striate.data.augment import (
    AlternatingFlip,
    Augmentation,
    Erasing,
    Flip,
    MirroredCrop,
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
    if not 0 < mix.alpha <= 1:  # type: ignore[attr-defined]
        raise CannotTrain(f"Cannot make {text.strip()}: alpha is greater than 0 and 1 or less.")
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
        raise CannotTrain(f"Cannot make {name}{arguments}: it takes {', '.join(known)}.")
    values = {**dict(zip(known, given, strict=False)), **named}
    for field, value in values.items():
        if field not in known:
            raise NotFound(f"field of {name}", field, known)
        _checked(name, field, value, known[field])
    return kind(**values)


def _checked(name: str, field: str, value: Any, default: Any) -> None:
    """Numbers of 0 or more, where the default is one; tuples as long as it is."""
    numbers, like = (v if isinstance(v, tuple) else (v,) for v in (value, default))
    whole = isinstance(like[0], int) and default is not MISSING
    right = all(type(n) is int or (type(n) is float and not whole) for n in numbers)
    if (default is not None and (not right or len(numbers) != len(like))) or not all(n >= 0 for n in numbers if right):
        wanted = "a whole number" if whole else f"{len(like)} numbers" if len(like) > 1 else "a number"
        raise CannotTrain(f"Cannot make {name} with {field}={value!r}: it is {wanted}, 0 or more.")
