"""The networks of the literature, as published, each by its name.

    striate.zoo.resnet50(classes=10)                -> a blueprint
    striate.zoo.find("resnet50")                    -> its line of the table NETWORKS
    striate.zoo.call("googlenet(aux=True)")         -> both, from text

A family is a file of `striate.zoo.families`, imported when one of its networks is asked for. (A package of their own:
a module striate.zoo.alexnet would stand where the function of that name belongs.)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

from striate.blueprint.refusal import CannotMake, CannotRead, NotFound
from striate.zoo import since_2016, until_2015
from striate.zoo.network import Network

if TYPE_CHECKING:
    from striate.blueprint.wiring import Blueprint

__all__ = ["NETWORKS", "Network", "call", "find", "match", "options"]

NETWORKS: dict[str, Network] = {network.name: network for network in (*until_2015.NETWORKS, *since_2016.NETWORKS)}
LONGEST = 400  # characters of a call; "efficientnet_b7(classes=1000)" has 29


def find(name: str) -> Network:
    """The network of that name. Raises NotFound with the near ones."""
    if name not in NETWORKS:
        raise NotFound("network", name, NETWORKS, see="striate models")
    return NETWORKS[name]


def match(patterns: Iterable[str]) -> list[Network]:
    """The networks that any of the shell-like patterns names ("*res*"), in the table's order. Raises NotFound for one
    that names none.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in NETWORKS):
            find(pattern)
    return [network for name, network in NETWORKS.items() if any(fnmatchcase(name, pattern) for pattern in patterns)]


def options(name: str) -> dict[str, Any]:
    """What the network can be called with, and the defaults: {"classes": 1000, "aux": False}."""
    classes = find(name).classes
    others = [option for option in signature(_family(name)).parameters.values() if option.default is not option.empty]
    return ({"classes": classes} if classes else {}) | {option.name: option.default for option in others}


def call(text: str) -> tuple[Network, Blueprint]:
    """`googlenet` or `googlenet(aux=True, classes=10)` -> its line and its blueprint. Values are literals; nothing is
    run.

    Raises NotFound for a network or option that is not there, CannotRead for anything but such a call, CannotMake.
    """
    name, said = _read(text)
    network = find(name)
    there = options(name)
    _known(name, said)
    for option, value in said.items():
        if type(value) is not type(there[option]) and not (isinstance(there[option], float) and type(value) is int):
            raise CannotMake(f"Cannot make {name}: {option} is {value!r}; it must be like {there[option]!r}.")
    return network, _family(name)(name, **there | said)


def _known(name: str, said: Iterable[str]) -> None:
    there = options(name)
    for option in said:
        if option not in there:
            raise NotFound(f"option of {name}", option, there)


def _make(name: str, /, *places: object, **said: Any) -> Blueprint:
    """What `striate.zoo.NAME(**options)` calls."""
    if places:
        raise CannotMake(
            f"Cannot make {name}: it is given {places[0]!r} without a name.",
            ways=f"Its options are said by name: {', '.join(options(name)) or 'it has none'}.",
        )
    _known(name, said)
    return _family(name)(name, **options(name) | said)


def _read(text: str) -> tuple[str, dict[str, Any]]:
    shown = text if len(text) < 60 else f"{text[:57]}…"
    wanted = CannotRead(
        f'Cannot read "{shown}" as a network. It is written resnet50 or googlenet(aux=True, classes=10).'
    )
    if len(text) > LONGEST:
        raise wanted
    if text.count("(") > text.count(")"):
        raise CannotRead(f'Cannot read "{shown}" as a network: its bracket is not closed.', ways=f"Written: {shown})")
    if "(" not in text:
        return text.strip(), {}
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args):
            raise wanted
        return tree.func.id, {word.arg or "**": ast.literal_eval(word.value) for word in tree.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wanted from None


def _family(name: str) -> Callable[..., Blueprint]:
    family = find(name).family
    draw: Callable[..., Blueprint] = getattr(import_module(f"striate.zoo.families.{family}"), family)
    return draw


class NoNetwork(NotFound, AttributeError):
    """A misspelt `striate.zoo.NAME`: refused with the near names, and still what `hasattr` and `import` expect of a
    module.
    """


def __getattr__(name: str) -> Callable[..., Blueprint]:
    if name not in NETWORKS:
        raise NoNetwork("network", name, NETWORKS, see="striate models")
    make = partial(_make, name)
    there = [Parameter(option, Parameter.KEYWORD_ONLY, default=value) for option, value in options(name).items()]
    make.__signature__ = Signature(there)  # type: ignore[attr-defined]  # for help() and whoever completes a call
    return make


def __dir__() -> list[str]:
    return sorted([*__all__, *NETWORKS])
