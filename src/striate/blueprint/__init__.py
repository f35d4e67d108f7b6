"""What a network is: a tree to write (layers and wiring), a graph to read (drafted on a volume). No torch here, no numpy."""

from striate.blueprint.graph import Graph, Node, Pen, draft, sizes
from striate.blueprint.layer import Layer, Placed
from striate.blueprint.layers import (
    ACTIVATIONS,
    LAYERS,
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Depthwise,
    Dropout,
    DropPath,
    Foreign,
    FractionalMaxPool,
    GlobalPool,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocallyConnected,
    LocalResponseNorm,
    MaxPool,
    Pool,
    PositionBias,
    RadialBasis,
    Relu,
    Select,
    Shuffle,
    Upsample,
)
from striate.blueprint.parts import basic_block, bottleneck, conv_norm_act, squeeze_excite
from striate.blueprint.passes import cut, fold_norms, replace_head, replay, without_softmax
from striate.blueprint.refusal import (
    CannotBuild,
    CannotJoin,
    CannotLoad,
    CannotMake,
    CannotPlace,
    CannotRead,
    CannotTrain,
    CannotWrite,
    NotFound,
    Refusal,
)
from striate.blueprint.serial import from_json, graph_from_json, graph_to_json, to_json
from striate.blueprint.volume import Volume
from striate.blueprint.window import FITS, Field, Interval, Stretch, Window
from striate.blueprint.wiring import WIRINGS, Blueprint, Concat, Dag, Dense, Gate, Residual, Seq, Shared, Tap, Wiring

__all__ = [name for name in dir() if not name.startswith("_")]
