"""A word's number is its part in what the network said: by hand, and on real sentences by leaving words out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from captum.attr import InputXGradient
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import Conv, GlobalPool, Linear, NotFound, Refusal, Seq
from striate.nn import build
from striate.visualize.words import Words, sentences, words
from striate.visualize.words_drawn import draw_words


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


LENGTH, WIDTH = 24, 24


class Sentences(nn.Module):
    """Kim 2014 in small: windows of three words, the largest of each filter over time; N×L×C in."""

    def __init__(self, filters: int = 32) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv1d(WIDTH, filters, 3, padding=1), nn.Linear(filters, 2)
        self.metadata = {"classes": ["rotten", "fresh"]}

    def forward(self, embedded: Tensor) -> Tensor:
        return self.fc(self.conv(embedded.transpose(1, 2)).relu().amax(2))


def test_in_a_linear_network_it_is_the_word_s_part_in_the_score() -> None:
    model = build(Seq(conv=Conv(6, (1, 3), padding=(0, 1)), mean=GlobalPool(), fc=Linear(3)), "5x1x8")
    x = torch.randn(1, 5, 1, 8)
    found = words(model, x, list("abcdefgh"), of=1, method="gradient-embedding")
    with torch.no_grad():
        nothing = model(torch.zeros_like(x))
        for place in range(8):
            alone = torch.zeros_like(x)
            alone[..., place] = x[..., place]
            assert float(found.scores[place]) == pytest.approx(float((model(alone) - nothing)[0, 1]), abs=1e-5)
        assert float(found.scores.sum()) == pytest.approx(float((model(x) - nothing)[0, 1]), abs=1e-5)
    assert (found.of, found.signed) == ("1", True)
    assert found.share == pytest.approx(model(x).softmax(1)[0, 1].item())


def test_behind_the_largest_over_time_only_its_window_counts() -> None:
    torch.manual_seed(0)
    model, x = Sentences(), torch.randn(1, 9, WIDTH)
    found = words(model, x, list("abcdefghi"), of="fresh", method="gradient-embedding")
    by_hand = torch.zeros(9)
    with torch.no_grad():
        maps = model.conv(x.transpose(1, 2))[0]
        for channel, (peak, at) in enumerate(zip(*maps.max(1), strict=True)):
            for offset in range(3) if peak > 0 else ():
                word = int(at) + offset - 1
                if 0 <= word < 9:
                    by_hand[word] += model.fc.weight[1, channel] * (model.conv.weight[channel, :, offset] @ x[0, word])
    assert torch.allclose(found.scores, by_hand, atol=1e-5)


def test_denil_s_is_a_share_in_the_loss_of_the_other_label() -> None:
    torch.manual_seed(0)
    model, x = Sentences().eval(), torch.randn(1, 9, WIDTH)
    found = words(model, x, list("abcdefghi"))
    with torch.no_grad():
        said = int(model(x)[0].argmax())
        other = torch.tensor([1 - said])
        for place in range(9):  # to first order: a word that becomes a little larger
            more, less = x.clone(), x.clone()
            more[0, place] *= 1 + 1e-3
            less[0, place] *= 1 - 1e-3
            slope = (F.cross_entropy(model(more), other) - F.cross_entropy(model(less), other)) / 2e-3
            assert float(found.scores[place]) == pytest.approx(float(slope), abs=2e-3)
    assert found.of == ["rotten", "fresh"][said]


def test_gradient_times_embedding_is_captum_s() -> None:
    torch.manual_seed(1)
    model, x = Sentences().eval(), torch.randn(1, 9, WIDTH)
    theirs = InputXGradient(model).attribute(x.clone().requires_grad_(), target=1).sum(2)[0]
    found = words(model, x, list("abcdefghi"), of=1, method="gradient-embedding")
    assert torch.allclose(found.scores, theirs.detach(), atol=1e-6)


def test_the_size_of_the_gradient_padding_and_the_axis() -> None:
    model, x = Sentences(), torch.randn(1, 9, WIDTH)
    found = words(model, x, list("abcde"), of=0, method="gradient")
    leaf = x.clone().requires_grad_()
    [gradient] = torch.autograd.grad(model(leaf)[0, 0], leaf)
    assert torch.allclose(found.scores, gradient[0, :5].norm(dim=1))
    assert not found.signed
    turned = nn.Sequential(nn.Conv1d(WIDTH, 4, 3), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    assert len(words(turned, x.transpose(1, 2), list("abcdefghi"), axis=2).scores) == 9
    assert model.training
    assert model.conv.weight.requires_grad
    assert model.conv.weight.grad is None


@pytest.fixture(scope="module")
def reviews(shared: Path) -> tuple[nn.Module, nn.Embedding, dict[str, int], list[tuple[list[str], int]]]:
    """A small network that has read some reviews of films, and others that it has not."""
    lines = [
        (text.split()[:LENGTH], label)
        for label, name in enumerate(("neg", "pos"))
        for text in (shared / "rt_polarity" / f"rt-polarity.{name}").read_text(encoding="latin-1").splitlines()[:2400]
    ]
    held = [line for i, line in enumerate(lines) if i % 24 == 0]
    train = [line for i, line in enumerate(lines) if i % 24]
    common = Counter(word for tokens, _ in train for word in tokens).most_common(3000)
    numbers = {word: i + 2 for i, (word, _) in enumerate(common)}
    ids = torch.tensor([_ids(tokens, numbers) for tokens, _ in train])
    labels = torch.tensor([label for _, label in train])
    torch.manual_seed(0)
    model, table = Sentences(), nn.Embedding(len(numbers) + 2, WIDTH, padding_idx=0)
    optimiser = torch.optim.Adam([*model.parameters(), *table.parameters()], 5e-3)
    for _ in range(3):
        for batch in torch.randperm(len(ids)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(F.dropout(table(ids[batch]), 0.4)), labels[batch]).backward()
            optimiser.step()
    return model.eval(), table.requires_grad_(False), numbers, held


def _ids(tokens: list[str], numbers: dict[str, int]) -> list[int]:
    return [numbers.get(word, 1) for word in tokens] + [0] * (LENGTH - len(tokens))


def test_leaving_out_the_word_that_counted_most_changes_most(
    reviews: tuple[nn.Module, nn.Embedding, dict[str, int], list[tuple[list[str], int]]],
) -> None:
    model, table, numbers, held = reviews
    right, drops = 0, {"most": 0.0, "least": 0.0, "some": 0.0}
    for tokens, label in held:
        embedded = table(torch.tensor([_ids(tokens, numbers)]))
        with torch.no_grad():
            scores = model(embedded)
            said = int(scores.argmax())
            found = words(model, embedded, tokens)
            places = {"most": found.scores.argmax(), "least": found.scores.argmin(), "some": len(tokens) // 2}
            for which, place in places.items():
                without = embedded.clone()
                without[0, place] = 0
                drops[which] += float((scores - model(without)).softmax(1)[0, said] - 0.5) / len(held)
        right += said == label
    assert right / len(held) > 0.6  # it has learnt something
    assert drops["most"] > 2 * abs(drops["some"])
    assert drops["least"] < 0 < drops["most"]


def test_sentences_are_sums_of_their_words() -> None:
    tokens = ("good", "fun", ".", "but", "long", "!", "well")
    found = Words(tokens, torch.tensor([1.0, 2, 0, -1, -3, 0.5, 0.25]), "fresh", 0.9, "denil", True)
    by = sentences(found)
    assert by.tokens == ("good fun .", "but long !", "well")
    assert by.scores.tolist() == [3.0, -3.5, 0.25]
    assert sentences(found._replace(tokens=tokens[:3], scores=found.scores[:3])).tokens == ("good fun .",)


def test_what_cannot_be_seen() -> None:
    model, x = Sentences(), torch.randn(1, 9, WIDTH)
    with pytest.raises(NotFound, match=r'No method "denill"\. Near: denil'):
        words(model, x, ["a"], method="denill")
    with pytest.raises(NotFound, match=r'No class "frsh"\. Near: fresh'):
        words(model, x, ["a"], of="frsh")
    with pytest.raises(Refusal, match=r"No class 2: the network tells 2 apart\.\n    0 to 1\."):
        words(model, x, ["a"], of=2)
    with pytest.raises(Refusal, match=r"Cannot see which of 10 words were used: 1×9×24 holds 9\."):
        words(model, x, list("abcdefghij"))
    with pytest.raises(Refusal, match=r"Cannot see which words were used of int64 1×9\.\n    Embedded words of one"):
        words(model, torch.zeros(1, 9, dtype=torch.int64), ["a"])
    with pytest.raises(Refusal, match="the network gives not all finite"):
        words(model, x * float("nan"), ["a"])
    cut = nn.Sequential(nn.Flatten(), nn.Linear(9 * WIDTH, 2)).requires_grad_(False)
    cut.register_forward_pre_hook(lambda _, args: (args[0].detach(),))
    with pytest.raises(Refusal, match="no gradient comes back from the scores"):
        words(cut, x, ["a"])


def test_words_as_a_picture(golden_picture: Callable[[str, bytes], None]) -> None:
    text = "a tender , witty film whose last half hour is dull , but the cast keeps it alive to the end . see it !"
    tokens = tuple(text.split())
    told = {"tender": 1.2, "witty": 2.0, "dull": -1.6, "but": 0.6, "alive": 0.9, "see": 0.4}
    found = Words(tokens, torch.tensor([told.get(t, 0.05) for t in tokens]), "fresh", 0.93, "denil", True)
    golden_picture("words", draw_words(found))
    strange = ("$x^$", "\x1b[31m", "w" * 400, "", "two words", "日本")
    assert draw_words(found._replace(tokens=strange, scores=torch.zeros(6), signed=False, method="gradient"))
