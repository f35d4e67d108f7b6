"""Weights in and out: from anybody's files and names into a network, and back into their names."""

from striate.nn.weights.load import load
from striate.nn.weights.move import Report, move, to_names
from striate.nn.weights.source import Source, open_weights

__all__ = ["Report", "Source", "load", "move", "open_weights", "to_names"]
