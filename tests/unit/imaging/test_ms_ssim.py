"""MS-SSIM: of equal images, of one channel, of images measured in bands, of images too small for it."""

import numpy as np
import pytest

from pillow_inr.imaging import ms_ssim as module
from pillow_inr.imaging.ms_ssim import MS_SSIM_SIDE, ms_ssim
from pillow_inr.imaging.samples import Samples, Scale
from tests.support.checks import gradient

COLOUR = Scale("uint8", 3, ((0.0, 255.0),))


def noisy(original: Samples) -> Samples:
    noise = np.random.default_rng(0).normal(0, 20, original.shape)
    return np.clip(original + noise, 0, 255).astype(np.uint8)


def test_small_images_are_not_measured() -> None:
    for size in ((MS_SSIM_SIDE - 1, 400), (400, MS_SSIM_SIDE - 1)):
        image = gradient(*size)
        assert ms_ssim(image, image, COLOUR) is None


@pytest.mark.keras
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_images_and_others(channels: int) -> None:
    pytest.importorskip("tensorflow")
    original = gradient(MS_SSIM_SIDE, MS_SSIM_SIDE, channels)
    scale = Scale("uint8", channels, ((0.0, 255.0),))
    assert ms_ssim(original, original, scale) == 1
    measured = ms_ssim(original, noisy(original), scale)
    assert measured is not None and 0 < measured < 1


@pytest.mark.keras
def test_large_images_are_a_mean_over_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    original = gradient(MS_SSIM_SIDE, 400)
    decoded = noisy(original)
    whole = ms_ssim(original, decoded, COLOUR)
    monkeypatch.setattr(module, "MS_SSIM_SAMPLES", 1000)
    bands = ms_ssim(original, decoded, COLOUR)
    assert whole is not None and whole != bands == pytest.approx(whole, abs=0.02)
    halves = [ms_ssim(original[rows], decoded[rows], COLOUR) for rows in (slice(200), slice(200, 400))]
    assert bands == pytest.approx(np.mean(halves), abs=1e-5)
