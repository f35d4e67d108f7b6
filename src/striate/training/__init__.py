"""Training as a stream of events, from a recipe that is data; how good the result is, and what it says of an image."""

from striate.judging.judged import images_for
from striate.judging.metrics import Metrics, evaluate
from striate.judging.predict import Prediction, predictor
from striate.judging.views import Views
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
    "Checkpoint",
    "Control",
    "Done",
    "Epoch",
    "Event",
    "Fitted",
    "Flow",
    "Kept",
    "LayerFlow",
    "Metrics",
    "Prediction",
    "Recipe",
    "Resumed",
    "Sanity",
    "Started",
    "Step",
    "Views",
    "Warning",
    "as_line",
    "at_start",
    "evaluate",
    "find_rate",
    "first_flow",
    "fit",
    "images_for",
    "overfit",
    "predictor",
    "read_recipe",
    "resume",
    "resumed",
    "revised",
    "sanity",
    "started",
    "train",
]
