"""Images to learn from and to be judged by: read, fitted to a network, and dealt out in batches."""

from striate.data.batches import Batches
from striate.data.decode import read_image
from striate.data.images import Images, Skipped, Splits, stratified
from striate.data.preprocessing import Preprocessing
from striate.data.sources import open_data

__all__ = ["Batches", "Images", "Preprocessing", "Skipped", "Splits", "open_data", "read_image", "stratified"]
