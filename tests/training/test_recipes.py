"""Each recipe of the literature against its paper's own sentences."""

from __future__ import annotations

import dataclasses
from math import isfinite
from typing import Any

import pytest
import torch

from small import network
from striate.blueprint import draft
from striate.data import Splits, augmentations
from striate.nn import build
from striate.training import Recipe, Step, train
from striate.training.optimise import rate
from striate.training.prepare import prepared
from striate.training.recipes import RECIPES
from striate.zoo import call

SGD = {"optimizer": "sgd", "momentum": 0.9, "decay_all": True, "warm_up": 0.0}
# The papers' words beside what they became. What is not said in a paper is not here.
PAPERS: dict[str, dict[str, Any]] = {
    "lenet5-1998": {
        "epochs": 20,  # "twenty iterations through the entire training data"
        "batch_size": 1,  # "stochastic": the weights are updated after each pattern
        "optimizer": "sgd",
        "momentum": 0.0,
        "lr": 0.0005,  # "0.0005 for the first two passes, 0.0002 for the next three, ..."
        "initialise": "lecun",  # "a uniform distribution between -2.4/F_i and 2.4/F_i"
    },
    "alexnet-2012": {
        **SGD,
        "batch_size": 128,  # "a batch size of 128 examples, momentum of 0.9, and weight decay of 0.0005"
        "weight_decay": 5e-4,
        "lr": 0.01,  # "initialized at 0.01 and reduced three times prior to termination"
        "schedule": "plateau",  # "divide the learning rate by 10 when the validation error rate stopped improving"
        "factor": 0.1,
        "epochs": 90,  # "roughly 90 cycles through the training set"
        "dropout": 0.5,  # "with probability 0.5"
        "initialise": "gaussian(0.01)",  # "a zero-mean Gaussian distribution with standard deviation 0.01"
        # "the neuron biases in the second, fourth, and fifth convolutional layers, as well as in the fully-connected
        # hidden layers, with the constant 1"
        "ones": ("conv2", "conv4", "conv5", "fc6", "fc7"),
    },
    "vgg-2014": {
        **SGD,
        "batch_size": 256,  # "The batch size was set to 256, momentum to 0.9."
        "weight_decay": 5e-4,  # "the L2 penalty multiplier set to 5·10^-4"
        "dropout": 0.5,  # "dropout ratio set to 0.5"
        "lr": 0.01,  # "initially set to 10^-2, and then decreased by a factor of 10 when the validation set accuracy
        "schedule": "plateau",  # stopped improving"
        "factor": 0.1,
        "epochs": 74,  # "stopped after 370K iterations (74 epochs)"
        "initialise": "gaussian(0.1)",  # "zero mean and 10^-2 variance", the variance being the deviation's square
    },
    "googlenet-2014": {
        **SGD,  # "asynchronous stochastic gradient descent with 0.9 momentum"
        "schedule": "exponential",  # "decreasing the learning rate by 4% every 8 epochs"
        "factor": 0.96,
        "every": 8,
        "ema": "polyak",  # "Polyak averaging was used to create the final model"
        "auxiliary": 0.3,  # "the losses of the auxiliary classifiers were weighted by 0.3"
        "dropout": None,  # 40 % and 70 %: the network brings both
    },
    "resnet-2015": {
        **SGD,  # "a weight decay of 0.0001 and a momentum of 0.9"
        "weight_decay": 1e-4,
        "batch_size": 256,  # "a mini-batch size of 256"
        "lr": 0.1,  # "starts from 0.1 and is divided by 10 when the error plateaus"
        "schedule": "plateau",
        "factor": 0.1,
        "epochs": 120,  # "up to 60×10^4 iterations", of 256, of 1.28 million images
        "initialise": "he",  # "We initialize the weights as in [13]"
        "dropout": None,  # "We do not use dropout"
    },
    "resnet-cifar-2015": {
        **SGD,
        "weight_decay": 1e-4,  # "a weight decay of 0.0001 and momentum of 0.9"
        "batch_size": 128,  # "a mini-batch size of 128"
        "lr": 0.1,  # "a learning rate of 0.1, divide it by 10 at 32k and 48k iterations, and terminate at 64k"
        "schedule": "step",
        "milestones": (32 / 64, 48 / 64),
        "factor": 0.1,
        "epochs": 182,  # 64,000 · 128 / 45,000
        "augment": "padded-crop(4), flip",  # "4 pixels are padded on each side, and a 32×32 crop ... or its flip"
        "validation": 0.1,  # "a 45k/5k train/val split"
        "initialise": "he",
    },
    "densenet": {
        **SGD,
        "batch_size": 64,  # "batch size 64 for 300 and 40 epochs"
        "epochs": 300,
        "lr": 0.1,  # "set to 0.1, and is divided by 10 at 50% and 75% of the total number of training epochs"
        "milestones": (0.5, 0.75),
        "factor": 0.1,
        "weight_decay": 1e-4,  # "a weight decay of 10^-4 and a Nesterov momentum of 0.9 without dampening"
        "nesterov": True,
        "initialise": "he",  # "the weight initialization introduced by [10]"
    },
    "wide-resnet": {
        **SGD,
        "nesterov": True,  # "SGD with Nesterov momentum"
        "lr": 0.1,  # "initial learning rate is set to 0.1, weight decay to 0.0005, dampening to 0, momentum to 0.9
        "weight_decay": 5e-4,
        "batch_size": 128,  # and minibatch size to 128"
        "milestones": (60 / 200, 120 / 200, 160 / 200),  # "dropped by 0.2 at 60, 120 and 160 epochs and we train for
        "factor": 0.2,
        "epochs": 200,  # total 200 epochs"
    },
    "mobilenet": {
        "optimizer": "rmsprop",  # "RMSPropOptimizer with both decay and momentum set to 0.9"
        "momentum": 0.9,
        "second": 0.9,
        "weight_decay": 4e-5,  # "standard weight decay is set to 0.00004"
        "lr": 0.045,  # "initial learning rate of 0.045, and learning rate decay rate of 0.98 per epoch"
        "schedule": "exponential",
        "factor": 0.98,
        "every": 1,
        "batch_size": 96,  # "16 GPU asynchronous workers, and a batch size of 96"
    },
    "efficientnet": {
        "optimizer": "rmsprop",  # "RMSProp optimizer with decay 0.9 and momentum 0.9"
        "momentum": 0.9,
        "second": 0.9,
        "weight_decay": 1e-5,  # "weight decay 1e-5; initial learning rate 0.256 that decays by 0.97 every 2.4 epochs"
        "lr": 0.256,
        "schedule": "exponential",
        "factor": 0.97,
        "every": 2.4,
        "drop_path": 0.2,  # "stochastic depth with survival probability 0.8"
    },
    "airbench-2024": {
        "label_smoothing": 0.2,  # section 3.1
        "augment": "alternating-flip, mirrored-crop(2)",  # sections 3.6 and 3.1
        "initialise": "identity",  # section 3.3
        "whiten": "whiten.conv",  # section 3.2
    },
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_is_its_paper_s(name: str) -> None:
    recipe = RECIPES[name]
    assert {field: getattr(recipe, field) for field in PAPERS[name]} == PAPERS[name]
    assert ", section" in recipe.paper or "sections" in recipe.paper


def test_which_there_are() -> None:
    assert set(RECIPES) == {*PAPERS, "default", "fast-mnist", "fast-cifar"}
    assert RECIPES["default"] == Recipe()
    assert all(recipe.name == name for name, recipe in RECIPES.items())


def test_lenet5_s_table_of_step_sizes() -> None:
    """Section VII.B: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then 0.00001."""
    recipe, each = RECIPES["lenet5-1998"], 100
    rates = [rate(recipe, each * epoch + 50, 20 * each) for epoch in range(20)]
    table = [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    assert rates == pytest.approx(table)
    assert rate(recipe, 2 * each, 20 * each) == 0.0005  # the last step of the second pass
    assert rate(recipe, 2 * each + 1, 20 * each) == pytest.approx(0.0002)


SCALES = {"alexnet-2012": (256, 256), "vgg-2014": (256, 512), "resnet-2015": (256, 480)}  # of the short side


@pytest.mark.parametrize("name", SCALES)
def test_crops_of_224_from_sides_of(name: str) -> None:
    crop, flip, colour = augmentations(RECIPES[name].augment)
    assert (crop.least, crop.most, crop.crop) == (*SCALES[name], 224)  # type: ignore[attr-defined]
    assert (flip.share, colour.deviation) == (0.5, 0.1)  # type: ignore[attr-defined]


def test_googlenet_s_patches() -> None:
    """Section 6: "between 8% and 100% of the image area", "aspect ratio in the interval [3/4, 4/3]"."""
    crop = augmentations(RECIPES["googlenet-2014"].augment)[0]
    assert (crop.area, crop.aspect) == ((0.08, 1.0), (3 / 4, pytest.approx(4 / 3)))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "network"), [("alexnet-2012", "alexnet_paper"), ("vgg-2014", "vgg11"), ("lenet5-1998", "lenet5")]
)
def test_a_recipe_prepares_its_own_network(name: str, network: str) -> None:
    found, blueprint = call(network)
    model = build(draft(blueprint, found.input))
    prepared(model, RECIPES[name])
    biases = {n: p.mean().item() for n, p in model.named_parameters() if n.endswith("bias")}
    first = {n.split(".")[0] for n, value in biases.items() if value == 1}
    assert first == set(RECIPES[name].ones)
    assert {value for n, value in biases.items() if n.split(".")[0] not in first} == {0.0}


def test_every_field_of_every_recipe_goes_through_a_training(digits: Splits) -> None:
    """Four steps with each, on real digits: whatever it names exists and runs, and the run's recipe is it."""
    train_images = digits.train[torch.arange(256)]
    few = dataclasses.replace(digits, train=train_images)
    none = {"ones": (), "rates": (), "whiten": ""}  # they name parts of other networks
    for recipe in RECIPES.values():
        torch.manual_seed(0)
        model = network()
        steps = [
            event
            for event in train(model, few, recipe, epochs=1, batch_size=64, lr=1e-3, threads=1, validation=0.25, **none)
            if isinstance(event, Step)
        ]
        assert len(steps) == -(-3 // recipe.accumulate)
        assert all(isfinite(step.loss) for step in steps)
