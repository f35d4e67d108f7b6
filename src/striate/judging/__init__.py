"""How good a trained network is, as the papers judged, and what it says of an image."""

from striate.judging.judged import images_for
from striate.judging.metrics import Metrics, evaluate
from striate.judging.predict import Prediction, predictor
from striate.judging.views import Views

__all__ = ["Metrics", "Prediction", "Views", "evaluate", "images_for", "predictor"]
