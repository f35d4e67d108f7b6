"""Pictures that were found become splits: decoded into memory where they fit, else left where they are and streamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.data.decode import Header
from striate.data.images import Images, Picture, Skipped, Splits, Streamed
from striate.data.memory import fits, room_for
from striate.data.preprocessing import Grid, Preprocessing
from striate.data.stream import UNREADABLE, blemished, too_many
from striate.data.threads import apart, cores

LARGEST_ICON = 256  # images all of one grid are taken as they are up to this; photos may be of one size by chance
GLANCES = 64  # headers read to learn what the pictures are like
SAMPLE = 512  # images of which the mean and deviation of streamed ones are taken
AGAIN = "They were in memory before, and streamed they would be dealt otherwise: end what else takes memory."

Rule = Callable[[int, Grid | None], Preprocessing]
Tick = Callable[[int], object]
Counting = Callable[[int], AbstractContextManager[Tick]]


def unheard(_: int) -> AbstractContextManager[Tick]:
    """Nobody is told how far it is."""
    return nullcontext(lambda done: None)


class Opening(NamedTuple):
    """How data is opened: `fitting` gives the rule for images of so many channels and that grid (None: of many), `seed`
    splits what comes without splits; who is only `looking` gets files where they lie, however many cannot be read;
    `streamed` None leaves it to memory; `counting`, told how many images there are, gives what hears how many are done.
    """

    fitting: Rule
    seed: int = 0
    looking: bool = False
    streamed: bool | None = None
    counting: Counting = unheard


class Listing(NamedTuple):
    """The pictures of one split and the class of each."""

    pictures: list[Picture]
    labels: Tensor


def opened(listings: Mapping[str, Listing], classes: tuple[str, ...], source: str, how: Opening) -> Splits:
    """Pictures of the splits "train" and "test" or "validation" or both: decoded into memory where they take less than
    SHARE of what is free (or it is said), else left where they are. Raises CannotRead, CannotTrain.
    """
    rule, native = _ruled([picture for listing in listings.values() for picture in listing.pictures], how.fitting)
    of, lost = sum(len(listing.labels) for listing in listings.values()), dict[str, Skipped]()
    images: dict[str, Images | Streamed] = {
        name: Streamed(tuple(pictures), labels, classes, source, rule, of, lost)
        for name, (pictures, labels) in listings.items()
    }
    told = f"{of:,} images, {rule.told(native)}"
    if how.streamed is False:
        room_for(of * rule.volume.size, f"{of:,} images of {rule.volume}", AGAIN)
    streamed = how.looking or (not fits(of * rule.volume.size) if how.streamed is None else how.streamed)
    skipped: list[Skipped] = []
    if streamed:
        told += ", streamed from the disk"
    else:
        done = count(1)
        with how.counting(of) as tick:
            for name, there in images.items():
                images[name], unread = resident(there, lambda: tick(next(done)))
                skipped += unread
        if len(skipped) > UNREADABLE * of:
            raise too_many(source, skipped, of)
    sample = train = images["train"]
    if isinstance(train, Streamed) and not rule.mean:
        sample, unread = resident(train[:: -(-len(train) // SAMPLE)])
        if not len(sample):
            raise too_many(source, unread, len(unread))
        if not how.looking:
            blemished(train, unread)
    return Splits(
        train,
        images["test"] if "test" in images else images["validation"],
        rule.measured(sample.pixels) if isinstance(sample, Images) else rule,
        images.get("validation") if "test" in images else None,
        tuple(skipped),
        told,
    )


def resident(images: Images | Streamed, tick: Callable[[], object] = lambda: None) -> tuple[Images, list[Skipped]]:
    """Images in memory: where they are not, threads decode them (the decoders release the GIL) into one tensor; what
    cannot be read is left out, and why kept. `tick` is called after each.
    """
    if isinstance(images, Images):
        return images, []
    rule, labels = images.rule, images.labels
    pixels = torch.empty(len(images), *rule.volume, dtype=torch.uint8)

    def decode(i: int) -> Skipped | None:
        picture = images.pictures[i]
        try:
            pixels[i] = rule.prepare(picture.read(rule.channels, rule.covered).unsqueeze(0))[0]
        except Refusal as refusal:
            return Skipped(Path(picture.name), str(refusal))
        return None

    lost, threads = [], torch.get_num_threads()
    with ThreadPoolExecutor(cores(), "decode", apart) as pool:
        for skipped in pool.map(decode, range(len(images))):
            lost.append(skipped)
            tick()
    torch.set_num_threads(threads)  # what the pool's threads said of themselves is for them alone
    whole = torch.tensor([skipped is None for skipped in lost])
    if not whole.all():
        pixels, labels = pixels[whole], labels[whole]
    return Images(pixels, labels, images.classes, images.source), [skipped for skipped in lost if skipped]


def _ruled(pictures: Sequence[Picture], fitting: Rule) -> tuple[Preprocessing, Grid | None]:
    """The rule for pictures like these, and the grid they all have (None: of many)."""
    seen = _glance(pictures)
    native = seen[0].grid if len({header.grid for header in seen}) == 1 else None
    if native and max(native) > LARGEST_ICON:
        native = None
    return fitting(max((header.channels for header in seen), default=3), native), native


def _glance(pictures: Sequence[Picture]) -> list[Header]:
    seen = []
    for picture in pictures[:: max(1, len(pictures) // GLANCES)]:
        try:
            seen.append(picture.header())
        except Refusal:
            continue  # counted where it is decoded
    return seen
