"""Blueprints as torch modules: build, run on any size they accept, fold, save, load."""

from striate.nn.build import Network, as_graph, build, initialise
from striate.nn.files import load, save
from striate.nn.fold import fold
from striate.nn.realise import realise

__all__ = ["Network", "as_graph", "build", "fold", "initialise", "load", "realise", "save"]
