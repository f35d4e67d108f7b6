"""A volume: what one example is between two layers."""

from __future__ import annotations

import re
from numbers import Integral
from typing import NamedTuple

from striate.blueprint.refusal import CannotMake, CannotRead

LIMIT = 10**8  # no honest network has an axis, a channel count or a kernel beyond this


class Volume(NamedTuple):
    """Channels × height × width of one example, no batch; printed 64×112×112, and a vector as its length."""

    channels: int
    height: int = 1
    width: int = 1

    @property
    def size(self) -> int:
        """How many numbers the volume holds."""
        return self.channels * self.height * self.width

    @property
    def grid(self) -> tuple[int, int]:
        return self[1:]

    @property
    def is_vector(self) -> bool:
        return self.height == self.width == 1

    def __str__(self) -> str:
        return str(self.channels) if self.is_vector else f"{self.channels}×{self.height}×{self.width}"

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read "3x224x224", "3×224×224", "3*224*224" or "10". Raises CannotRead, CannotMake."""
        if not re.fullmatch(r"\s*\d+(\s*[x×*]\s*\d+){0,2}\s*", text, re.IGNORECASE):
            raise CannotRead(
                f'Cannot read a volume from "{text}". It is written channels×height×width, for instance 3x224x224.'
            )
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        if len(numbers) == 2:
            raise CannotRead(
                f'Cannot read a volume from "{text}": two numbers, and channels come first.',
                ways=f"For instance 1x{text.strip()} or 3x{text.strip()}.",
            )
        return cls(*numbers).checked()

    def checked(self) -> Volume:
        """Itself, or CannotMake where an axis is empty, no whole number or beyond any honest network."""
        for axis, n in zip(self._fields, self, strict=True):
            said = "×".join(map(str, self))
            axis = axis.replace("channels", "number of channels")
            if not isinstance(n, Integral):
                raise CannotMake(f"Cannot start from {said}: its {axis} is {n!r}; it must be a whole number.")
            if not 1 <= n <= LIMIT:
                raise CannotMake(f"Cannot start from {said}: its {axis} is {n:,}; it must be from 1 to {LIMIT:,}.")
        return self
