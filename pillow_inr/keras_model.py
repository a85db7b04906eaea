"""`pillow_inr.keras_model`, as programs import it before they load a saved model; the code is in `models.siren`."""

from .models.siren.keras_model import DataRange, ImageModel, image_model
from .models.siren.keras_mosaic import Mosaic

__all__ = ["DataRange", "ImageModel", "Mosaic", "image_model"]
