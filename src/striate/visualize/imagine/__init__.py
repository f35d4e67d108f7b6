"""Feature visualisation: images made to excite a unit, by gradient ascent (Erhan et al. 2009; Mordvintsev et al. 2015;
Olah et al. 2017, "Feature Visualization", Distill).
"""

from striate.visualize.imagine.ascent import Imagined, imagine, measured
from striate.visualize.imagine.objectives import (
    Objective,
    content,
    direction,
    diversity,
    neuron,
    objective,
    style,
    variation,
)

__all__ = [
    "Imagined",
    "Objective",
    "content",
    "direction",
    "diversity",
    "imagine",
    "measured",
    "neuron",
    "objective",
    "style",
    "variation",
]
