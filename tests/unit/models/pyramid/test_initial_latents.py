"""The filters that make the initial latents."""

import numpy as np
import pytest
from PIL import Image

from pillow_inr.models.pyramid import structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.plan import BASE_RD_LAMBDAS, PRESET
from pillow_inr.models.pyramid.structure import LEVELS
from pillow_inr.models.pyramid.training import initial_latents
from pillow_inr.models.pyramid.training.initial_latents import FEATURES, analyse, features
from tests.support.checks import SAMPLES, psnr

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("base_index", range(len(BASE_RD_LAMBDAS)))
def test_of_a_photograph_they_show_something_like_it(base_index: int) -> None:
    """With the base weights, before any step of a fit."""
    with Image.open(SAMPLES / "kodim15.png") as opened:
        image = np.asarray(opened.crop((300, 100, 492, 228)))
    latents = analyse(image.astype(np.float32) / 255, base_index)
    base = structure.base_weights(PRESET, base_index, 3)
    shown = pyramid_synthesis.synthesize(base, latents, (192, 128), 3, PRESET)  # type: ignore[arg-type]
    flat = np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
    assert psnr(image, np.rint(255 * shown.clip(0, 1))) > psnr(image, flat) + 2


def test_features_are_the_image_around_a_cell() -> None:
    image = RNG.random((9, 12, 3), np.float32)
    levels = [np.stack(list(planes)) for planes in features(image)]
    assert [len(planes) for planes in levels] == [FEATURES] * LEVELS
    red = image[..., 0] - 0.5
    # Of the 5x5 neighbourhood: the middle, and the pixel two below and one to the left.
    np.testing.assert_array_equal(levels[0][12], red)
    np.testing.assert_array_equal(levels[0][21][:-2, 1:], red[2:, :-1])
    np.testing.assert_allclose(levels[1][12][:4], red[:8].reshape(4, 2, 6, 2).mean(axis=(1, 3)), rtol=1e-5)
    assert levels[1].shape[1:] == (5, 6)


def test_the_filters_are_complete() -> None:
    filters = initial_latents._filters()
    assert filters.shape == (len(BASE_RD_LAMBDAS), LEVELS, 1 + FEATURES)
    assert np.isfinite(filters).all()
