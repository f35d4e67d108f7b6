"""Equal logits, equal gradients: the weights of torchvision's and timm's networks do the same here, and ours there.

Each network of theirs is filled with random numbers, BatchNorm's statistics too; they are moved into ours; both answer
the same noise, and take the same step of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from parity.peers import PEERS, Peer, all_ways, apart, main, networks_of, theirs, without_chance
from striate import build
from striate.nn import Network
from striate.nn.weights import Report, move, to_names
from striate.zoo import NETWORKS

CLOSE = 1e-5


class Pair(NamedTuple):
    theirs: nn.Module
    ours: Network
    report: Report
    peer: Peer
    x: Tensor

    def names(self) -> dict[str, Tensor]:
        return to_names(self.ours, self.peer.library, self.peer.family)


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    peer: Peer = request.param
    torch.manual_seed(len(peer.ours))
    other = theirs(peer)
    ours = without_chance(build(peer.ours, peer.volume, device="meta").to_empty(device="cpu"))
    for tensor in ours.state_dict().values():
        tensor.zero_()
    return Pair(other, ours, move(other.state_dict(), ours), peer, torch.randn(2, *ours.graph.volume))


@pytest.mark.parametrize(
    "pair",
    [pytest.param(peer, id=str(peer), marks=[pytest.mark.slow] * peer.slow) for peer in PEERS],
    indirect=True,
)
def test_the_same_function_and_the_same_step(pair: Pair) -> None:
    report, ours, x = pair.report, pair.ours, pair.x
    assert not report.adapted
    assert not report.skipped
    assert not report.unexpected
    assert len(report.loaded) == len(ours.state_dict()) == len(pair.theirs.state_dict())
    with torch.inference_mode():
        logits = main(pair.theirs.eval()(x))
        assert logits.std() > 1e-4, "a network that says nothing proves nothing"
        assert apart(logits, main(ours.eval()(x))) <= CLOSE

    if pair.peer.double:
        x = x.double()
    for network in (pair.theirs, ours):
        all_ways(network.to(x.dtype).train()(x)).log_softmax(1)[:, ::7].mean().backward()
    place = {tensor.data_ptr(): name for name, tensor in pair.names().items()}
    gradients = {place[weight.data_ptr()]: weight.grad for weight in ours.parameters()}
    wanted = {name: weight.grad for name, weight in pair.theirs.named_parameters()}
    noise = 1e-3 * max(float(gradient.abs().max()) for gradient in wanted.values())  # a bias before a norm has none
    far = {
        name: difference
        for name, gradient in wanted.items()
        if (difference := apart(gradient, gradients[name].view_as(gradient), noise)) > CLOSE
    }
    assert not far, "gradients differ"
    learnt = pair.names()
    for name, buffer in pair.theirs.named_buffers():
        assert apart(buffer.float(), learnt[name].float()) <= CLOSE, name

    with torch.inference_mode():
        nn.init.normal_(next(ours.parameters()))
        pair.theirs.load_state_dict(pair.names(), strict=True)
        assert apart(main(ours.eval()(x)), main(pair.theirs.eval()(x))) <= CLOSE


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_every_network_of_the_same_name_is_held(library: str) -> None:
    held = {peer.theirs for peer in PEERS if peer.library == library}
    same = networks_of(library) & {*NETWORKS}
    apart = {  # of timm's: another network of that name, or one that torchvision's entry of the same names holds
        "timm": {
            *("vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg19_bn", "resnet34", "resnet50", "resnet101"),
            *("resnet152", "wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d"),
            *("resnext101_64x4d", "densenet161", "densenet169", "densenet201", "senet154"),
        }
    }
    assert same - apart.get(library, set()) <= held
