"""Images to learn from and to be judged by: read, fitted to a network, augmented, and dealt out in batches."""

from striate.data.augment import Augmentation, Erasing, Flip, PaddedCrop, ResizedCrop, augmented
from striate.data.batches import Batches
from striate.data.chance import Chance
from striate.data.colour import ColourJitter, PCAColour
from striate.data.decode import read_image
from striate.data.images import Images, Picture, Skipped, Splits, Streamed, stratified
from striate.data.mix import CutMix, Mixup
from striate.data.names import AUGMENTATIONS, MIXES, augmentations
from striate.data.preprocessing import Preprocessing
from striate.data.sources import open_data
from striate.data.stream import Stream, deal
from striate.data.trivial import TrivialAugment

__all__ = [
    "AUGMENTATIONS",
    "MIXES",
    "Augmentation",
    "Batches",
    "Chance",
    "ColourJitter",
    "CutMix",
    "Erasing",
    "Flip",
    "Images",
    "Mixup",
    "PCAColour",
    "PaddedCrop",
    "Picture",
    "Preprocessing",
    "ResizedCrop",
    "Skipped",
    "Splits",
    "Stream",
    "Streamed",
    "TrivialAugment",
    "augmentations",
    "augmented",
    "deal",
    "open_data",
    "read_image",
    "stratified",
]
