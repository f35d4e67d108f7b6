"""Several models as one: the mean of the probabilities that each gives (Krizhevsky et al. 2012, section 6; Simonyan &
Zisserman 2014, section 4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import CannotTrain
from striate.data import Images, Streamed
from striate.judging.asked import Answers


class Member(NamedTuple):
    """A model by its name, what it tells apart, and the images that it is judged by."""

    name: str
    classes: tuple[str, ...]
    images: Images | Streamed


def agreed(members: Sequence[Member]) -> None:
    """Raises CannotTrain where models do not tell the same classes apart, or would not be judged by the same images."""
    first, *others = members
    for other in others:
        for one, two in ((first, other), (other, first)):
            if missing := [name for name in one.classes if name not in two.classes]:
                raise CannotTrain(
                    f"Cannot average {first.name} and {other.name}: {two.name} does not know the class {missing[0]}.",
                    f"{one.name} tells {len(one.classes):,} apart, {two.name} {len(two.classes):,}.",
                    "Models of one ensemble tell the same classes apart, in any order.",
                )
        if not _same(first.images, other.images):
            raise CannotTrain(
                f"Cannot judge {first.name} and {other.name} together: they held out different images "
                f"of {first.images.source}.",
                "Each was trained with a seed of its own, and images that one has learnt from flatter it.",
                "Train them with one split (train and val folders, or one --seed); --seed N here would flatter.",
            )


def together(answers: Sequence[Answers], classes: Sequence[tuple[str, ...]]) -> Answers:
    """The mean of the probabilities, class by class by name, in the first one's order, of the images that all of them
    could read.
    """
    which = answers[0].which
    for other in answers[1:]:
        which = which[torch.isin(which, other.which)]
    shares = torch.stack([_of(a, which)[:, _places(c, classes[0])] for a, c in zip(answers, classes, strict=True)])
    kept = torch.isin(answers[0].which, which)
    lost = {skipped.path: skipped for each in answers for skipped in each.skipped}
    mean = shares.logsumexp(0) - log(len(answers))
    return Answers(mean, answers[0].labels[kept], which, tuple(lost.values()))


def _of(answers: Answers, which: Tensor) -> Tensor:
    return answers.shares[torch.isin(answers.which, which)]


def _places(classes: tuple[str, ...], order: tuple[str, ...]) -> list[int]:
    return [classes.index(name) for name in order]


def _same(one: Images | Streamed, other: Images | Streamed) -> bool:
    """By their names; in memory by their pixels, where both models read the same size."""
    if isinstance(one, Images) and isinstance(other, Images) and one.volume == other.volume:
        return torch.equal(one.pixels, other.pixels)
    return len(one) == len(other) and _names(one) == _names(other)


def _names(images: Images | Streamed) -> list[str]:
    return [picture.name for picture in images.pictures] if isinstance(images, Streamed) else []
