"""The loss around a network's weights: along a line, over a plane, along a training; how sharp its minimum is."""

from striate.visualize.surface.directions import between, normalised, random_direction, random_directions
from striate.visualize.surface.drawn import compared_picture, contour_picture, line_picture, relief_picture
from striate.visualize.surface.grid import Surface, line, surface
from striate.visualize.surface.objective import Objective, cross_entropy, loss_at, objective
from striate.visualize.surface.sharpness import Curvature, Sharpness, curvature, sharpness, sharpness_picture
from striate.visualize.surface.trajectory import Trajectory, trajectory
from striate.visualize.surface.way import Stop, along

__all__ = [
    "Curvature",
    "Objective",
    "Sharpness",
    "Stop",
    "Surface",
    "Trajectory",
    "along",
    "between",
    "compared_picture",
    "contour_picture",
    "cross_entropy",
    "curvature",
    "line",
    "line_picture",
    "loss_at",
    "normalised",
    "objective",
    "random_direction",
    "random_directions",
    "relief_picture",
    "sharpness",
    "sharpness_picture",
    "surface",
    "trajectory",
]
