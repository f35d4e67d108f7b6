"""A pickle read as data and never run: tables of bytes, whole numbers, lists and arrays of bytes, and nothing else.

`pickle.load` calls whatever a file names. Here the opcodes are walked (pickletools.genops) by an allow-list: a name can
only be one of the four by which numpy writes an array, and it stays a word; nothing is imported and nothing is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from striate.blueprint import CannotRead

LARGEST = 1 << 28  # bytes of one file; CIFAR-100's larger has 155 million
NAMES = {
    "numpy.core.multiarray _reconstruct": "new",
    "numpy._core.multiarray _reconstruct": "new",
    "numpy ndarray": "array",
    "numpy dtype": "dtype",
}
VALUES = frozenset(  # opcodes that put their argument on the stack
    (
        *("INT", "BININT", "BININT1", "BININT2", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINUNICODE", "SHORT_BINUNICODE"),
    )
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
PASSED = frozenset(("PROTO", "FRAME"))
MARK = object()


class Word(str):
    """A name that a pickle mentions: no text of its own could be mistaken for it."""


def read(path: Path) -> Any:
    """What the pickle holds: dict, list, tuple, bytes, int, None, and uint8 arrays. Raises CannotRead."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise CannotRead(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None
    if len(content) > LARGEST:
        raise CannotRead(f"Cannot read {path}: more than {LARGEST:,} bytes.")
    machine, position = _Machine(), 0
    try:
        for opcode, argument, at in pickletools.genops(content):
            position = at or 0
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except _Strange as strange:
        raise CannotRead(
            f"Cannot read {path}: at byte {position:,} its pickle {strange}.",
            ways="Only tables, lists, bytes, whole numbers and arrays of bytes are read; nothing in it was run.",
        ) from None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        pass  # a truncated argument, a stack too short, a key that is a list: not whole, whatever it was
    raise CannotRead(
        f"Cannot read {path}: it is not a whole pickle.", ways="It was cut short or changed; fetch it again."
    )


class _Strange(Exception):
    """Something that is not on the list."""


class _Machine:
    """A pickle's stack and memo, without anything that could be called."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.does: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self.stack.append(MARK),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "DICT": lambda _: self.stack.append(_pairs(self.marked())),
            "LIST": lambda _: self.stack.append(self.marked()),
            "TUPLE": lambda _: self.stack.append(tuple(self.marked())),
            "TUPLE1": lambda _: self.stack.append(tuple(self.last(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self.last(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self.last(3))),
            "SETITEM": lambda _: self.fill(_pairs(self.last(2))),
            "SETITEMS": lambda _: self.fill(_pairs(self.marked())),
            "APPEND": lambda _: self.extend(self.last(1)),
            "APPENDS": lambda _: self.extend(self.marked()),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda place: self.memo.update({place: self.stack[-1]})),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda place: self.stack.append(self.memo[place])),
            "GLOBAL": self.name,
            "REDUCE": lambda _: self.reduce(*self.last(2)),
            "BUILD": lambda _: self.build(*self.last(2)),
        }

    def step(self, name: str, argument: Any) -> None:
        if name in VALUES:
            self.stack.append(argument.encode("latin-1") if isinstance(argument, str) else argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in self.does:
            self.does[name](argument)
        elif name not in PASSED:
            raise _Strange(f"has the instruction {name}")

    def pop(self) -> Any:
        return self.stack.pop()

    def last(self, count: int) -> list[Any]:
        taken, self.stack[-count:] = self.stack[-count:], []
        if len(taken) < count:
            raise IndexError
        return taken

    def marked(self) -> list[Any]:
        place = max(i for i, value in enumerate(self.stack) if value is MARK)
        taken, self.stack[place:] = self.stack[place + 1 :], []
        return taken

    def fill(self, items: dict[Any, Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise _Strange("fills in what is no table")
        self.stack[-1].update(items)

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _Strange("extends what is no list")
        self.stack[-1].extend(items)

    def name(self, written: str) -> None:
        if written not in NAMES:
            raise _Strange(f"names {written.replace(' ', '.')}")
        self.stack.append(Word(NAMES[written]))

    def reduce(self, name: Any, arguments: Any) -> None:
        """numpy's way to begin an array or a dtype: (array, (0,), "b") and ("u1", 0, 1)."""
        if name == "new" and isinstance(name, Word) and arguments == ("array", (0,), b"b"):
            self.stack.append(_Blank())
        elif name == "dtype" and isinstance(name, Word) and arguments[0] == b"u1":
            self.stack.append(Word("u1"))
        else:
            raise _Strange("makes something other than an array of bytes")

    def build(self, thing: Any, state: Any) -> None:
        """… and to end it: (1, shape, dtype, in Fortran's order, its bytes). A dtype of one byte has nothing to add."""
        if isinstance(thing, Word) and thing == "u1":
            self.stack.append(thing)
        elif isinstance(thing, _Blank) and isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, fortran, content = state
            if not isinstance(kind, Word) or kind != "u1" or not isinstance(content, bytes):
                raise _Strange("fills an array with something other than bytes")
            array = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
            self.memo = {place: array if value is thing else value for place, value in self.memo.items()}
            self.stack.append(array)
        else:
            raise _Strange("gives a state to what takes none")


class _Blank:
    """An array of which nothing is known yet."""


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
