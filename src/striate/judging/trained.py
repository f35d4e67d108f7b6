"""What a trained network says of itself: how images are prepared for it, what it tells apart, its main answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.blueprint import Activation, CannotTrain, Refusal
from striate.data.preprocessing import Preprocessing
from striate.nn.build import Network


def main_way_out(outputs: Any) -> Tensor:
    """What a model answers with; of a dict its "out", of a tuple the first N×classes. Raises Refusal where there is no
    such tensor.
    """
    if isinstance(outputs, Tensor):
        return outputs
    said, found = type(outputs).__name__, None
    if isinstance(outputs, Mapping):
        said, found = f"a dict of {', '.join(map(str, outputs)) or 'nothing'}", outputs.get("out")
    elif isinstance(outputs, tuple | list):
        found = next((part for part in outputs if _by_class(part)), None)
    if not isinstance(found, Tensor):
        raise Refusal(
            f"Cannot ask this network for a class: it answers with {said}.",
            ways='Scores N×classes are wanted, alone, first in a tuple, or as "out" in a dict.',
        )
    return found


def _by_class(part: object) -> bool:
    return isinstance(part, Tensor) and part.ndim > 1 and part.shape[2:].numel() == 1


def like(model: nn.Module, x: Tensor) -> Tensor:
    """A tensor where, and of the type that, a network reads: a weight, else x. Raises Refusal where x is no tensor, or
    the weights are not there.
    """
    if not isinstance(x, Tensor):
        raise Refusal(
            f"Cannot look at a {type(x).__name__}: a tensor N×C×H×W is wanted.",
            ways="torch.from_numpy makes one of an array.",
        )
    found = next((weight for weight in _weights(model) if weight.is_floating_point()), x)
    there(model, [found])
    return found


def _weights(module: nn.Module) -> Iterator[Tensor]:
    """`parameters` one after another: without the names, which take most of its time."""
    for weight in module._parameters.values():
        if weight is not None:
            yield weight
    for part in module._modules.values():
        if part is not None:
            yield from _weights(part)


def there(model: nn.Module, weights: Iterable[Tensor]) -> None:
    """Raises Refusal where one of a model's weights is not there yet."""
    if any(is_lazy(weight) or weight.is_meta for weight in weights):
        raise Refusal(
            f"Cannot run {type(model).__name__}: its weights are not there yet.",
            ways="Run it on an image first, or build it on a device that is not meta.",
        )


def as_read(model: nn.Module, x: Tensor) -> Tensor:
    """x as a network reads it: where its weights are, and of their type. Whole numbers stay such."""
    weight = like(model, x)
    return x.to(weight.device, weight.dtype if x.is_floating_point() else x.dtype)


def answer(model: nn.Module, x: Tensor) -> Tensor:
    """Scores whose soft-max is the model's answer, float32 N×classes; of a network that ends in one, its logarithm."""
    return as_scores(model, main_way_out(model(as_read(model, x))))


def as_scores(model: nn.Module, out: Tensor) -> Tensor:
    """What came out of a model's main way, as `answer` gives it."""
    if out.ndim < 2:
        shape = "×".join(map(str, out.shape)) or "one number"
        raise Refusal(
            f"Cannot ask this network for a class: it answers with a tensor of {shape}.",
            ways="Scores N×classes are wanted.",
        )
    graph = model.graph if isinstance(model, Network) else None  # others have attributes of that name, too
    ends = graph is not None and graph[graph.taps["out"]].op == Activation("softmax")
    return out.float().log() if ends else out.float()


def metadata_of(model: nn.Module) -> Mapping[str, Any]:
    """What the model's file says of it; nothing where a stranger's attribute of that name is something else."""
    said = getattr(model, "metadata", None)
    return said if isinstance(said, Mapping) else {}


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """What the model's file says of its images. Raises CannotTrain where it says nothing."""
    said = metadata_of(model).get("preprocessing")
    if said is None:
        raise CannotTrain(
            "Cannot prepare images for this model: its file does not say how.",
            "",
            "A model that Striate trained says it; or give preprocessing=.",
        )
    return Preprocessing.from_json(said)


def classes_of(model: nn.Module) -> tuple[str, ...]:
    """The names of what the model tells apart, as its file has them. Raises CannotTrain where it has none."""
    if classes := metadata_of(model).get("classes"):
        return tuple(classes)
    raise CannotTrain(
        "Cannot name what this model tells apart: its file has no classes.",
        "",
        "A model that Striate trained has them; or striate.save(model, path, classes=[…]).",
    )
