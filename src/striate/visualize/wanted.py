"""What somebody wants to be shown of a network, as one value, and what they get."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotRead, CannotTrain, NotFound, Refusal, Volume
from striate.data import Images, Splits, Streamed, open_data
from striate.data.preprocessing import Preprocessing
from striate.judging.judged import images_for
from striate.nn.weights.published import IMAGENET_MEAN, IMAGENET_STD
from striate.visualize.attribution import METHODS
from striate.visualize.attribution.asked import ask, asking, numbered
from striate.visualize.images import Seen, rule_of, ruled, seen
from striate.visualize.imagine.objectives import objective
from striate.visualize.similarity import MEASURES
from striate.visualize.units import Unit, channels_first, map_layer, unit
from striate.visualize.watching import known, values

SEED = 0
Tick = Callable[[int], None]
Progress = Callable[[str, int, str], AbstractContextManager[Tick]]  # of what, how many, of which noun


def silent(what: str, total: int, noun: str) -> AbstractContextManager[Tick]:
    return nullcontext(lambda done: None)


def unprepared(volume: Volume) -> Preprocessing:
    """Values of 0..1 as they are: for a network that has not learnt, and so expects nothing."""
    channels, *grid = volume
    return Preprocessing(channels, (grid[0], grid[1]), (grid[0], grid[1]), (0.0,) * channels, (1.0,) * channels)


RULES = {"imagenet": Preprocessing(3, (224, 224), (224, 224), IMAGENET_MEAN, IMAGENET_STD, short=256)}


def read_rule(text: str) -> Preprocessing:
    """How images are prepared, as it is typed: a volume (3x64x64: scaled and cut to that, values of 0..1 as they are),
    `imagenet` (256 and 224 pixels, by its mean and deviation), or a file of JSON with the fields of `Preprocessing`.
    Raises CannotRead.
    """
    if text in RULES:
        return RULES[text]
    if Path(text).suffix != ".json":
        return Preprocessing.from_json(unprepared(Volume.parse(text)).to_json())
    try:
        said = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not JSON"
        raise CannotRead(f"Cannot read {text}: {why.lower() if isinstance(error, OSError) else why}.") from None
    return Preprocessing.from_json(said)


class Data(NamedTuple):
    """A data set as a model reads it; `strange`: why its classes are not the model's, or nothing."""

    name: str
    splits: Splits
    strange: str = ""

    def some(self, most: int) -> Images | Streamed:
        """At most so many of the test images, evenly chosen."""
        return evenly(self.splits.test, most)

    def judged(self, most: int) -> Images | Streamed:
        """The same, with labels that are the model's classes. Raises CannotTrain."""
        if self.strange:
            raise CannotTrain(self.strange)
        return self.some(most)


def evenly(images: Images | Streamed, most: int) -> Images | Streamed:
    if len(images) <= most:
        return images
    return images[torch.linspace(0, len(images) - 1, most).round().long()]


class Other(NamedTuple):
    """Another network, what it goes by, and the `rule` for its images where it does not say it itself."""

    model: nn.Module
    name: str
    rule: Preprocessing | None = None


class Wanted(NamedTuple):
    """A model and the `name` it goes by; what is to be seen in it, of which `image` (a file) or `data`, `along` which
    folder of weights, with `boxes` (a folder or file), beside which `other` network. What is not said is chosen: layer,
    unit (text, as of `unit`), method, measure, target, how many images and points; a surface as a `relief` or from
    above, drawn by how many `threads`; whether a flow is seen after `steps` of training, too. `rule` is how images are
    prepared for a network that does not say it itself, somebody else's nn.Module for one.
    """

    model: nn.Module
    name: str
    image: str = ""
    data: Data | None = None
    unit: str = ""
    layer: str = ""
    method: str = ""
    measure: str = ""
    target: str | int | None = None
    like: str = ""
    along: str = ""
    boxes: str = ""
    other: Other | None = None
    points: int | None = None
    images: int | None = None
    seed: int = SEED
    rule: Preprocessing | None = None
    relief: bool = False
    threads: int = 1
    steps: int | None = None
    folder: Path | None = None  # where what takes long keeps what it has
    progress: Progress = silent

    @property
    def reads(self) -> Preprocessing:
        """How images are prepared for it, as is said here or by the network itself. Raises CannotTrain."""
        return self.rule or rule_of(self.model)

    def ruled(self) -> AbstractContextManager[None]:
        """While it lasts the network itself says the rule."""
        return ruled(self.model, self.rule)

    @property
    def title(self) -> str:
        return f"{self.image}, {self.name}" if self.image else self.name

    def seen(self) -> Seen:
        """The image. Raises CannotRead."""
        return seen(self.model, [self.image], self.rule)

    def some(self, most: int) -> Images | Streamed:
        assert self.data is not None
        return self.data.some(self.images or most)

    def judged(self, most: int) -> Images | Streamed:
        assert self.data is not None
        return self.data.judged(self.images or most)

    def chosen_layer(self, x: Tensor) -> str:
        return self.layer or (self.read_unit().layer if self.unit else map_layer(self.model, x))

    def read_unit(self) -> Unit:
        return unit(self.model, self.unit)

    def checked(self) -> None:
        """Raises NotFound (near names), CannotRead or Refusal for a method, measure, layer, unit or class that there is
        not, whatever is to be shown; where the rule is known, the network is run for that, on noise.
        """
        for kind, name, all_ in (("method", self.method, METHODS), ("measure", self.measure, MEASURES)):
            if name and name not in all_:
                raise NotFound(kind, name, all_)
        if self.layer:
            known(self.model, self.layer)
        units = objective(self.unit, self.model).units(self.model) if self.unit else ()
        target = numbered(self.model, self.target, 1)
        rule = None
        with suppress(CannotTrain):
            rule = self.reads
        if rule and (units or target is not None or self.rule):
            self._tried(rule, units, target)

    def _tried(self, rule: Preprocessing, units: tuple[Unit, ...], target: Tensor | None) -> None:
        noise = torch.rand(1, *rule.volume, generator=torch.Generator().manual_seed(0))
        with asking(self.model, noise) as x, torch.no_grad():
            found = values(self.model, x, {one.layer for one in units})
            if target is not None:
                ask(self.model, x, target)
        for one in units:
            one.of(channels_first(self.model, found[one.layer]))


class View(NamedTuple):
    """What is shown: a PNG, the same as facts for JSON, and said in a line (or a few); `kept`, folders that were for
    going on with it, and are for nothing now.
    """

    png: bytes
    facts: dict[str, Any]
    line: str
    kept: tuple[Path, ...] = ()


def opened(model: nn.Module, source: str, rule: Preprocessing | None = None) -> Data:
    """A data set by the model's own rule, or the one given; where it tells other classes apart, without labels to go
    by. Raises CannotRead, CannotTrain.
    """
    with ruled(model, rule):
        rule = rule_of(model)
        try:
            return Data(source, images_for(model, source))
        except CannotTrain as strange:
            return Data(source, open_data(source, preprocessing=rule), str(Refusal(strange.fact, strange.why)))
