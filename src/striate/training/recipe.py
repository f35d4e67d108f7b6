"""How a network is trained, as data: a frozen value that a run keeps as recipe.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from striate.blueprint import CannotRead, CannotTrain, NotFound

LONGEST = 1 << 20  # bytes of a recipe file
STEPS = 2500  # what small data gets where nobody says how many epochs; large data gets FEWEST epochs
FEWEST, MOST = 10, 40


class Recipe(BaseModel):
    """The defaults are what anybody gets unasked: AdamW on one cycle, no decay on norms and biases."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "default"
    epochs: int | None = Field(default=None, ge=1, le=100_000)  # None: as many as make about 2,500 steps, from 10 to 40
    batch_size: int = Field(default=64, ge=1, le=1 << 20)
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd has Nesterov's momentum
    lr: float = Field(default=3e-3, gt=0, le=1e3)  # the highest on its way
    momentum: float = Field(default=0.9, ge=0, lt=1)  # adamw: beta 1
    weight_decay: float = Field(default=0.05, ge=0, le=10)  # of weights, not of norms and biases
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warm_up: float = Field(default=0.2, ge=0, le=1)  # share of the steps on which the learning rate rises from 0
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    auxiliary: float = Field(
        default=0.3, ge=0, le=1
    )  # weight of the loss at each further way out (Szegedy et al. 2014, section 5)
    shift: int = Field(default=0, ge=0, le=64)  # augmentation: cells that an image is moved by, at most
    flip: bool = False  # augmentation: left and right exchanged
    validation: float = Field(
        default=0.1, ge=0, lt=0.9
    )  # share of the training images held out to choose the best epoch by
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int | None = Field(default=None, ge=1, le=1024)  # of the processor; None: as torch has it
    seed: int = Field(default=0, ge=0, lt=1 << 31)

    def epochs_for(self, examples: int) -> int:
        """How often each of so many training images is seen."""
        return self.epochs or max(FEWEST, min(MOST, round(STEPS * self.batch_size / examples)))


def revised(base: Recipe | None = None, **fields: Any) -> Recipe:
    """A recipe with some fields of another value. Raises NotFound for a field or word that is not there, CannotTrain
    for a number out of range.
    """
    base = base or Recipe()
    for name in fields:
        if name not in Recipe.model_fields:
            raise NotFound("field of a recipe", name, Recipe.model_fields)
    try:
        return Recipe(**{**base.model_dump(), **fields})
    except ValidationError as error:
        raise _refusal(error) from None


def read_recipe(path: str | Path) -> Recipe:
    """A recipe from a file as a run leaves it. Raises CannotRead, NotFound, CannotTrain."""
    import json

    try:
        with open(path, "rb") as file:
            fields = json.loads(file.read(LONGEST))
    except OSError as error:
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None
    except (ValueError, RecursionError):
        raise CannotRead(
            f"Cannot read {path}: it is not JSON.",
            "",
            "A recipe is a table of fields and values; every run's folder has one.",
        ) from None
    if not isinstance(fields, dict):
        raise CannotRead(f"Cannot read {path}: a recipe is a table of fields and values.")
    return revised(**fields)


WANTED = {  # pydantic's name of a complaint, and what we say; {…} is the bound
    "greater_than": "greater than {gt:,.10g}",
    "greater_than_equal": "{ge:,.10g} or more",
    "less_than": "less than {lt:,.10g}",
    "less_than_equal": "{le:,.10g} or less",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def _refusal(error: ValidationError) -> CannotTrain | NotFound:
    """What pydantic has against a value, as a fact with its bounds."""
    first = error.errors()[0]
    field, given = str(first["loc"][0]), first["input"]
    if first["type"] == "literal_error":
        return NotFound(field, str(given), get_args(Recipe.model_fields[field].annotation))
    wanted = WANTED.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return CannotTrain(f"Cannot train with {field}={given!r}: it must be {wanted}.")
