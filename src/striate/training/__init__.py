"""Training as a stream of events, from a recipe that is data; gone on with where it was cut off."""

from striate.training.batch import Batch, find_batch
from striate.training.events import (
    Checkpoint,
    Control,
    Done,
    Epoch,
    Event,
    Flow,
    Kept,
    LayerFlow,
    Started,
    Step,
    Warning,
    as_line,
)
from striate.training.fit import Fitted, fit, started
from striate.training.loop import train
from striate.training.recipe import Recipe, read_recipe, revised
from striate.training.recipes import RECIPES
from striate.training.resuming import Resumed, resume, resumed
from striate.training.sanity import Sanity, at_start, find_rate, first_flow, overfit, sanity

__all__ = [
    "RECIPES",
    "Batch",
    "Checkpoint",
    "Control",
    "Done",
    "Epoch",
    "Event",
    "Fitted",
    "Flow",
    "Kept",
    "LayerFlow",
    "Recipe",
    "Resumed",
    "Sanity",
    "Started",
    "Step",
    "Warning",
    "as_line",
    "at_start",
    "find_batch",
    "find_rate",
    "first_flow",
    "fit",
    "overfit",
    "read_recipe",
    "resume",
    "resumed",
    "revised",
    "sanity",
    "started",
    "train",
]
