"""How a network is trained, as data: a frozen value that a run keeps as recipe.json. Famous ones: `recipes`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from striate.blueprint import CannotRead, CannotTrain, NotFound, Refusal

KEPT, LONGEST = "recipe.json", 1 << 20  # where a run has it; bytes of such a file
STEPS = 2500  # what small data gets where nobody says how many epochs; large data gets FEWEST epochs
FEWEST, MOST = 10, 40
INITIALISE = ("torch", "he", "xavier", "lecun", "identity", "gaussian(0.01)")
MANY: dict[str, Any] = {"max_length": 1000}
GAUSSIAN = re.compile(r"gaussian\((\d*\.?\d+(?:e-?\d+)?)\)")
TIMES = re.compile(r"\d{0,9}\.?\d{1,9}(?:e-?\d)?")  # a factor of the learning rate

Share = Annotated[float, Field(ge=0, le=1)]
Less = Annotated[float, Field(ge=0, lt=1)]
Fall = Annotated[float, Field(gt=0, le=1)]
Falls = Annotated[tuple[Fall, ...], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def field(default: Any, told: str, **bounds: Any) -> Any:
    """A field, what it is, and its bounds."""
    return Field(default=default, description=told, **bounds)


class Recipe(BaseModel):
    """The defaults are what anybody gets unasked: AdamW on one cycle, no decay of norms and biases."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = field("default", "what it is called", max_length=200)
    paper: str = field("", "where it is from", max_length=1000)

    epochs: int | None = field(
        None, "how often each image is seen; none: about 2,500 steps, 10 to 40 epochs", ge=1, le=100_000
    )
    batch_size: int = field(64, "how many images a gradient is of", ge=1, le=1 << 20)
    accumulate: int = field(1, "how many gradients are added before a step", ge=1, le=1 << 16)

    optimizer: Literal["adamw", "sgd", "rmsprop", "muon"] = field(
        "adamw", "muon: matrices as Muon has them, the rest AdamW"
    )
    lr: float = field(3e-3, "the learning rate, at its highest", gt=0, le=1e3)
    momentum: float = field(0.9, "adamw: beta 1", ge=0, lt=1)
    nesterov: bool = field(True, "whether momentum looks ahead (sgd, muon)")
    second: float = field(
        0.999, "how long squares are remembered (adamw, muon: beta 2; rmsprop: its decay)", ge=0, lt=1
    )
    eps: float = field(1e-8, "added to the root of the squares (adamw, muon, rmsprop)", gt=0, le=10)
    weight_decay: float = field(
        0.05, "adamw, muon: of the weights themselves; sgd, rmsprop: L2, by the gradient", ge=0, le=10
    )
    decay_all: bool = field(False, "whether norms and biases decay too")
    rates: tuple[Name, ...] = field(
        (), 'such as "*.bias=0.1", "fc.*=2": times lr, the first that fits; 0: stays', **MANY
    )
    quintics: int = field(5, "muon: how often a matrix is brought nearer to an orthogonal one", ge=1, le=100)
    unit: bool = field(False, "muon: whether matrices keep the length sqrt(rows), and move by lr of it")

    schedule: Literal["one-cycle", "cosine", "constant", "step", "exponential", "plateau"] = field(
        "one-cycle", "how the learning rate falls"
    )
    warm_up: Share = field(0.2, "share of the steps on which it rises from 0")
    milestones: tuple[Share, ...] = field((), "step: the shares of the steps after which it falls", **MANY)
    factor: Fall | Falls = field(0.1, "what is left at each fall; several: one for each milestone")
    every: float = field(1.0, "exponential: epochs between falls", gt=0, le=100_000)
    patience: int = field(5, "plateau: epochs in a row that may be no better", ge=0, le=100_000)

    label_smoothing: Less = field(0.0, "share of each target that all classes share")
    class_weights: Literal["none", "balanced"] = field("none", "balanced: rare classes count more")
    auxiliary: Share = field(0.3, "weight of the loss at each further way out")  # Szegedy et al. 2014, section 5
    dropout: Less | None = field(None, "in place of every dropout's own share; none: as the network has it")
    drop_path: Less | None = field(None, "in place of the deepest branch's own share, the others in proportion")
    augment: str = field("", 'such as "padded-crop(4), flip"', max_length=2000)
    mix: str = field("", '"mixup(0.2)" or "cutmix(1.0)"', max_length=200)

    ema: Less | Literal["polyak"] | None = field(
        None, "decay of the average of the weights that is judged and kept; polyak: the mean of all"
    )
    clip: float | None = field(None, "the longest gradient, all weights together", gt=0, le=1e6)
    freeze: tuple[Name, ...] = field((), "parts that stay as they are, statistics too", **MANY)
    initialise: str = field(
        "torch", "he, xavier, lecun, identity, gaussian(0.01); torch: as torch has it", max_length=50
    )
    ones: tuple[Name, ...] = field((), "parts whose biases start at 1", **MANY)
    whiten: str = field("", "the first convolution, whose filters then whiten patches of the images", max_length=200)

    validation: float = field(0.1, "share of the training images held out to choose the best epoch by", ge=0, lt=0.9)
    sync_norm: bool = field(False, "whether norms see the batch of all processes")
    precision: Literal["auto", "float32", "bfloat16"] = field("auto", "of products")
    step: Literal["auto", "plain", "captured", "compiled"] = field(
        "auto", "on a GPU: captured, repeated as one CUDA graph; compiled, its kernels, too"
    )
    threads: int | None = field(None, "of the processor; none: as torch has it", ge=1, le=1024)
    seed: int = field(0, "the same one gives the same weights", ge=0, lt=1 << 31)

    @field_validator("*", mode="before")
    @classmethod
    def _written(cls, value: Any, info: Any) -> Any:
        """As a command line says it: `none`, and several with commas."""
        field = cls.model_fields[info.field_name]
        kinds = _kinds(field.annotation)
        if isinstance(value, bool) and bool not in kinds:
            value = str(value).lower()  # and no 1
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None if type(None) in kinds else field.default if field.default in ("", ()) else value
        if isinstance(value, str) and tuple in kinds and ("," in value or float not in kinds):
            return tuple(part for piece in value.strip("()[]").split(",") if (part := piece.strip(" \"'")))
        return (value,) if isinstance(value, int | float) and info.field_name == "milestones" else value

    @field_validator("augment", "mix")
    @classmethod
    def _read(cls, text: str, info: Any) -> str:
        from striate.data.names import augmentations, mixing

        (mixing if info.field_name == "mix" else augmentations)(text)
        return text

    @field_validator("initialise")
    @classmethod
    def _drawn(cls, word: str) -> str:
        if word not in INITIALISE and not (GAUSSIAN.fullmatch(word) and float(word[9:-1]) > 0):
            raise NotFound("initialisation", word, INITIALISE)
        return word

    @field_validator("rates")
    @classmethod
    def _scaled(cls, rates: tuple[str, ...]) -> tuple[str, ...]:
        for rate in rates:
            name, _, times = rate.rpartition("=")
            if not name or not TIMES.fullmatch(times):
                raise CannotTrain(f"Cannot train with rates={rate!r}.", ways='It is written like this: "*.bias=0.1".')
        return rates

    @model_validator(mode="after")
    def _agrees(self) -> Recipe:
        """What fields say of each other."""
        falls, marks = self.factor, self.milestones
        if list(marks) != sorted(set(marks)):
            raise CannotTrain(f"Cannot train with milestones={list(marks)}: each is later than the one before.")
        if self.schedule == "step" and not marks:
            raise CannotTrain(
                "Cannot train on the schedule step: it has no milestones.", ways="For instance milestones=[0.5,0.75]."
            )
        wanted = {"step": len(marks), "exponential": 1, "plateau": 1}.get(self.schedule)
        if isinstance(falls, tuple) and wanted not in (None, len(falls)):
            fact = f"Cannot train with factor={list(falls)}: {self.schedule} wants {wanted}, one for each fall."
            raise CannotTrain(fact, ways="A single number serves all: factor=0.1.")
        return self

    def rate_of(self, parameter: str) -> float:
        """By what the learning rate of the parameter of that name is multiplied."""
        pairs = (rate.rpartition("=") for rate in self.rates)
        return next((float(times) for name, _, times in pairs if fnmatchcase(parameter, name)), 1.0)

    def epochs_for(self, examples: int) -> int:
        """How often each of so many training images is seen."""
        return self.epochs or max(FEWEST, min(MOST, round(STEPS * self.batch_size * self.accumulate / examples)))


def revised(base: Recipe | None = None, **fields: Any) -> Recipe:
    """A recipe with some fields of another value. Raises NotFound for a field or word that is not there, CannotTrain
    for a number out of range or fields that disagree, CannotRead for an augmentation that cannot be read.
    """
    base = base or Recipe()
    for name in fields:
        if name not in Recipe.model_fields:
            raise NotFound("field of a recipe", name, Recipe.model_fields, see="striate recipe default")
    try:
        return Recipe(**{**base.model_dump(), **fields})
    except ValidationError as error:
        raise _refusal(error) from None


def read_recipe(source: str | Path) -> Recipe:
    """A recipe by its name, or from a file as a run leaves it, or from that run's folder. Raises CannotRead, NotFound,
    CannotTrain.
    """
    import json

    from striate.training.recipes import RECIPES

    if str(source) in RECIPES:
        return RECIPES[str(source)]
    path = Path(source)
    if not path.exists() and path.name == str(source) and not path.suffix:
        raise NotFound("recipe", str(source), RECIPES, see="striate recipe")
    file, ways = path / KEPT if path.is_dir() else path, "A run's folder has one; those with a name: striate recipe."
    try:
        with file.open("rb") as opened:
            fields = json.loads(opened.read(LONGEST))
    except OSError as error:
        raise CannotRead(f"Cannot read {file}: {(error.strerror or str(error)).lower()}.", ways=ways) from None
    except (ValueError, RecursionError):
        raise CannotRead(f"Cannot read {file}: it is not JSON.", ways=ways) from None
    if not isinstance(fields, dict):
        raise CannotRead(f"Cannot read {file}: a recipe is a table of fields and values.", ways=ways)
    try:
        return revised(**fields)
    except Refusal as refusal:
        refusal.written = f"So it stands in {file}."
        raise


BOUNDS = {"gt": "above {:,.10g}", "ge": "from {:,.10g}", "lt": "below {:,.10g}", "le": "to {:,.10g}"}
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
    "string_type": "a text",
    "string_too_long": "a text of at most {max_length:,} characters",
    "string_too_short": "a name",
    "tuple_type": "a list",
    "too_long": "a list of at most {max_length:,}",
}


def _refusal(error: ValidationError) -> Refusal:
    """What pydantic has against a value, as a fact with its bounds."""
    first, *others = error.errors()
    ours = first.get("ctx", {}).get("error")
    if isinstance(ours, Refusal):
        return ours
    field, given = str(first["loc"][0]), first["input"]
    words = next((e for e in (first, *others) if e["type"] == "literal_error" and e["loc"][0] == field), None)
    if words and (words is first or isinstance(given, str)):
        return NotFound(field, str(given), _words(Recipe.model_fields[field].annotation))
    wanted = WANTED.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return CannotTrain(f"Cannot train with {field}={given!r}: it must be {wanted}.")


def allowed(name: str) -> str:
    """What a field of that name may be: its words, and the bounds of a number."""
    field, limits = Recipe.model_fields[name], dict[str, str]()
    for bound in (*field.metadata, *_limits(field.annotation)):
        limits |= {key: told.format(getattr(bound, key)) for key, told in BOUNDS.items() if hasattr(bound, key)}
    return ", ".join(filter(None, (" ".join(limits.values()), *_words(field.annotation))))


def _limits(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield from getattr(part, "metadata", ()) or _limits(part)


def _words(annotation: Any) -> list[str]:
    """The words that an annotation allows."""
    inside = get_args(annotation)
    return [word for part in inside for word in ([part] if isinstance(part, str) else _words(part))]


def _kinds(annotation: Any) -> set[type]:
    """The types that an annotation allows: float and tuple of `Fall | tuple[Fall, ...]`."""
    match get_origin(annotation), get_args(annotation):
        case None, _:
            return {annotation}
        case origin, (first, *_) if origin is Annotated:
            return _kinds(first)
        case origin, inside if origin in (Union, UnionType):
            return set().union(*map(_kinds, inside))
        case origin, _:
            return {origin}
