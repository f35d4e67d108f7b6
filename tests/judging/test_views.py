"""Several views of an image against the same crops by hand: real weights, real photos."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from small import network
from striate import load, nn
from striate.blueprint import (
    Activation,
    CannotLoad,
    CannotRead,
    CannotTrain,
    Conv,
    Linear,
    NotFound,
    Relu,
    Seq,
)
from striate.data import Images, Preprocessing, Splits, Streamed, read_image
from striate.data.pictures import File
from striate.judging import evaluate
from striate.judging.asked import ask
from striate.judging.metrics import measured
from striate.judging.trained import preprocessing_of
from striate.judging.views import KINDS, Part, Views
from striate.nn import Network

PHOTO = Preprocessing(3, (224, 224), (224, 224), (0.5,) * 3, (0.25,) * 3, 256)


@pytest.fixture(scope="module")
def squeezenet(shared: Path) -> Network:
    return load("squeezenet1_0", weights=shared / "weights/squeezenet1_0_deepcompression/squeezenet1_0.npz")


def photos(shared: Path, model: Network, count: int = 4) -> Streamed:
    """Some of the bees, as files."""
    files = sorted((shared / "hymenoptera/val/bees").glob("*.jpg"))[:count]
    classes = tuple(model.metadata["classes"])
    labels = torch.full((len(files),), classes.index("bee"))
    return Streamed(tuple(File(file) for file in files), labels, classes, "bees", preprocessing_of(model))


def normal(x: Tensor, rule: Preprocessing) -> Tensor:
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (rule.mean, rule.std))
    return (x / 255 - mean) / std


def large(file: File, short: int) -> Tensor:
    pixels = read_image(file.path).unsqueeze(0)
    scale = short / min(pixels.shape[2:])
    size = [max(short, round(n * scale)) for n in pixels.shape[2:]]
    for step in ([size[0], pixels.shape[3]], size):  # rows, then columns, each rounded to bytes
        if step != [*pixels.shape[2:]]:
            pixels = F.interpolate(pixels, step, mode="bilinear", antialias=True)
    return pixels


@torch.inference_mode()
def test_ten_crops_by_hand(squeezenet: Network, shared: Path) -> None:
    data = photos(shared, squeezenet)
    expected = []
    for picture in data.pictures:
        assert isinstance(picture, File)
        image = large(picture, 256)
        height, width = image.shape[2:]
        middle = (height - 227) // 2, (width - 227) // 2
        crops = []
        for top, left in ((0, 0), (0, width - 227), (height - 227, 0), (height - 227, width - 227), middle):
            crop = image[:, :, top : top + 227, left : left + 227]
            crops += [crop, crop.flip(3)]
        expected.append(squeezenet(normal(torch.cat(crops), preprocessing_of(squeezenet))).softmax(1).mean(0))
    found = ask(squeezenet, data, Views("ten-crop"))
    torch.testing.assert_close(found.shares.exp(), torch.stack(expected), rtol=1e-4, atol=1e-6)
    metrics = evaluate(squeezenet, data, views="ten-crop")
    assert metrics.top1 == measured(torch.stack(expected).log(), data.labels, data.classes).top1


@torch.inference_mode()
def test_scales_weigh_the_same_and_so_do_crops_and_the_whole_image(squeezenet: Network, shared: Path) -> None:
    data, rule = photos(shared, squeezenet, 2), preprocessing_of(squeezenet)
    crops, wholes = [], []
    for picture in data.pictures:
        assert isinstance(picture, File)
        images = [large(picture, side) for side in (240, 256)]
        centres = []
        for image in images:
            top, left = (image.shape[2] - 227) // 2, (image.shape[3] - 227) // 2
            centres.append(image[:, :, top : top + 227, left : left + 227])
        crops.append(squeezenet(normal(torch.cat(centres), rule)).softmax(1).mean(0))
        faces = [face for image in images for face in (image, image.flip(3))]
        wholes.append(torch.cat([squeezenet(normal(face, rule)).softmax(1) for face in faces]).mean(0))
    close = {"rtol": 1e-4, "atol": 1e-6}
    found = ask(squeezenet, data, Views(scales=(240, 256))).shares.exp()
    torch.testing.assert_close(found, torch.stack(crops), **close)
    found = ask(squeezenet, data, Views(scales=(240, 256), dense=True)).shares.exp()
    torch.testing.assert_close(found, (torch.stack(crops) + torch.stack(wholes)) / 2, **close)


def test_where_crops_lie() -> None:
    """Of an image whose pixels say where they are: row × 16 + column."""
    pixels = (torch.arange(12)[:, None] * 16 + torch.arange(16)).to(torch.uint8).view(1, 1, 12, 16)
    rule = Preprocessing(1, (6, 6), (6, 6))

    def firsts(kind: str) -> list[tuple[int, int]]:
        views = Part(kind, (), False).cut(pixels, rule)
        return [divmod(int(view[0, 0, 0]), 16) for view in views[0]]

    assert firsts("centre") == [(3, 5)]
    assert firsts("ten-crop") == [(0, 0), (0, 10), (6, 0), (6, 10), (3, 5)]
    corners = [(0, 0), (0, 6), (6, 0), (6, 6), (3, 3)]
    multi = firsts("multi-crop")
    for third, left in enumerate((0, 2, 4)):
        assert multi[6 * third : 6 * third + 5] == [(row, column + left) for row, column in corners]
    assert firsts("grid") == [(row, column) for row in (0, 1, 3, 4, 6) for column in (0, 2, 5, 7, 10)]
    square = F.interpolate(pixels[..., 4:], [6, 6], mode="bilinear", antialias=True)
    assert Part("multi-crop", (), False).cut(pixels, rule)[0, 17].equal(square[0])
    mirrored = Part("ten-crop", (), True).cut(pixels, rule)
    assert mirrored[:, 5:].equal(mirrored[:, :5].flip(-1))


@pytest.mark.parametrize(
    ("kind", "count", "scales"),
    [
        ("centre", 1, (256,)),
        ("ten-crop", 10, (256,)),
        ("multi-crop", 144, (256, 288, 320, 352)),
        ("grid", 150, (256, 384, 512)),
        ("dense", 2, (256,)),
    ],
)
def test_as_many_views_as_the_papers_had(kind: str, count: int, scales: tuple[int, ...]) -> None:
    [part] = Views(kind).parts(PHOTO)
    assert part.scales == scales
    views = part.cut(torch.zeros(1, 3, 256, 300, dtype=torch.uint8), PHOTO)
    assert views.shape[1] * len(scales) == count
    assert (count > 2) == KINDS[kind].corners


def test_a_rule_without_a_short_side_gets_the_share_that_256_is_of_224() -> None:
    rule = Preprocessing(3, (32, 32), (32, 32), (0.5,) * 3, (0.25,) * 3)
    assert Views("ten-crop").parts(rule)[0].scales == (37,)
    assert Views("dense").parts(rule)[0].scales == (0,)


def test_resident_or_streamed_in_parts_or_at_once(
    squeezenet: Network, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((shared / "hymenoptera/val/ants").glob("*.jpg"))
    grid = read_image(files[0]).shape
    alike = [file for file in files if read_image(file).shape == grid][:3]
    assert len(alike) == 3
    classes, labels = tuple(squeezenet.metadata["classes"]), torch.zeros(3, dtype=torch.int64)
    streamed = Streamed(tuple(File(file) for file in alike), labels, classes, "ants", preprocessing_of(squeezenet))
    resident = Images(torch.stack([read_image(file) for file in alike]), labels, classes, "ants")
    views = Views("ten-crop", (256, 270))
    whole = ask(squeezenet, streamed, views)
    for name, value in (("CELLS", 227 * 227 * 3), ("RUN", 1), ("MANY", 2)):
        monkeypatch.setattr(f"striate.judging.asked.{name}", value)
    seen: list[int] = []
    parts = ask(squeezenet, streamed, views, tick=seen.append)
    torch.testing.assert_close(whole.shares, parts.shares, rtol=1e-4, atol=1e-4)
    assert seen == [1, 2, 3]
    torch.testing.assert_close(whole.shares, ask(squeezenet, resident, views).shares, rtol=1e-4, atol=1e-4)


def test_one_crop_is_what_the_plain_network_sees(learnt: Path, digits: Splits) -> None:
    model = nn.load(learnt / "model.safetensors").train()
    plain, viewed = evaluate(model, digits), evaluate(model, digits, views="centre")
    assert model.training
    assert viewed.confusion.equal(plain.confusion)
    assert viewed.loss == pytest.approx(plain.loss, rel=1e-4)


def test_zeros_around_an_image_are_no_part_of_it() -> None:
    """28×28 in 32×32, prepared or not, is cut and scaled as 28×28, and gets its zeros afterwards."""
    rule = Preprocessing(1, (28, 28), (32, 32), (0.1,), (0.3,))
    pixels = torch.randint(1, 256, (5, 1, 28, 28), dtype=torch.uint8)
    model = nn.build("lenet5")
    said = [
        ask(model, Images(x, torch.zeros(5, dtype=torch.int64), tuple("0123456789"), "digits"), Views("ten-crop"), rule)
        for x in (pixels, F.pad(pixels, (2, 2, 2, 2)))
    ]
    assert said[0].shares.equal(said[1].shares)
    [part] = Views("ten-crop").parts(rule)
    views = part.cut(F.pad(pixels, (2, 2, 2, 2), value=9), rule)
    assert views.shape == (5, 10, 1, 32, 32)
    assert not views[..., :2, :].any()
    assert views[..., 2:30, 2:30].all()


def test_a_photo_that_cannot_be_read_is_left_out_and_many_are_refused(
    squeezenet: Network, shared: Path, tmp_path: Path
) -> None:
    data = photos(shared, squeezenet, 24)
    broken = tmp_path / "broken.jpg"
    broken.write_text("no")
    some = Streamed((File(broken), *data.pictures[1:]), data.labels, data.classes, "bees", data.rule)
    found = ask(squeezenet, some, Views())
    assert found.which.tolist() == list(range(1, 24))
    assert [skipped.path for skipped in found.skipped] == [broken]
    torch.testing.assert_close(found.shares[:3], ask(squeezenet, data[1:4], Views()).shares, rtol=1e-4, atol=1e-4)
    with pytest.raises(CannotRead, match="1 of its 2 images cannot be read"):
        ask(squeezenet, some[:2], Views())


def test_refusals(digits: Splits) -> None:
    with pytest.raises(NotFound, match=r'No view "tencrop"\. Near: ten-crop'):
        Views("tencrop")
    with pytest.raises(CannotTrain) as refused:
        Views("grid", (256, 128)).parts(PHOTO)
    assert str(refused.value) == (
        "Cannot cut 224×224 out of an image whose short side is 128.\n"
        "    224×224 is what the model reads: scales from 224, for instance 256."
    )
    with pytest.raises(CannotTrain, match="Cannot scale images to a short side of 9000: sides go from 1 to 4,096"):
        Views("dense", (9000,)).parts(PHOTO)
    with pytest.raises(CannotTrain, match="Cannot slide Linear over whole images: its layers are not known"):
        ask(torch.nn.Linear(2, 2), digits.test, Views("dense"), digits.preprocessing)
    grids = network(Seq(conv=Conv(10, 3)))
    with pytest.raises(CannotTrain, match="Cannot judge 10×6×6 outputs by 10 classes"):
        evaluate(grids, digits, views="ten-crop")
    with pytest.raises(CannotTrain, match="there are no images"):
        ask(network(), digits.test[:0], Views(), digits.preprocessing)


def test_answers_that_are_no_numbers(digits: Splits) -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("fc.weight").fill_(float("nan"))
    with pytest.raises(CannotLoad, match="Cannot judge this model: its answers are not numbers"):
        ask(model, digits.test[:8], Views(), digits.preprocessing)


def test_a_network_that_ends_in_a_softmax_is_not_given_another(digits: Splits) -> None:
    layers = {"conv": Conv(4, 3), "act": Relu, "fc": Linear(10)}
    plain, ended = network(Seq(**layers)), network(Seq(**layers, softmax=Activation("softmax")))
    ended.load_state_dict(plain.state_dict())
    for views in (None, "ten-crop", "dense"):
        one, two = (evaluate(model, digits, views=views) for model in (plain, ended))
        assert one.loss == pytest.approx(two.loss, rel=1e-4)
