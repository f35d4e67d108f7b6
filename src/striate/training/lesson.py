"""What a training is made of, found to go together before anything is written or run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate.blueprint import BatchNorm, CannotTrain, Graph
from striate.cost.memory import buffer_bytes
from striate.cost.training import capacity, training
from striate.cost.units import memory
from striate.data import (
    Augmentation,
    Batches,
    Images,
    PCAColour,
    Preprocessing,
    Skipped,
    Splits,
    Stream,
    Streamed,
    augmentations,
    deal,
    stratified,
)
from striate.data.augment import agreed
from striate.data.colour import CELLS
from striate.data.memory import free
from striate.data.names import mixing
from striate.data.opening import SAMPLE, resident
from striate.training.precision import chosen
from striate.training.ranks import ALONE, Ranks
from striate.training.recipe import Recipe

SEEN = 64  # images, about, by whose pixels data is known again


@dataclass(frozen=True, eq=False)
class Lesson:
    """A network, images to learn from, images to choose the epoch by (or none), and a recipe with nothing left open."""

    model: Any  # nn.Module; with a graph it can be saved
    learnt: Images | Streamed
    held: Images | Streamed | None
    preprocessing: Preprocessing
    recipe: Recipe
    device: torch.device
    dtype: torch.dtype  # of products
    origin: tuple[str, int] = ("", 0)  # where the data is found again, and the seed it was split by
    ranks: Ranks = ALONE
    unread: tuple[Skipped, ...] = ()  # files of the data that are left out, where it was read beforehand

    @property
    def steps(self) -> int:
        """Of one epoch."""
        return -(-len(self.batches) // self.recipe.accumulate)

    @cached_property
    def known(self) -> dict[str, Any]:
        """By which these images are known again, as JSON has it: a digest of their labels and of what some of them look
        like, the same in memory and streamed; which way it is; and which of them could not be read.
        """
        digest = hashlib.sha256(self.learnt.labels.cpu().numpy().tobytes())
        digest.update("\0".join((*self.learnt.classes, str(self.preprocessing.to_json()))).encode())
        digest.update(self._glimpse[0].pixels.cpu().numpy().tobytes())
        streamed = isinstance(self.learnt, Streamed)
        return {"images": digest.hexdigest()[:32], "streamed": streamed, "lost": sorted(self.lost)}

    @property
    def lost(self) -> dict[str, Skipped]:
        """What is known to be unreadable, by folder and name: the rest of a path changes where data is moved."""
        return {"/".join(skipped.path.parts[-2:]): skipped for skipped in (*self.unread, *self._glimpse[1])}

    @cached_property
    def _glimpse(self) -> tuple[Images, list[Skipped]]:
        return resident(self.learnt[:: max(1, len(self.learnt) // SEEN)])

    @cached_property
    def augment(self) -> tuple[Augmentation, ...]:
        """The recipe's, made for these images."""
        return tuple(_measured(augmentation, self.learnt) for augmentation in augmentations(self.recipe.augment))

    @property
    def batches(self) -> Batches | Stream:
        recipe = self.recipe
        how = {"augment": self.augment, "mix": mixing(recipe.mix), "device": self.device}
        shared = {"rank": self.ranks.rank, "ranks": self.ranks.count}
        return deal(self.learnt, self.preprocessing, recipe.batch_size, recipe.seed, **how, **shared)


def lesson(
    model: nn.Module, data: Splits, recipe: Recipe, device: torch.device, saved: bool, ranks: Ranks = ALONE
) -> Lesson:
    """All of it, on its device. Raises CannotTrain where network, data and recipe do not go together."""
    agreed(augmentations(recipe.augment), data.preprocessing.size)
    learnt, held = data.train, data.validation
    if held is None and round(recipe.validation * len(learnt)):
        kept, out = stratified(learnt.labels, recipe.validation, recipe.seed)
        learnt, held = learnt[kept], learnt[out]
    if held is None and recipe.schedule == "plateau":
        raise CannotTrain(
            "Cannot train on the schedule plateau: no images are held out to see one by.",
            ways=f"A larger validation, {recipe.validation:g} now; or schedule=cosine.",
        )
    graph: Graph | None = getattr(model, "graph", None)
    dtype = chosen(recipe.precision, graph, device)
    if graph is not None:
        _agree(graph, data)
        way = recipe.optimizer, "bf16" if dtype == torch.bfloat16 else "fp32", getattr(model, "checkpointing", False)
        _small_enough(graph, recipe, len(learnt), device, way)
    elif saved:
        raise CannotTrain(
            "Cannot save this network: it was not built from a blueprint, so its file could not describe it.",
            ways="Build it with striate.build; or train without out=.",
        )
    closed = {
        "epochs": recipe.epochs_for(len(learnt)),
        "precision": str(dtype).removeprefix("torch."),
        "threads": recipe.threads or torch.get_num_threads(),
    }
    there = [i.to(device) for i in (learnt, held) if i]
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    closed_recipe = recipe.model_copy(update=closed)
    rest = data.preprocessing, closed_recipe, device, dtype, (data.origin, data.seed), ranks, data.skipped
    return Lesson(model, there[0], there[1] if held else None, *rest)


def _measured(augmentation: Augmentation, images: Images | Streamed) -> Augmentation:
    """With the colours' principal axes of these images, where nobody said others: of the same ones in memory or not."""
    if not isinstance(augmentation, PCAColour) or augmentation != PCAColour(augmentation.deviation):
        return augmentation
    if images.volume.channels != 3:
        return augmentation
    most = max(SAMPLE, CELLS // (images.volume.height * images.volume.width))
    some, _ = resident(images[:: -(-len(images) // most)])
    return augmentation.measured(some.pixels) if len(some) else augmentation


def _agree(graph: Graph, data: Splits) -> None:
    volume, classes = data.preprocessing.volume, len(data.classes)
    fact = f"Cannot train on {data.train.source}: the network"
    if graph.volume != volume:
        ways = f'Build it for them: build(network, "{"x".join(map(str, volume))}").'
        raise CannotTrain(f"{fact} reads {graph.volume}, the images are {volume}.", ways=ways)
    if graph.output != (classes, 1, 1):
        ways = f"Give it their head: replace_head(graph, {classes})."
        raise CannotTrain(f"{fact} gives {graph.output}, there are {classes} classes.", ways=ways)


def _small_enough(
    graph: Graph, recipe: Recipe, examples: int, device: torch.device, way: tuple[str, str, bool]
) -> None:
    """Batches of two or more where a norm needs them, and no larger than memory."""
    smallest, largest = examples // -(-examples // recipe.batch_size), min(recipe.batch_size, examples)
    if smallest == 1 and (norm := next((n.name for n in graph if type(n.op) is BatchNorm and n.output.is_vector), "")):
        fact = f"Cannot train with batches of one image: {norm} normalises over the batch."
        raise CannotTrain(fact, ways="A batch size of 2 or more.")
    if device.type != "cpu":
        return
    averaged = 4 * graph.parameters + buffer_bytes(graph, 4) if recipe.ema is not None else 0
    needed, there = training(graph, largest, 4, *way).peak_bytes, free() - averaged
    if needed > there:
        fits = capacity(there, graph, *way).batch
        numbers = f"{memory(needed)} are wanted, {memory(there)} are free."
        ways = f"A batch size of {fits} fits." if fits else "Not even one image fits; a smaller --size wants less."
        raise CannotTrain(f"Cannot train with batches of {largest} images of {graph.volume}: {numbers}", ways=ways)


def provenance(lesson: Lesson, epoch: int, top1: float | None) -> dict[str, Any]:
    """Where a network's weights come from, for its file."""
    return {
        "data": Path(lesson.learnt.source).name,
        "examples": len(lesson.learnt),
        "held_out": len(lesson.held or ()),
        "epoch": epoch,
        "top1_held_out": top1,
        "recipe": lesson.recipe.model_dump(),
        "torch": torch.__version__,
    }
