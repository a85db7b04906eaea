"""`pillow_inr.keras_model`, as programs import it before they load a saved model; the code is in `models.siren`."""

from .models.siren.keras_model import DataRange, ImageModel, image_model

__all__ = ["DataRange", "ImageModel", "image_model"]
