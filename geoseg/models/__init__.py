"""Models: the spec that is enforced, the networks behind it, saving, loading and fitting."""

from geoseg.models.predictor import NetworkPredictor, Predictor
from geoseg.models.spec import ModelSpec
from geoseg.models.store import load_model, save_model

__all__ = ["ModelSpec", "NetworkPredictor", "Predictor", "load_model", "save_model"]
