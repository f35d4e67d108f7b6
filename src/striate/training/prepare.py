"""A network made ready for a recipe: how its weights are drawn, what its dropout is, what of it stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from striate.blueprint import CannotTrain, NotFound
from striate.nn.modules import DropPath
from striate.training.recipe import GAUSSIAN, Recipe

SOURCES = ("started_from", "weights", "provenance")  # in a network's metadata: its weights come from somewhere


def prepared(model: nn.Module, recipe: Recipe) -> None:
    """Dropout and drop path as the recipe has them, and the weights drawn anew as it says, by its seed alone; but for a
    network whose `metadata` says that its weights come from somewhere. Doing it again changes nothing.

    Raises NotFound for a part of `ones` that the network does not have.
    """
    _dropped(model, recipe)
    if recipe.initialise != "torch" and drawn_here(model):
        initialised(model, recipe.initialise, recipe.ones, recipe.seed)


def drawn_here(model: nn.Module) -> bool:
    """Whether its weights come from nowhere else."""
    metadata = getattr(model, "metadata", {})
    return not any(metadata.get(source) for source in SOURCES)


@torch.no_grad()
def initialised(model: nn.Module, word: str, ones: Sequence[str] = (), seed: int = 0) -> None:
    """Weights of two dimensions or more drawn anew, biases 0 (1 in the parts `ones`); norms stay.

    "he": normal, deviation sqrt(2 / inputs) (He et al. 2015, arXiv 1502.01852, equation 10); "xavier": uniform to
    sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010, equation 16); "lecun": uniform to 2.4 / inputs (LeCun et al.
    1998, appendix A); "identity": uniform to 1/sqrt(inputs), but that a convolution's first filters pass its channels
    on (Jordan 2024, arXiv 2404.00498, section 3.3), linear layers normal, deviation 1/inputs; "gaussian(d)": normal,
    deviation d. Raises NotFound.
    """
    parts(model, ones, "ones")
    chance = torch.Generator().manual_seed(seed)
    norms = {
        name for name, module in model.named_modules() if isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm)
    }
    for name, parameter in model.named_parameters():
        layer, _, leaf = name.rpartition(".")
        if layer in norms:
            continue
        if leaf == "bias":
            parameter.fill_(1.0 if _under(name, ones) else 0.0)
        elif parameter.ndim >= 2:
            parameter.copy_(_drawn(parameter, word, model.get_submodule(layer), chance))


def _drawn(weight: Tensor, word: str, layer: nn.Module, chance: torch.Generator) -> Tensor:
    (inputs, outputs), drawn = _fans(weight, layer), torch.empty(weight.shape)
    if found := GAUSSIAN.fullmatch(word):
        return drawn.normal_(0.0, float(found[1]), generator=chance)
    if word == "he":
        return drawn.normal_(0.0, sqrt(2 / inputs), generator=chance)
    if word == "identity" and weight.ndim == 2:
        return drawn.normal_(0.0, 1 / inputs, generator=chance)
    if word == "identity":
        drawn.uniform_(-1 / sqrt(inputs), 1 / sqrt(inputs), generator=chance)
        passes = type(layer) is nn.Conv2d and layer.groups == 1
        return _passed_on(drawn) if passes and all(side % 2 for side in weight.shape[2:]) else drawn
    bound = sqrt(6 / (inputs + outputs)) if word == "xavier" else 2.4 / inputs
    return drawn.uniform_(-bound, bound, generator=chance)


def _passed_on(filters: Tensor) -> Tensor:
    """The first of them give each channel as it is."""
    nn.init.dirac_(filters[: filters.shape[1]])
    return filters


def _fans(weight: Tensor, layer: nn.Module) -> tuple[int, int]:
    """How many inputs a value is made of, and how many values an input goes into; locally connected, at each place."""
    out, into, *window = weight.shape[-4:]
    first, second = out * prod(window) // getattr(layer, "groups", 1), into * prod(window)
    return (first, second) if getattr(layer, "transposed", False) else (second, first)


def _dropped(model: nn.Module, recipe: Recipe) -> None:
    modules = list(model.modules())
    if recipe.dropout is not None:
        for module in modules:
            if isinstance(module, _DropoutNd):
                module.p = recipe.dropout
    if recipe.drop_path is not None:
        paths = [module for module in modules if isinstance(module, DropPath)]
        highest = max((path.p for path in paths), default=0.0)
        for path in paths:
            path.p = recipe.drop_path * path.p / highest if highest else recipe.drop_path


def frozen(model: nn.Module, recipe: Recipe) -> None:
    """The recipe's frozen parts stay as they are: no gradient, and norms that use the statistics they have, whatever
    `model.train()` says; and parameters whose rate is 0 do. Raises NotFound for a part that the network does not have,
    CannotTrain for a rate of none of its parameters, or where nothing is left to learn.
    """
    names = [name for name, _ in model.named_parameters()]
    for rate in recipe.rates:
        pattern = rate.rpartition("=")[0]
        if not any(fnmatchcase(name, pattern) for name in names):
            near = ", ".join(names[:3])
            raise CannotTrain(
                f'Cannot train with the rate "{rate}": no parameter has such a name.',
                ways=f"They are {near}, …; or none: --set rates=none.",
            )
    for name, parameter in model.named_parameters() if recipe.rates else ():
        parameter.requires_grad_(recipe.rate_of(name) > 0)
    for module in parts(model, recipe.freeze, "freeze"):
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        for norm in module.modules():
            if isinstance(norm, _BatchNorm) and _still not in norm._forward_pre_hooks.values():
                norm.register_forward_pre_hook(_still)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        held = [f"{name}={','.join(getattr(recipe, name))}" for name in ("freeze", "rates") if getattr(recipe, name)]
        raise CannotTrain(
            f"Cannot train this network: of its {len(names)} tensors of weights none is left to learn.",
            f"The recipe says {' and '.join(held)}." if held else "",
            "Leave a part out of them; with none of them all is learnt: --set freeze=none --set rates=none."
            if held
            else "A layer with weights, such as a Linear at its end, can learn.",
        )


def _still(norm: nn.Module, _: Any) -> None:
    norm.training = False


def parts(model: nn.Module, names: Sequence[str], field: str = "") -> list[nn.Module]:
    """The modules of these names, which the recipe has in `field`, if there. Raises NotFound."""
    known = dict(model.named_modules())
    for name in names:
        if not name or name not in known:
            near = [part for part in known if part and part.count(".") <= name.count(".")]
            refusal = NotFound("part of the network", name, near)
            if field:
                refusal.why = f"The recipe names it: {field}={','.join(names)}."
                refusal.ways = f"Name this network's own, or none: --set {field}=none."
            raise refusal
    return [known[name] for name in names]


def _under(name: str, parts: Sequence[str]) -> bool:
    return any(name.startswith(f"{part}.") for part in parts)
