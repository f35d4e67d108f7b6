"""Which words of a text a network used: a number for each word, by gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import NotFound, Refusal
from striate.blueprint.said import counted
from striate.judging.trained import answer, as_read
from striate.visualize.units import unit
from striate.visualize.watching import OUT, undisturbed

ENDS = frozenset(".!?…")


class Words(NamedTuple):
    """`scores` float32, a number for each of the `tokens`: what `method` says. The network is sure of the class `of` by
    `share`; `signed`: a word can speak against the class, too, and its number is then below 0.
    """

    tokens: tuple[str, ...]
    scores: Tensor
    of: str
    share: float
    method: str
    signed: bool


Method = Callable[[Tensor, Tensor, int], Tensor]  # scores 1×classes, embedded words, the class -> by word × dimension


def _gradient(scores: Tensor, x: Tensor, of: int) -> Tensor:
    return torch.autograd.grad(scores[0, of], x)[0]


def _taylor(scores: Tensor, x: Tensor, of: int) -> Tensor:
    return _gradient(scores, x, of) * x.detach()


def _denil(scores: Tensor, x: Tensor, of: int) -> Tensor:
    others = scores.detach()[0].clone()
    others[of] = -torch.inf
    loss = F.cross_entropy(scores, others.argmax().view(1))
    return torch.autograd.grad(loss, x)[0] * x.detach()


METHODS: dict[str, tuple[Method, bool, str]] = {  # and whether it is signed, and what its numbers mean
    "denil": (_denil, True, "share in the loss of the other label"),
    "gradient-embedding": (_taylor, True, "gradient × embedding"),
    "gradient": (_gradient, False, "size of the gradient"),
}


def words(
    model: nn.Module,
    embedded: Tensor,
    tokens: Sequence[str],
    of: int | str | None = None,
    method: str = "denil",
    axis: int | None = None,
) -> Words:
    """How much each word of a text counted for what a network said of it.

    `model` makes scores 1×classes of embedded words, float 1×C×1×L or 1×L×C (or with the words along any other
    `axis`); where there are fewer `tokens` than L the rest is padding, and left out. `of`: the class, by number or
    name; by default the one that the network is surest of.

    - "denil": to first order, a word's part in the loss of the label that the network did not choose (of several, the
      next), so what speaks for its answer is above 0: after Denil et al. 2014 (arXiv 1406.3830).
    - "gradient-embedding": the same of the class's score: in a linear network, exactly the word's part in it.
    - "gradient": the norm of the score's gradient by the word (Simonyan et al. 2013, arXiv 1312.6034, section 3).

    Raises NotFound (method, class), Refusal where text and network do not go together or no gradient comes back.
    """
    if method not in METHODS:
        raise NotFound("method", method, METHODS)
    take, signed, _ = METHODS[method]
    along = _axis(embedded, tokens, axis)
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(model):
        x = as_read(model, embedded).detach().clone().requires_grad_()
        scores = answer(model, x)
        if scores.ndim != 2 or len(scores) != 1 or not scores.isfinite().all():
            shape = "×".join(map(str, scores.shape))
            said = "not all finite" if scores.isfinite().logical_not().any() else f"scores of {shape}"
            raise Refusal(f"Cannot see which words were used: the network gives {said}.", ways="1×classes is wanted.")
        if not scores.requires_grad:
            raise Refusal(
                "Cannot see which words were used: no gradient comes back from the scores.",
                ways="Give the network embedded words, not their numbers, and no torch.no_grad inside it.",
            )
        which = _class(model, of, scores)
        parts = take(scores, x, which)
    by_word = parts.movedim(along, 0).flatten(1).float()
    numbers = (by_word.sum(1) if signed else by_word.norm(dim=1))[: len(tokens)].cpu()
    classes = getattr(model, "metadata", {}).get("classes") or ()
    name = str(classes[which]) if which < len(classes) else str(which)
    return Words(tuple(tokens), numbers, name, float(scores.detach().softmax(1)[0, which]), method, signed)


def sentences(found: Words) -> Words:
    """The same sentence by sentence, each with the sum of its words' numbers: the picture of a review in Denil et al.
    2014. A sentence ends with a token that ends in . ! ? or …
    """
    texts, sums = [""], [0.0]
    for token, score in zip(found.tokens, found.scores.tolist(), strict=True):
        texts[-1], sums[-1] = f"{texts[-1]} {token}".strip(), sums[-1] + score
        if token and token[-1] in ENDS:
            texts.append("")
            sums.append(0.0)
    if not texts[-1]:
        texts, sums = texts[:-1], sums[:-1]
    return found._replace(tokens=tuple(texts), scores=torch.tensor(sums))


def _axis(embedded: Tensor, tokens: Sequence[str], axis: int | None) -> int:
    """The axis that words go along."""
    shape = "×".join(map(str, embedded.shape))
    if embedded.ndim not in (3, 4) or len(embedded) != 1 or not embedded.is_floating_point():
        raise Refusal(
            f"Cannot see which words were used of {embedded.dtype} {shape}.".replace("torch.", ""),
            ways="Embedded words of one text are wanted: float 1×C×1×L or 1×L×C.",
        )
    along = (3 if embedded.ndim == 4 else 1) if axis is None else axis % embedded.ndim
    if not 0 < len(tokens) <= embedded.shape[along]:
        raise Refusal(
            f"Cannot see which of {counted(len(tokens), 'word')} were used: {shape} holds {embedded.shape[along]}.",
            ways="axis= says along which axis the words are.",
        )
    return along


def _class(model: nn.Module, of: int | str | None, scores: Tensor) -> int:
    count = scores.shape[1]
    if of is None:
        return int(scores[0].argmax())
    which = unit(model, f"{OUT}:{of}").channel
    assert which is not None
    if which >= count:
        raise Refusal(f"No class {which}: the network tells {count} apart.", ways=f"0 to {count - 1}.")
    return which
