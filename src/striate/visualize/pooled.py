"""What a network's last global pooling reads: a map that may have no layer's name, as where a forward ends in
`F.adaptive_avg_pool2d(F.relu(features), 1)` or a mean over rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

POOLED = "what is pooled"  # in a layer's stead
Change = Callable[[str, Tensor], Tensor]


@contextmanager
def pooling(change: Change) -> Iterator[None]:
    """While it lasts, each global pooling, however it is written, reads what `change` makes of its map N×C×H×W."""
    with _Told(change):
        yield


def pools(model: nn.Module, x: Tensor) -> bool:
    """Whether the network pools maps when it runs on x."""
    found = list[Tensor]()

    def keep(_: str, value: Tensor) -> Tensor:
        found.append(value)
        return value

    with torch.no_grad(), pooling(keep):
        model(x)
    return bool(found)


class _Told(TorchFunctionMode):
    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if args and _whole(getattr(func, "__name__", ""), args, kwargs):
            args = (self.change(POOLED, args[0]), *args[1:])
        return func(*args, **kwargs)


def _whole(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a function of this name takes the mean over all cells of its first argument."""
    value = args[0]
    if name not in SAID or not isinstance(value, Tensor) or value.ndim != 4 or value.shape[2:].numel() == 1:
        return False
    said = args[1] if len(args) > 1 else next((kwargs[key] for key in SAID[name] if key in kwargs), None)
    match (said, said) if isinstance(said, int) else said:
        case [int() as rows, int() as columns]:
            wanted = {"adaptive_avg_pool2d": (1, 1), "avg_pool2d": tuple(value.shape[2:]), "mean": (2, 3)}[name]
            return wanted == (tuple(sorted((rows % 4, columns % 4))) if name == "mean" else (rows, columns))
    return False


SAID = {"adaptive_avg_pool2d": ("output_size",), "avg_pool2d": ("kernel_size",), "mean": ("dim", "axis")}
