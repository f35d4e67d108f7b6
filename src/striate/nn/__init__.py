"""Blueprints as torch modules: build, run on any size they accept, fold, save, load; anybody's module as a graph."""

from striate.nn.build import Network, as_graph, build, initialise
from striate.nn.files import save
from striate.nn.fold import fold
from striate.nn.fractional import FractionalMaxPool2d
from striate.nn.locally import LocallyConnected1d, LocallyConnected2d
from striate.nn.modules import DropPath, LocalResponseNorm, Pad, PositionBias, RadialBasis, ScaledTanh
from striate.nn.realise import realise
from striate.nn.tracing import Traced, recognise, trace
from striate.nn.weights import load, move, to_names

__all__ = [
    "DropPath",
    "FractionalMaxPool2d",
    "LocalResponseNorm",
    "LocallyConnected1d",
    "LocallyConnected2d",
    "Network",
    "Pad",
    "PositionBias",
    "RadialBasis",
    "ScaledTanh",
    "Traced",
    "as_graph",
    "build",
    "fold",
    "initialise",
    "load",
    "move",
    "realise",
    "recognise",
    "save",
    "to_names",
    "trace",
]
