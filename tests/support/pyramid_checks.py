"""Shared by tests of pyramids: a fake that replaces the fit, and files of its results."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pillow_inr import codec
from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format.metadata import Metadata
from pillow_inr.models.pyramid import encoder as pyramid_encoder
from pillow_inr.models.pyramid import latent_coding, tile_fits
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from pillow_inr.models.pyramid.structure import Tensors, grid_sizes, shapes
from pillow_inr.options import EncodeOptions


class Fitted(NamedTuple):
    """Like `training.fit.Fitted`, which needs TensorFlow."""

    weight_residuals: dict[str, WeightResidual]
    grids: list[NDArray[np.int32]]
    tensors: Tensors
    psnr_db: float = 30.0
    rate_bits: float = 1000.0
    networks: object = None


class FakeFit:
    """Replaces the module `training.fit`: random symbols, larger ones for a smaller lambda."""

    def __init__(self, spread: float = 1.0) -> None:
        self.spread = spread
        self.calls: list[dict[str, Any]] = []

    def fit(self, image: NDArray[Any], **arguments: Any) -> Fitted:
        self.calls.append({"shape": image.shape, **arguments})
        rng = np.random.default_rng(arguments["seed"])
        height, width, channels = image.shape
        scale = self.spread * (1e-3 / arguments["rd_lambda"]) ** 0.5
        grids = [
            np.clip(np.rint(rng.laplace(0, scale, shape)), -4095, 4095).astype(np.int32)
            for shape in grid_sizes((width, height))
        ]
        weight_residuals = {
            name: WeightResidual(1, rng.integers(-2, 3, shape).astype(np.int32))
            for name, shape in shapes(arguments["preset"], channels).items()
        }
        report = arguments["report"]
        if report is not None:
            for step in (1, arguments["steps"]):
                report(step, arguments["steps"], 30.0, 1.0)
        return Fitted(weight_residuals, grids, latent_coding.apply(arguments["base"], weight_residuals))


def pyramid_file(image: NDArray[Any], metadata: Metadata | None = None) -> bytes:
    """A file for this image whose symbols are random."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_fits, "_load_fit", lambda: FakeFit().fit)
        patch.setattr(pyramid_encoder, "COLLAPSE_DB", -1000.0)
        patch.setattr(SourceImage, "is_failed_fit", lambda *_: False)
        return codec.encode(image, EncodeOptions(model="pyramid", steps=1), metadata)
