"""Fits of images with transparent pixels: they cost nothing, and come back exactly."""

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from tests.support.checks import gradient

pytestmark = pytest.mark.keras


def _cut_out(garbage: int) -> Image.Image:
    pixels = np.concatenate([gradient(48, 40), np.full((40, 48, 1), 255, np.uint8)], axis=-1)
    y, x = np.mgrid[:40, :48]
    hidden = (x - 24) ** 2 + (y - 20) ** 2 > 15**2
    pixels[hidden, 3] = 0
    pixels[hidden, :3] = np.random.default_rng(garbage).integers(0, 256, (hidden.sum(), 3)) * (garbage > 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("options", [{"model": "siren", "width": 8, "depth": 2}, {"model": "pyramid"}])
def test_transparent_pixels_are_not_fitted_and_come_back_exactly(options: dict[str, object]) -> None:
    data = pillow_inr.encode(_cut_out(0), steps=40, **options)
    assert data == pillow_inr.encode(_cut_out(1), steps=40, **options)
    decoded = pillow_inr.decode(data)
    hidden = np.asarray(_cut_out(0))[..., 3] == 0
    assert (decoded[hidden] == 0).all()
    assert decoded[~hidden, 3].min() > 200


def test_a_budget_too_small_for_the_outline_leaves_it_out() -> None:
    pixels = np.asarray(_cut_out(0)).copy()
    pixels[..., 3] = np.random.default_rng(0).integers(0, 2, pixels.shape[:2]) * 255
    data = pillow_inr.encode(Image.fromarray(pixels), target_bytes=400, width=8, depth=2, steps=40)
    assert len(data) <= 400
