"""Equal logits, equal gradients: weights of torchvision's networks do the same in ours, and ours in theirs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import reference
from parity.peers import TORCHVISION, Peer, all_ways, apart, main, randomise, without_chance
from striate import build
from striate.nn import Network
from striate.nn.weights import move, to_names
from striate.zoo import NETWORKS

CLOSE = 1e-5
peers = pytest.mark.parametrize(
    "pair",
    [pytest.param(p, id=p.ours, marks=[pytest.mark.slow] * p.slow) for p in TORCHVISION],
    indirect=True,
)


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[nn.Module, Network, torch.Tensor]]:
    peer: Peer = request.param
    torch.manual_seed(len(peer.ours))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = randomise(getattr(reference.torchvision().models, peer.theirs)(weights=None, **peer.options))
    ours = without_chance(build(peer.ours, peer.volume))
    return theirs, ours, torch.randn(2, *ours.graph.volume)


@peers
def test_their_weights_here_and_ours_there(pair: tuple[nn.Module, Network, torch.Tensor]) -> None:
    theirs, ours, x = pair
    report = move(theirs.state_dict(), ours)
    assert not report.adapted and not report.skipped and not report.unexpected
    assert len(report.loaded) == len(ours.state_dict()) == len(theirs.state_dict())
    with torch.inference_mode():
        wanted = main(theirs.eval()(x))
        assert wanted.std() > 1e-4, "a network that says nothing proves nothing"
        assert apart(wanted, main(ours.eval()(x))) <= CLOSE
        nn.init.normal_(next(ours.parameters()))
        theirs.load_state_dict(to_names(ours, "torchvision"), strict=True)
        assert apart(main(ours(x)), main(theirs(x))) <= CLOSE


@peers
def test_one_step_of_training(pair: tuple[nn.Module, Network, torch.Tensor]) -> None:
    """Gradients of every weight, and what BatchNorm has learnt of the batch."""
    theirs, ours, x = pair
    move(theirs.state_dict(), ours)
    for network in (theirs, ours):
        given = all_ways(network.train()(x))
        given.log_softmax(1)[:, ::7].mean().backward()
    wanted, gradients = dict(theirs.named_parameters()), dict(ours.named_parameters())
    names = {there: name for name, there in _names(ours).items()}
    far = {n: d for n, w in wanted.items() if (d := apart(w.grad, gradients[names[n]].grad)) > CLOSE}
    assert not far
    state = to_names(ours, "torchvision")
    for name, buffer in theirs.named_buffers():
        assert apart(buffer.float(), state[name].float()) <= CLOSE, name


def _names(network: Network) -> dict[str, str]:
    place = {tensor.data_ptr(): name for name, tensor in to_names(network, "torchvision").items()}
    return {name: place[weight.data_ptr()] for name, weight in network.named_parameters()}


def test_every_network_that_both_have_is_held() -> None:
    known = {*reference.torchvision().models.list_models()} & {*NETWORKS}
    assert known <= {peer.theirs for peer in TORCHVISION}
