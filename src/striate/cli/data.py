"""`striate data PATH`: what is there to learn from, and what the network will see of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.cli.output import say

if TYPE_CHECKING:
    from striate.data.survey import Survey

EXAMPLES = """\b
Examples:
  striate data photos/                            a folder with a folder of images for each class
  striate data cifar-10-batches-bin/              CIFAR, MNIST and their kin, as they are given out
  striate data list.csv --batch batch.png         a list of path,label; and a batch of it as a picture
  striate data 'shards/{train,val}-{0000..0127}.tar' --json    or striate data shards/, a folder of them
  striate data photos/ --size 224 --augment 'resized-crop, flip, colour-jitter(0.4, 0.4, 0.4)' --batch batch.png

Every image is decoded once. Those that are both in train and in test (the same pixels) are named, and those that cannot
be read; files that are no pictures by their names are counted. Augmentations: flip, alternating-flip, padded-crop,
mirrored-crop, resized-crop, scale-jitter, colour-jitter, pca-colour, trivial-augment, erasing.
"""
NAMED = 10  # of what is wrong, so many are named
SHOWN = 32  # images of a batch


@click.command("data", epilog=EXAMPLES, short_help="Say what is in a data set, and draw a batch of it.")
@click.argument("path", metavar="PATH")
@click.option("--size", type=click.IntRange(1), help="The side of the images that the batch has; default: their own.")
@click.option("--batch", "picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw a batch there.")
@click.option("--augment", default="", metavar="NAME, ...", help="What is done to the images of the batch.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Deals the batch, and splits.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def command(path: str, size: int | None, picture: Path | None, augment: str, seed: int, as_json: bool) -> None:
    """Say what is in PATH (or digits): counts, sizes, means, imbalance, doubles, and what cannot be read."""
    from striate.blueprint import CannotWrite
    from striate.data import open_data
    from striate.data.augment import agreed
    from striate.data.names import augmentations
    from striate.data.survey import survey
    from striate.judging.counting import counting

    if unused := [option for option, given in (("--size", size), ("--augment", augment)) if given and not picture]:
        raise CannotWrite(
            f"Cannot use {' and '.join(unused)}: there is no batch that it is for.", ways="Draw one: --batch batch.png."
        )
    if picture and picture.suffix.lower() != ".png":
        raise CannotWrite(f"Cannot draw into {picture}: a batch is drawn as .png.", ways=f"--batch {picture.stem}.png")
    chain = augmentations(augment)
    splits = open_data(path, size, seed=seed, looking=True)
    agreed(chain, splits.preprocessing.size)
    shown = _draw(splits, chain, seed, picture, path) if picture else 0
    count = sum(len(images) for images in {splits.train, splits.test, splits.validation or splits.test})
    with counting(path, count, sys.stderr) as tick:
        found = survey(splits, path, tick)
    if as_json:
        say(json.dumps(found.to_json(), ensure_ascii=False))
        return
    say("\n".join(report(found)))
    if picture:
        say(f"{picture}: {shown} images as the network will see them, {splits.preprocessing.volume}")


def _draw(splits: Any, chain: Any, seed: int, picture: Path, title: str) -> int:
    """The first batch of the first epoch as a picture; how many images it has."""
    from striate.blueprint.files import folder, write_atomically
    from striate.data import deal
    from striate.data.drawn import drawn

    count = min(SHOWN, len(splits.train))
    x, labels = next(deal(splits.train, splits.preprocessing, count, seed, chain).epoch(1))
    folder(picture.parent)
    write_atomically(picture, drawn(x, labels, splits.classes, splits.preprocessing, title))
    return len(x)


def report(found: Survey) -> list[str]:
    splits = list(found.counts)
    totals = ", ".join(f"{sum(found.counts[split].values()):,} {split}" for split in splits)
    classes = list(found.counts["train"])
    wide = max(map(len, classes))
    lines = [f"{found.source}: {len(classes)} classes, images: {totals}", ""]
    lines.append(f"{'':{wide}}" + "".join(f"{split:>12}" for split in splits))
    lines += [f"{name:{wide}}" + "".join(f"{found.counts[split][name]:12,}" for split in splits) for name in classes]
    lines.append("")
    if found.sizes:
        grids = {name: f"{grid[0]}×{grid[1]}" for name, grid in found.sizes.items()}
        span = ", ".join(f"{name} {grid}" for name, grid in grids.items())
        lines.append(f"size       {grids['median'] if len(set(grids.values())) == 1 else span}, height × width")
    lines.append("mean       " + " ".join(f"{value:.4f}" for value in found.mean) + " by channel, of 0 to 1, train")
    lines.append("deviation  " + " ".join(f"{value:.4f}" for value in found.std))
    times = f"the largest class has {found.imbalance:.3g} times the images of the smallest"
    even = "every class has as many images" if found.imbalance == 1 else times
    lines.append(f"balance    {even}")
    lines += _named("in train and in test", [f"{test} is {train}" for test, train in found.doubles])
    if found.inside:
        lines.append(f"twice in train: {found.inside:,}")
    if found.contradictions:
        told = [f"{other} ({theirs}) is {one} ({its})" for one, its, other, theirs in found.contradictions]
        lines += _named("in two classes", told)
    lines += _named("unreadable", [reason for _, reason in found.skipped])
    if found.others:
        kinds = ", ".join(f"{suffix or 'none'} {count:,}" for suffix, count in found.others.items())
        lines.append(f"no pictures by their suffix: {sum(found.others.values()):,} ({kinds})")
    return lines


def _named(what: str, which: list[str]) -> list[str]:
    more = [f"  and {len(which) - NAMED:,} more (--json has all)"] if len(which) > NAMED else []
    return [f"{what}: {len(which):,}" if which else f"{what}: none", *(f"  {each}" for each in which[:NAMED]), *more]
