import math

import numpy as np
import pytest

from pillow_inr.imaging import metrics


def test_psnr() -> None:
    assert metrics.psnr_db(0.01) == pytest.approx(20.0)
    assert metrics.psnr_db(255.0**2, peak=255.0) == 0.0
    assert metrics.psnr_db(0.0) == math.inf


def test_mse_counts_all_samples() -> None:
    black = np.zeros((2, 3, 3), np.uint8)
    other = black.copy()
    other[0, 0, 0] = 6
    assert metrics.mse(black, other, np.float32) == pytest.approx(2.0)
    assert metrics.mse(black[:, :, 0], other[:, :, 0], lambda samples: samples / np.float32(2)) == pytest.approx(1.5)


def test_bits_per_pixel_are_those_of_the_file() -> None:
    assert metrics.bits_per_pixel(100, 10, 8) == 10.0
