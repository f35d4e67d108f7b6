"""What a model says of images when it is shown several views of each."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import log
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotLoad, CannotTrain, Graph, Refusal, replay
from striate.blueprint.volume import Volume
from striate.data import Images, Preprocessing, Streamed
from striate.data.images import Skipped
from striate.data.memory import keep_freed, room_for
from striate.data.preprocessing import scaled
from striate.data.stream import blemished
from striate.data.threads import apart, cores
from striate.judging.dense import checked, dense
from striate.judging.shifted import shifted
from striate.judging.trained import answer, preprocessing_of
from striate.judging.views import SHIFTED, Part, Views, bare, covered, distinct
from striate.nn.build import Network

CELLS = 1 << 21  # of views that are computed at once: 41 of 224×224
MANY = 256  # views at most that are computed, and resident images that are cut, at once
RUN = 16  # pictures decoded before the network has them
BESIDE = 3  # the largest tensors that a network has at one time, about


class Answers(NamedTuple):
    """`shares`: the logarithm of each class's probability, float32 N×classes; `labels`, and `which` of the images these
    are, int64 N; the others could not be read.
    """

    shares: Tensor
    labels: Tensor
    which: Tensor
    skipped: tuple[Skipped, ...] = ()


class _Run(NamedTuple):
    """Some images, each scaled to every scale: uint8 C×H×W by scale."""

    which: list[int]
    sizes: list[dict[int, Tensor]]


class _Look(NamedTuple):
    """One way of looking, and the network that looks so."""

    network: nn.Module
    part: Part
    rule: Preprocessing
    dtype: torch.dtype
    device: torch.device

    def shares(self, run: _Run) -> Tensor:
        """log-probabilities N×classes of a run's images: the mean over all views, of all scales."""
        return _mean(torch.cat([self._at(run, scale) for scale in self.part.scales], 1))

    def _at(self, run: _Run, scale: int) -> Tensor:
        """log-probabilities N×V×classes of the views at one scale. Images of one shape are cut together."""
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, sizes in enumerate(run.sizes):
            alike[tuple(sizes[scale].shape)].append(place)
        order = torch.tensor([place for places in alike.values() for place in places])
        shapes = [torch.stack([run.sizes[i][scale] for i in places]) for places in alike.values()]
        cuts = [self.part.cut(pixels, self.rule) for pixels in shapes]
        if not self.part.dense:  # crops are all of one size
            cuts = [torch.cat(cuts)]
        said = [self._said(cut.flatten(0, 1)).unflatten(0, cut.shape[:2]) for cut in cuts]
        return torch.cat(said)[order.argsort()]

    def _said(self, pixels: Tensor) -> Tensor:
        """log-probabilities N×classes of uint8 N×C×H×W; scores of a grid are averaged before the soft-max."""
        cells = pixels.shape[2] * pixels.shape[3]
        if cells > CELLS and isinstance(self.network, Network):
            _room(self.network.graph, pixels.shape)
        said = []
        for x in pixels.split(max(1, min(MANY, CELLS // cells))):
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                scores = answer(self.network, self.rule.normalise(x, self.device))
            if self.part.dense and scores.ndim > 2:
                scores = scores.flatten(2).mean(2)
            said.append(scores.log_softmax(1).cpu())
        return torch.cat(said)


@torch.inference_mode()
def ask(
    model: nn.Module,
    images: Images | Streamed,
    views: Views,
    preprocessing: Preprocessing | None = None,
    dtype: torch.dtype = torch.float32,
    tick: Callable[[int], None] = lambda done: None,
) -> Answers:
    """The mean of the probabilities (soft-max) that a model gives to each image's views. `tick` is told of images done.

    Views are cut out of the images as they are: resident ones as they lie in memory, streamed ones as their files have
    them, decoded no larger than the largest scale needs. Raises CannotTrain, and CannotRead where too many are unread.
    """
    if not len(images):
        raise CannotTrain(f"Cannot judge on {images.source}: there are no images.")
    keep_freed()
    rule = preprocessing or preprocessing_of(model)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if views.kind == SHIFTED:
        if not isinstance(images, Images):
            raise CannotTrain("Cannot move images by a cell that are not in memory.", ways="views=ten-crop is like it.")
        shares = shifted(model, images, rule, dtype, mirror=views.mirror).cpu()
        return Answers(shares, images.labels.cpu(), torch.arange(len(images)))
    parts = views.parts(rule)
    looks = [_Look(_sliding(model, part, rule) if part.dense else model, part, rule, dtype, device) for part in parts]
    was_training = model.training
    model.eval()
    said: list[Tensor] = []
    done: list[int] = []
    lost: list[Skipped] = []
    try:
        for run in _runs(images, rule, [*distinct(parts)], lost):
            said.append(_mean(torch.stack([look.shares(run) for look in looks], 1)))
            done += run.which
            tick(len(done) + len(lost))
    finally:
        model.train(was_training)
    which, shares = torch.tensor(done, dtype=torch.int64), torch.cat(said)
    if shares.isnan().any():
        raise CannotLoad(
            "Cannot judge this model: its answers are not numbers.",
            ways="Its weights are damaged, or its training came apart.",
        )
    return Answers(shares, images.labels.cpu()[which], which, tuple(lost))


def _mean(shares: Tensor) -> Tensor:
    """Of probabilities N×V×classes, given and returned as logarithms: nothing is lost where they are tiny."""
    return shares.logsumexp(1) - log(shares.shape[1])


def _sliding(model: nn.Module, part: Part, rule: Preprocessing) -> Network:
    if not isinstance(model, Network):
        raise CannotTrain(
            f"Cannot slide {type(model).__name__} over whole images: its layers are not known.",
            ways="striate.trace gives the graph of a module, striate.build a network of it.",
        )
    network = dense(model)
    for scale in part.scales:
        margins = (full - cut for full, cut in zip(rule.size, rule.grid, strict=True))
        checked(network, *(side + more for side, more in zip(covered(rule, scale), margins, strict=True)))
    return network


def _room(graph: Graph, shape: torch.Size) -> None:
    """Raises CannotTrain where an image is so large that the network's tensors would not fit."""
    large = replay(graph, volume=Volume(*shape[1:]))
    most = max(node.output.size for node in large)
    room_for(4 * BESIDE * most, f"a network on {large.volume}", "Smaller --scales want less.")


def _runs(images: Images | Streamed, rule: Preprocessing, scales: list[int], lost: list[Skipped]) -> Iterator[_Run]:
    """Every image, in order, scaled to each of the scales; what cannot be read goes to `lost`."""
    if isinstance(images, Images):
        cells = max(height * width for height, width in (covered(rule, scale) for scale in scales))
        for at in torch.arange(len(images)).split(max(1, min(MANY, CELLS // cells))):
            pixels = bare(images.pixels[at].cpu(), rule)
            sizes = {scale: scaled(pixels, covered(rule, scale)) for scale in scales}
            yield _Run(at.tolist(), [{scale: sizes[scale][i] for scale in scales} for i in range(len(at))])
        return
    largest = tuple(map(max, zip(*(covered(rule, scale) for scale in scales), strict=True)))

    def read(i: int) -> dict[int, Tensor] | Skipped:
        picture = images.pictures[i]
        try:
            pixels = picture.read(rule.channels, (largest[0], largest[1])).unsqueeze(0)
        except Refusal as refusal:
            return Skipped(Path(picture.name), str(refusal))
        return {scale: scaled(pixels, covered(rule, scale))[0] for scale in scales}

    for at in _ahead(read, len(images)):
        whole = [(i, read) for i, read in at if isinstance(read, dict)]
        lost += [skipped for _, skipped in at if isinstance(skipped, Skipped)]
        blemished(images, lost)
        if whole:
            yield _Run([i for i, _ in whole], [sizes for _, sizes in whole])


Read = dict[int, Tensor] | Skipped


def _ahead(read: Callable[[int], Read], count: int) -> Iterator[list[tuple[int, Read]]]:
    """0 to count-1 with what was read of each, RUN at a time; threads read the next ones meanwhile."""
    with ThreadPoolExecutor(cores(), "decode", apart) as pool:
        ahead: deque[tuple[int, Future[Read]]] = deque()
        coming = iter(range(count))
        try:
            while True:
                ahead.extend(
                    (i, pool.submit(read, i)) for _, i in zip(range(2 * RUN - len(ahead)), coming, strict=False)
                )
                if not ahead:
                    return
                run = [(i, future.result()) for i, future in (ahead.popleft() for _ in range(min(RUN, len(ahead))))]
                torch.set_num_threads(torch.get_num_threads())  # what the pool's threads said is for them alone
                yield run
        finally:
            for _, future in ahead:
                future.cancel()
