"""Weights from anywhere into a network: what fits, what is adapted and told, what is refused before anything moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from striate import build, load, save
from striate.blueprint import CannotLoad, CannotRead, NotFound, Refusal, cut
from striate.nn import Network
from striate.nn.weights import adapt, move, to_names

State = dict[str, Tensor]


def state_of(name: str, volume: str, peer: str = "torchvision") -> State:
    torch.manual_seed(1)
    network = build(name, volume)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return {there: tensor.clone() for there, tensor in to_names(network, peer).items()}


@pytest.fixture(scope="module")
def resnet() -> State:
    return state_of("resnet18", "3x32x32")


# Channels


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 5, 7])
def test_an_image_of_equal_channels_is_answered_as_before(n: int, wanted: int) -> None:
    weight, grey = torch.randn(5, n, 3, 3), torch.randn(2, 1, 8, 8)
    before = F.conv2d(grey.expand(-1, n, -1, -1), weight)
    after = F.conv2d(grey.expand(-1, wanted, -1, -1), adapt.channels(weight, wanted))
    assert torch.allclose(before, after, atol=1e-5)


def test_the_first_channels_keep_their_own_weights() -> None:
    weight = torch.randn(4, 3, 5, 5)
    assert torch.equal(adapt.channels(weight, 1), weight.sum(1, keepdim=True))
    assert torch.equal(adapt.channels(weight[:, :1], 3), (weight[:, :1] / 3).expand(-1, 3, -1, -1))
    two = adapt.channels(weight, 2)
    assert torch.equal(two, torch.stack([weight[:, 0] + weight[:, 2], weight[:, 1]], 1))
    five = adapt.channels(weight, 5)
    assert torch.equal(five[:, 2], weight[:, 2])
    assert torch.equal(five[:, 0], weight[:, 0] / 2)
    assert torch.equal(five[:, 0], five[:, 3])


@pytest.mark.parametrize(
    ("channels", "said"), [(1, "the 3 channels summed"), (5, "channels 3 -> 5: channel i takes channel i mod 3")]
)
def test_a_network_for_other_channels_says_what_was_done(resnet: State, channels: int, said: str) -> None:
    three, other = build("resnet18", "3x32x32").eval(), build("resnet18", f"{channels}x32x32").eval()
    move(resnet, three)
    report = move(resnet, other)
    assert said in report.adapted["stem.conv1.conv.weight"]
    assert f"adapted     stem.conv1.conv.weight: 64×3×7×7 -> 64×{channels}×7×7, {said}" in str(report)
    grey = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        wanted, given = three(grey.expand(-1, 3, -1, -1)), other(grey.expand(-1, channels, -1, -1))
    assert torch.allclose(wanted, given, atol=1e-4 * float(wanted.abs().max()))


# Classes


def test_heads_keep_the_rows_of_shared_names(resnet: State) -> None:
    theirs = [f"class {i}" for i in range(1000)]
    network = build("resnet18(classes=4)", "3x32x32")
    network.metadata["classes"] = ["class 7", "new", "class 999", "class 0"]
    fresh = network.get_parameter("fc.weight").clone()
    report = move(resnet, network, classes=theirs)
    weight = network.get_parameter("fc.weight")
    assert torch.equal(weight[[0, 2, 3]], resnet["fc.weight"][[7, 999, 0]])
    assert torch.equal(weight[1], fresh[1])
    told = "3 of 4 classes by their names (class 7, class 999, class 0); 1 as initialised"
    assert report.adapted == {"fc.weight": told, "fc.bias": told}


def test_a_name_the_source_has_twice_is_nobodys() -> None:
    assert adapt.by_class(["crane"], ["crane", "bee", "crane"]) is None
    rows = adapt.by_class(["crane", "bee"], ["crane", "bee", "crane"])
    assert rows is not None
    assert rows.taken == (None, 1)


def test_the_same_classes_in_another_order_are_put_in_order() -> None:
    torch.manual_seed(0)
    one, other = build("lenet5(classes=3)"), build("lenet5(classes=3)")
    one.metadata["classes"], other.metadata["classes"] = ["a", "b", "c"], ["c", "a", "b"]
    move(one.state_dict(), other, classes=one.metadata["classes"])
    x = torch.randn(2, 1, 32, 32)
    assert torch.allclose(one(x)[:, [2, 0, 1]], other(x))


# Refusals


def test_another_head_is_refused_and_nothing_moves(resnet: State) -> None:
    photos = build("resnet18(classes=10)", "3x32x32")
    photos.metadata["network"] = "photos"
    before = {name: tensor.clone() for name, tensor in photos.state_dict().items()}
    with pytest.raises(CannotLoad) as refusal:
        move(resnet, photos)
    assert str(refusal.value) == (
        "Cannot load the state into photos: 120 of 122 tensors fit; fc.weight is 1000×512, wanted 10×512. "
        'To keep your own head: except_="fc".'
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in photos.state_dict().items())
    report = move(resnet, photos, except_="fc")
    assert report.skipped == dict.fromkeys(("fc.weight", "fc.bias"), "left out by except_")
    assert torch.equal(photos.get_parameter("fc.weight"), before["fc.weight"])
    assert "120 of 122 tensors loaded as they are" in str(report)


def test_another_depth_is_refused(resnet: State) -> None:
    deeper = state_of("resnet34", "3x32x32")
    with pytest.raises(CannotLoad, match=r"all 122 tensors fit, and \d+ more are there: layer1\.2\.conv1\.weight"):
        move(deeper, build("resnet18", "3x32x32"))
    with pytest.raises(CannotLoad, match=r"122 of 218 tensors fit; .* is not there"):
        move(resnet, build("resnet34", "3x32x32"))


def test_parts_that_a_network_does_not_have_are_told(resnet: State) -> None:
    """A network cut short takes its trunk; heads beside the trunk stay outside."""
    trunk = build(cut(build("resnet18", "3x32x32").graph, "layer3"))
    report = move(resnet, trunk)
    assert {name.split(".")[0] for name in report.unexpected} == {"layer4", "fc"}
    assert "in no part of this network" in str(report)
    aux = state_of("googlenet(aux=True)", "3x64x64")
    report = move(aux, build("googlenet", "3x64x64"))
    assert {name.split(".")[0] for name in report.unexpected} == {"aux1", "aux2"}


def test_a_part_that_is_nowhere_is_refused(resnet: State) -> None:
    with pytest.raises(NotFound, match=r'No part "fcc". Near: fc'):
        move(resnet, build("resnet18", "3x32x32"), except_="fcc")


def test_numbers_that_are_none(resnet: State) -> None:
    network = build("resnet18", "3x32x32")
    bad = {**resnet, "layer1.0.conv1.weight": resnet["layer1.0.conv1.weight"].clone()}
    bad["layer1.0.conv1.weight"][0, 0, 0, :2] = torch.tensor([float("nan"), float("inf")])
    before = network.get_parameter("fc.bias").clone()
    with pytest.raises(CannotLoad, match=r"2 of the 36,864 numbers of layer1\.0\.conv1\.weight are not finite"):
        move(bad, network)
    with pytest.raises(CannotLoad, match=r"fc\.bias is 1000 of torch\.int64, wanted 1000 of torch\.float32"):
        move({**resnet, "fc.bias": torch.zeros(1000, dtype=torch.int64)}, network)
    assert torch.equal(network.get_parameter("fc.bias"), before)


# Names and order


def test_wrappers_and_halves_and_missing_counters(resnet: State) -> None:
    network = build("resnet18", "3x32x32")
    wrapped = {
        f"module.{name}": tensor.half() if tensor.is_floating_point() else tensor for name, tensor in resnet.items()
    }
    plain = {name: tensor for name, tensor in wrapped.items() if not name.endswith("num_batches_tracked")}
    assert len(move(wrapped, network).loaded) == 122
    assert len(move(plain, network).loaded) == 102
    assert torch.equal(network.get_parameter("fc.weight"), resnet["fc.weight"].half().float())


def unknown(network: Network) -> State:
    """The numbers of a network under names nobody knows, in its order."""
    return {
        f"block_{i}/{'w' if tensor.dim() > 1 else 'b'}": t
        for i, (t, tensor) in enumerate((t, t) for t in network.state_dict().values())
    }


def test_unknown_names_are_taken_in_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = build("lenet5"), build("lenet5")
    np.savez(tmp_path / "theirs.npz", **{name: tensor.numpy() for name, tensor in unknown(one).items()})
    assert len(move(tmp_path / "theirs.npz", other).loaded) == 10
    x = torch.randn(2, 1, 32, 32)
    assert torch.equal(one(x), other(x))


def test_an_order_that_does_not_fit_is_refused_where_it_does_not(tmp_path: Path) -> None:
    network = build("lenet5")
    state = unknown(network)
    names = list(state)
    turned = {name: state[name] for name in (*names[:2], *names[4:6], *names[2:4], *names[6:])}
    with pytest.raises(
        CannotLoad, match=r"in order they differ at 3 of 10: block_4/w is 120×400, where conv2.conv.weight"
    ):
        move(turned, network)
    with pytest.raises(CannotLoad, match="it holds 9 tensors where 10 are wanted"):
        move({name: state[name] for name in names[:-1]}, network)
    save_file(state, tmp_path / "theirs.safetensors")
    with pytest.raises(CannotLoad, match="are in no table here, and its kind of file keeps no order"):
        move(tmp_path / "theirs.safetensors", network)


def test_scales_are_not_taken_for_shifts() -> None:
    """Two vectors of one length: torch's own words say which is which, whatever stands before them."""
    network = build("densenet_bc100_k12")
    state = {f"x{i}.{name.rpartition('.')[2]}": t for i, (name, t) in enumerate(network.state_dict().items())}
    names = [name for name in state if not name.endswith("tracked")]
    at = next(i for i, name in enumerate(names) if name.endswith("bias"))
    names[at - 1], names[at] = names[at], names[at - 1]
    with pytest.raises(CannotLoad, match="in order they differ"):
        move({name: state[name] for name in names}, network)


def test_a_table_says_what_it_cannot_say() -> None:
    with pytest.raises(
        CannotLoad, match=r"Cannot say this network in torchvision's names: .* is in none of its tables"
    ):
        to_names(build("lenet5"), "torchvision")
    with pytest.raises(NotFound, match=r'No table of names "torchvison". Near: torchvision'):
        to_names(build("lenet5"), "torchvison")


# load


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".npz", ".safetensors"])
def test_every_kind_of_file(resnet: State, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"theirs{suffix}"
    if suffix == ".npz":
        np.savez_compressed(file, **{name: tensor.numpy() for name, tensor in resnet.items()})
    elif suffix == ".safetensors":
        save_file(resnet, file)
    elif suffix == ".pt":
        torch.save({"epoch": 3, "state_dict": resnet, "best": 71.3}, file)
    else:
        torch.save(resnet, file, _use_new_zipfile_serialization=False)
    model = load("resnet18", weights=file, volume="3x64x64")
    assert not model.training
    assert len(model.report.loaded) == 122
    assert torch.equal(model.get_parameter("fc.weight"), resnet["fc.weight"])


def test_load_adapts_what_it_is_asked_to(resnet: State, tmp_path: Path) -> None:
    torch.save(resnet, tmp_path / "theirs.pth")
    model = load("resnet18", tmp_path / "theirs.pth", classes=["ant", "bee"], in_channels=1, volume="3x48x48")
    assert str(model.graph.volume) == "1×48×48"
    assert model(torch.randn(2, 1, 48, 48)).shape == (2, 2)
    assert model.metadata == {"network": "resnet18", "classes": ["ant", "bee"]}
    assert list(model.report.skipped) == ["fc.weight", "fc.bias"]
    assert model.report.skipped["fc.weight"] == "1000×512 there, of other classes; as initialised"
    again = load(save(model, tmp_path / "mine.safetensors"), classes=["bee", "wasp"], in_channels=3)
    assert str(again.graph.volume) == "3×48×48"
    assert torch.equal(again.get_parameter("fc.weight")[0], model.get_parameter("fc.weight")[1])
    assert "1 of 2 classes by their names (bee); 1 as initialised" in str(again.report)


def test_a_model_file_comes_back_as_it_was(tmp_path: Path) -> None:
    model = build("lenet5").eval()
    save(model, tmp_path / "m.safetensors", classes=[str(i) for i in range(10)])
    again = load(tmp_path / "m.safetensors")
    x = torch.randn(1, 1, 32, 32)
    assert torch.allclose(model(x), again(x), atol=1e-6)
    assert again.metadata["classes"][3] == "3"
    into = load("lenet5", tmp_path / "m.safetensors")
    assert torch.allclose(model(x), into(x), atol=1e-6)
    assert into.metadata["classes"] == again.metadata["classes"]


def test_how_images_are_prepared_travels_while_it_holds(tmp_path: Path) -> None:
    rule = {"channels": 1, "grid": [28, 28], "size": [32, 32], "mean": [0.1], "std": [0.3]}
    save(build("lenet5"), tmp_path / "m.safetensors", preprocessing=rule)
    assert load("lenet5", tmp_path / "m.safetensors").metadata["preprocessing"] == rule
    assert load(tmp_path / "m.safetensors", classes=3).metadata["preprocessing"] == rule
    assert "preprocessing" not in load(tmp_path / "m.safetensors", in_channels=3).metadata


@pytest.mark.parametrize(
    "asked", [{"classes": 0}, {"classes": -1}, {"classes": []}, {"in_channels": 0}, {"volume": "x"}]
)
def test_numbers_that_mean_nothing_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        load("lenet5", **asked)


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r'No network "resnet5O". Near: resnet50'):
        load("resnet5O")
    with pytest.raises(CannotRead, match=r"(?i)no such file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(CannotRead, match=r"(?i)no such file"):
        load("resnet18", weights=tmp_path / "none.pth")
    with pytest.raises(NotFound, match=r'No weights of resnet50 "imagnet". Near: imagenet'):
        load("resnet50", weights="imagnet")
    with pytest.raises(CannotLoad, match=r"No weights of lenet5 are published here\.\n    Any file can be named"):
        load("lenet5", weights="imagenet")
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF")
    with pytest.raises(CannotRead, match=r'".h5" is no file of weights'):
        load("resnet18", weights=tmp_path / "weights.h5")


def test_an_untrained_network_has_no_report() -> None:
    model = load("lenet5", classes=3, in_channels=3)
    assert model.report is None
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 3)
