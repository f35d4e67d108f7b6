"""The recipes of the literature, each from its paper, and ours. What a paper leaves open stands beside its recipe.

Not one of them is a promise of the paper's figure: they were made for the paper's data, mostly ImageNet, and for its
batches on its machines. Milestones are shares of the steps, so that a recipe keeps its shape when `epochs` is another.
"Divided by 10 when the error plateaus" was done by hand: how long they waited is ours (`patience`).
"""

from __future__ import annotations

from typing import Any

from striate.training.recipe import Recipe

# SGD as most of them have it. Momentum is Polyak's where nothing else is said, and everything decays, norms and biases
# too: to spare those was the custom of later years (He et al. 2018, arXiv 1812.01187, section 3.1).
SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.9, "nesterov": False, "warm_up": 0.0, "decay_all": True}
TENTH_BY_HAND: dict[str, Any] = {"schedule": "plateau", "factor": 0.1, "patience": 5}
CIFAR = "padded-crop(4), flip"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Ours, and what anybody gets unasked.
        Recipe(),
        # One pattern a step, 20 passes, and the table of global step sizes of section VII.B. Each weight's own step
        # was that over (0.02 + its curvature), estimated by stochastic diagonal Levenberg-Marquardt (appendix C): not
        # here, all weights take the global one. Their loss was equation 9, on RBF outputs; ours is cross-entropy.
        Recipe(
            name="lenet5-1998",
            paper='LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document Recognition", '
            "section VII.B, appendices A and C",
            epochs=20,
            batch_size=1,
            optimizer="sgd",
            lr=5e-4,  # passes 1-2; then 2e-4 for three, 1e-4 for three, 5e-5 for four, 1e-5
            momentum=0.0,
            nesterov=False,
            weight_decay=0.0,
            warm_up=0.0,
            schedule="step",
            milestones=(2 / 20, 5 / 20, 8 / 20, 12 / 20),
            factor=(2 / 5, 1 / 2, 1 / 2, 1 / 5),
            initialise="lecun",
        ),
        # Section 5: "The heuristic which we followed was to divide the learning rate by 10 when the validation error
        # rate stopped improving ... initialized at 0.01 and reduced three times", "roughly 90 cycles". The biases of
        # conv2, 4, 5 and of the hidden fully connected layers start at 1. Crops of 224 from 256 (section 4.1): theirs
        # were from the central square, these from all of a picture whose short side is 256.
        Recipe(
            name="alexnet-2012",
            paper='Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural '
            'Networks", sections 4 and 5',
            epochs=90,
            batch_size=128,
            lr=0.01,
            weight_decay=5e-4,
            dropout=0.5,
            augment="scale-jitter(256, 256), flip, pca-colour(0.1)",
            initialise="gaussian(0.01)",
            ones=("conv2", "conv4", "conv5", "fc6", "fc7"),
            **SGD,
            **TENTH_BY_HAND,
        ),
        # Section 3.1: batch 256, 74 epochs, the rate cut three times; the initial weights of variance 10^-2 are net
        # A's, whose first four convolutions and three fully connected layers the deeper nets start from:
        # --start-from a run of vgg11. Scales from 256 to 512 at random; "random RGB colour shift [Krizhevsky]".
        Recipe(
            name="vgg-2014",
            paper='Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", '
            "arXiv 1409.1556, section 3.1",
            epochs=74,
            batch_size=256,
            lr=0.01,
            weight_decay=5e-4,
            dropout=0.5,
            augment="scale-jitter(256, 512), flip, pca-colour(0.1)",
            initialise="gaussian(0.1)",
            **SGD,
            **TENTH_BY_HAND,
        ),
        # Section 6: momentum 0.9, 4 % less every 8 epochs, Polyak averaging, patches of 8 to 100 % of the area,
        # aspects from 3/4 to 4/3, photometric distortions (Howard 2013). Section 5: 0.3 of the auxiliary losses;
        # dropout of 40 % and 70 %, which the network brings. Left open: learning rate, batch, decay, epochs; these
        # are those of Caffe's bvlc_googlenet. Flips are Howard's, too. They ran asynchronously, on many machines.
        Recipe(
            name="googlenet-2014",
            paper='Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv 1409.4842, sections 5 and 6',
            epochs=250,
            batch_size=32,
            lr=0.01,
            weight_decay=2e-4,
            schedule="exponential",
            factor=0.96,
            every=8,
            auxiliary=0.3,
            augment="resized-crop(None, (0.08, 1.0), (0.75, 1.3333333333333333)), flip, colour-jitter(0.4, 0.4, 0.4)",
            ema="polyak",
            **SGD,
        ),
        # Section 3.4: He's initialisation, BatchNorm after every convolution (the network's), batch 256, 0.1 divided
        # by 10 on plateaus, up to 60·10^4 iterations (120 epochs), decay 1e-4 (a lecture says 1e-5), no dropout, the
        # short side from 256 to 480 at random, crops of 224, flips, AlexNet's colour.
        Recipe(
            name="resnet-2015",
            paper='He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, '
            "section 3.4",
            epochs=120,
            batch_size=256,
            lr=0.1,
            weight_decay=1e-4,
            augment="scale-jitter(256, 480), flip, pca-colour(0.1)",
            initialise="he",
            **SGD,
            **TENTH_BY_HAND,
        ),
        # Section 4.2: batch 128, 0.1 divided by 10 at 32k and 48k of 64k iterations (182 epochs of 45,000 images;
        # 5,000 are held out), decay 1e-4. With 110 layers they began at 0.01 until the error was below 80 %, about
        # 400 iterations: --set warm_up=0.00625 is the like of it.
        Recipe(
            name="resnet-cifar-2015",
            paper='He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, '
            "section 4.2",
            epochs=182,
            batch_size=128,
            lr=0.1,
            weight_decay=1e-4,
            schedule="step",
            milestones=(0.5, 0.75),
            augment=CIFAR,
            initialise="he",
            **SGD,
        ),
        # Section 4.2, CIFAR: batch 64, 300 epochs, a tenth at 50 % and 75 %, decay 1e-4, Nesterov 0.9, He's
        # initialisation. On ImageNet: batch 256, 90 epochs, a tenth at 30 and 60. Without augmentation, dropout 0.2.
        Recipe(
            name="densenet",
            paper='Huang, Liu, van der Maaten & Weinberger 2016, "Densely Connected Convolutional Networks", '
            "arXiv 1608.06993, section 4.2",
            epochs=300,
            batch_size=64,
            lr=0.1,
            weight_decay=1e-4,
            schedule="step",
            milestones=(0.5, 0.75),
            augment=CIFAR,
            initialise="he",
            **{**SGD, "nesterov": True},
        ),
        # Section 3: batch 128, 200 epochs, a fifth at 60, 120 and 160, decay 5e-4, Nesterov 0.9. Left open: the
        # initial weights; He's, as in the authors' code. Section 2.4's dropout of 0.3 is --set dropout=0.3.
        Recipe(
            name="wide-resnet",
            paper='Zagoruyko & Komodakis 2016, "Wide Residual Networks", arXiv 1605.07146, section 3',
            epochs=200,
            batch_size=128,
            lr=0.1,
            weight_decay=5e-4,
            schedule="step",
            milestones=(0.3, 0.6, 0.8),
            factor=0.2,
            augment=CIFAR,
            initialise="he",
            **{**SGD, "nesterov": True},
        ),
        # MobileNetV2, section 6.1: RMSprop with decay and momentum 0.9, decay of weights 4e-5, 0.045 times 0.98 every
        # epoch, batch 96 on each of 16 asynchronous workers: one worker's batch here. Left open: epochs, augmentation
        # (Inception's, which the first MobileNet cites), eps; 1.0 is Inception's (arXiv 1512.00567, section 8). There
        # eps stands under the root and squares begin at 1; here it is added to the root, and they begin at 0.
        Recipe(
            name="mobilenet",
            paper='Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, '
            "section 6.1",
            epochs=300,
            batch_size=96,
            optimizer="rmsprop",
            lr=0.045,
            momentum=0.9,
            second=0.9,
            eps=1.0,
            weight_decay=4e-5,
            warm_up=0.0,
            schedule="exponential",
            factor=0.98,
            every=1,
            augment="resized-crop, flip",
        ),
        # Section 5.2: RMSprop with decay and momentum 0.9, decay of weights 1e-5, 0.256 times 0.97 every 2.4 epochs,
        # survival of 0.8 at the deepest branch; dropout is the network's (0.2 for B0, 0.5 for B7). Left open, and the
        # authors' code's: batch 4,096, 350 epochs, 5 of warming up, eps 1e-3, label smoothing 0.1, EMA 0.9999. Their
        # searched AutoAugment is not here; TrivialAugment (Müller & Hutter 2021) stands in its place.
        Recipe(
            name="efficientnet",
            paper='Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", '
            "arXiv 1905.11946, section 5.2",
            epochs=350,
            batch_size=256,
            accumulate=16,
            optimizer="rmsprop",
            lr=0.256,
            momentum=0.9,
            second=0.9,
            eps=1e-3,
            weight_decay=1e-5,
            warm_up=5 / 350,
            schedule="exponential",
            factor=0.97,
            every=2.4,
            label_smoothing=0.1,
            drop_path=0.2,
            augment="resized-crop, flip, trivial-augment",
            ema=0.9999,
        ),
        # Ours: MNIST to 99 % on two cores, for networks like LeNet-5.
        Recipe(
            name="fast-mnist",
            epochs=3,
            batch_size=128,
            optimizer="sgd",
            lr=0.1,
            momentum=0.9,
            weight_decay=5e-4,
            warm_up=0.25,
            validation=0.0,
        ),
        # Ours: CIFAR-10 on two cores within the hour, for ResNet-20.
        Recipe(
            name="fast-cifar",
            epochs=40,
            batch_size=128,
            optimizer="sgd",
            lr=0.4,
            momentum=0.9,
            weight_decay=5e-4,
            warm_up=0.25,
            label_smoothing=0.1,
            augment=CIFAR,
            initialise="he",
        ),
    )
}
