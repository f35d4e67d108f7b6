"""The modules torch lacks, each alone: against loops and formulas, gradients in float64, compiled whole, exported."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from striate.blueprint import CannotBuild
from striate.nn import (
    DropPath,
    FractionalMaxPool2d,
    LocallyConnected1d,
    LocallyConnected2d,
    LocalResponseNorm,
    Pad,
    PositionBias,
    RadialBasis,
    ScaledTanh,
)

MODULES = {
    "locally connected 1d": (lambda: LocallyConnected1d(4, 6, 11, 3, 2, 1, 1, 2), (4, 11)),
    "locally connected 2d": (lambda: LocallyConnected2d(4, 6, (7, 9), (3, 2), (2, 1), (1, 0), (1, 2), 2), (4, 7, 9)),
    "locally connected bare": (lambda: LocallyConnected2d(2, 3, 6, 3, padding=((0, 1), (2, 0)), bias=False), (2, 6, 6)),
    "position bias": (lambda: PositionBias((3, 4, 5)), (3, 4, 5)),
    "response norm": (lambda: LocalResponseNorm(5, 0.1, 0.75, 2.0, average=False), (8, 4, 4)),
    "response norm averaged": (lambda: LocalResponseNorm(5, 0.1, 0.75, 2.0), (8, 4, 4)),
    "fractional pool": (lambda: FractionalMaxPool2d(2, 0.7), (2, 9, 11)),
    "fractional pool random": (lambda: FractionalMaxPool2d(3, 0.5, "random", seed=3), (2, 9, 11)),
    "drop path": (lambda: DropPath(0.5), (2, 4, 4)),
    "pad": (lambda: Pad(((0, 1), (-1, 2)), 3), (2, 5, 5)),
    "radial basis": (lambda: RadialBasis((0b10, 0b11), 2), (2, 1, 1)),
    "scaled tanh": (ScaledTanh, (2, 3, 3)),
}
swept = pytest.mark.parametrize("name", MODULES)


def made(name, n=2):
    torch.manual_seed(0)
    make, shape = MODULES[name]
    return make(), torch.randn(n, *shape)


@swept
def test_gradients_in_double_precision(name):
    module, x = made(name)
    module = module.double().eval()
    weights = {key: value.detach().requires_grad_() for key, value in module.named_parameters()}

    def run(x, *values):
        return torch.func.functional_call(module, dict(zip(weights, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x.double().requires_grad_(), *weights.values()))


@swept
def test_compiles_without_a_graph_break(name):
    module, x = made(name)
    for training in (True, False):
        torch._dynamo.reset()
        module.train(training)
        out = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
        torch.manual_seed(1)
        wanted = module(x)
        assert out.shape == wanted.shape
        if not training:  # in training, compiled code draws its own random numbers
            torch.testing.assert_close(out, wanted)


@swept
def test_exports_to_onnx_with_the_same_answer(name, tmp_path):
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the dev extra")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the dev extra")
    module, x = made(name, 3)
    module.eval()
    path = tmp_path / "model.onnx"
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(module, (x,), path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False, external_data=False)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n in (3, 5):
        x = torch.randn(n, *x.shape[1:])
        [out] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(out, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def looped(module, x):
    """A locally connected layer, one multiply-add at a time."""
    pads, groups = module.pads, module.groups
    x = nn.functional.pad(x, pads)
    n, read = x.shape[0], x.shape[1] // groups
    made_each = module.out_channels // groups
    out = torch.zeros(n, module.out_channels, *module.grid, dtype=x.dtype)
    for position in product(*map(range, module.grid)):
        for o, c, offset in product(range(module.out_channels), range(read), product(*map(range, module.kernel_size))):
            places = [
                p * s + d * k for p, s, d, k in zip(position, module.stride, module.dilation, offset, strict=True)
            ]
            weight = module.weight[(*position, o, c, *offset)]
            out[(slice(None), o, *position)] += weight * x[(slice(None), o // made_each * read + c, *places)]
        if module.bias is not None:
            out[(slice(None), slice(None), *position)] += module.bias[(slice(None), *position)]
    return out


@pytest.mark.parametrize("name", [name for name in MODULES if "locally" in name])
def test_locally_connected_is_its_loops(name):
    module, x = made(name)
    with torch.no_grad():
        torch.testing.assert_close(module(x), looped(module, x))


def test_locally_connected_with_one_set_of_weights_is_a_convolution():
    local = LocallyConnected2d(4, 6, 9, 3, 2, 1, groups=2)
    conv = nn.Conv2d(4, 6, 3, 2, 1, groups=2)
    with torch.no_grad():
        local.weight.copy_(conv.weight.expand_as(local.weight))
        local.bias.copy_(conv.bias[:, None, None].expand_as(local.bias))
    x = torch.randn(3, 4, 9, 9)
    torch.testing.assert_close(local(x), conv(x))


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ((4, 6, 9, 3, 1, 0, 1, 3), "do not divide the channels"),
        ((4, 6, 2, 3), "wider than its padded input"),
    ],
)
def test_locally_connected_refuses_what_it_cannot_be(sizes, why):
    with pytest.raises(CannotBuild, match=why):
        LocallyConnected2d(*sizes)


def test_response_norm_in_both_published_forms():
    x = torch.rand(1, 7, 2, 2)
    square = nn.functional.pad(x.square(), (0, 0, 0, 0, 2, 2))
    summed = sum(square[:, i : i + 7] for i in range(5))
    paper, caffe = LocalResponseNorm(5, 0.3, 0.75, 2.0, average=False), LocalResponseNorm(5, 0.3, 0.75, 2.0)
    torch.testing.assert_close(paper(x), x / (2 + 0.3 * summed) ** 0.75)
    torch.testing.assert_close(caffe(x), x / (2 + 0.3 / 5 * summed) ** 0.75)


@pytest.mark.parametrize("kind", ["pseudo", "random"])
@pytest.mark.parametrize(("n", "ratio"), [(25, 0.7), (12, 0.5), (9, 0.35), (7, 0.9)])
def test_fractional_windows_cover_the_input_in_steps_of_two_sizes(kind, n, ratio):
    pool = FractionalMaxPool2d(2, ratio, kind)
    for _ in range(20):
        starts = pool.starts(n, 0, torch.device("cpu"))
        steps = starts.diff()
        assert len(starts) == int(n * ratio)
        assert (starts[0], starts[-1]) == (0, n - 2)
        assert steps.max() - steps.min() <= 1
        assert steps.min() >= 1


def test_fractional_pooling_is_random_in_training_and_fixed_in_evaluation():
    pool, x = FractionalMaxPool2d(2, 0.6, seed=1), torch.randn(2, 3, 31, 31)
    assert len({tuple(pool.starts(31, 0, x.device).tolist()) for _ in range(20)}) > 1
    pool.eval()
    assert torch.equal(pool(x), pool(x))
    assert not torch.equal(pool(x), FractionalMaxPool2d(2, 0.6, seed=2).eval()(x))
    with pytest.raises(CannotBuild, match="windows of 2"):
        pool(torch.randn(1, 1, 1, 1))
    with pytest.raises(CannotBuild, match="ratio between 0 and 1"):
        FractionalMaxPool2d(2, 1.5)


def test_drop_path_keeps_the_mean_and_is_nothing_in_evaluation():
    drop, x = DropPath(0.25), torch.ones(4000, 1, 1, 1)
    torch.manual_seed(0)
    out = drop(x)
    assert out.unique().tolist() == [0, pytest.approx(1 / 0.75)]
    assert out.mean() == pytest.approx(1, abs=0.03)
    assert drop.eval()(x) is x


def test_zero_padded_shortcut():
    x = torch.randn(2, 4, 6, 6)
    out = Pad(((0, 0), (0, 0)), 4)(x[:, :, ::2, ::2])
    assert out.shape == (2, 8, 3, 3)
    assert torch.equal(out[:, :4], x[:, :, ::2, ::2])
    assert not out[:, 4:].any()


def test_distances_to_codes():
    basis = RadialBasis((0b01, 0b10), 2)
    out = basis(torch.tensor([[-1.0, 1.0], [0.0, 0.0]])[..., None, None])
    assert out.flatten(1).tolist() == [[0, -8], [-2, -2]]
