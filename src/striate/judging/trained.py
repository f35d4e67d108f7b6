"""What a trained network says of itself: how images are prepared for it, what it tells apart, its main answer."""

from __future__ import annotations

from torch import Tensor, nn

from striate.blueprint import Activation, CannotTrain
from striate.data.preprocessing import Preprocessing


def main_way_out(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    return outputs["out"] if isinstance(outputs, dict) else outputs


def answer(model: nn.Module, x: Tensor) -> Tensor:
    """Scores whose soft-max is the model's answer, float32 N×classes; of a network that ends in one, its logarithm."""
    return as_scores(model, main_way_out(model(x)))


def as_scores(model: nn.Module, out: Tensor) -> Tensor:
    """What came out of a model's main way, as `answer` gives it."""
    out, graph = out.float(), getattr(model, "graph", None)
    ends = graph is not None and graph[graph.taps["out"]].op == Activation("softmax")
    return out.log() if ends else out


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """What the model's file says of its images. Raises CannotTrain where it says nothing."""
    said = getattr(model, "metadata", {}).get("preprocessing")
    if said is None:
        raise CannotTrain(
            "Cannot prepare images for this model: its file does not say how.",
            "",
            "A model that Striate trained says it; or give preprocessing=.",
        )
    return Preprocessing.from_json(said)


def classes_of(model: nn.Module) -> tuple[str, ...]:
    """The names of what the model tells apart, as its file has them. Raises CannotTrain where it has none."""
    if classes := getattr(model, "metadata", {}).get("classes"):
        return tuple(classes)
    raise CannotTrain(
        "Cannot name what this model tells apart: its file has no classes.",
        "",
        "A model that Striate trained has them; or striate.save(model, path, classes=[…]).",
    )
