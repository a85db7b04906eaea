import math

import numpy as np
import pytest

from pillow_inr.models.pyramid import frequency_tables
from pillow_inr.models.pyramid.frequency_tables import DECAYS, SCALE_MAX, SCALE_MIN


def _row(scale: int, fraction: int) -> np.ndarray:
    return frequency_tables.frequencies()[(scale - SCALE_MIN) * 16 + fraction + 8]


def test_decays_are_those_of_the_scales() -> None:
    assert len(DECAYS) == SCALE_MAX - SCALE_MIN + 1 == 73
    for scale, decay in zip(range(SCALE_MIN, SCALE_MAX + 1), DECAYS, strict=True):
        assert abs(decay - 2**32 * math.exp(-1 / (16 * math.exp(scale / 8)))) <= 0.51


def test_a_row_by_hand() -> None:
    # Scale 0: b = 1. The edges of bin "0" for the mean 3/16 lie 11 sixteenths below it and 5 above.
    tails = [2**31]
    for _ in range(300):
        tails.append(tails[-1] * DECAYS[32] >> 32)
    row = _row(0, 3)
    assert row[17] == 2**32 - tails[11] - tails[5]
    assert row[18] == tails[5] - tails[21]
    assert row[16] == tails[11] - tails[27]
    assert row[34] == tails[16 * 16 + 8 - 3]
    assert row[0] == tails[16 * 16 + 8 + 3]
    # At the fraction -8 an edge lies upon the mean.
    assert _row(0, -8)[16] == tails[0] - tails[16]


def test_frequencies_are_positive_integers_that_sum_to_one() -> None:
    frequencies = frequency_tables.frequencies()
    assert frequencies.shape == (73 * 16, 35)
    assert (frequencies >= 1).all()
    assert (frequencies == np.rint(frequencies)).all()
    assert ((frequencies.sum(axis=1) >= 2**32) & (frequencies.sum(axis=1) <= 2**32 + 35)).all()


@pytest.mark.parametrize("scale", [-8, 0, 16])
def test_rows_follow_the_quantized_laplace_distribution(scale: int) -> None:
    def below(value: float) -> float:
        return 0.5 * math.exp(value) if value < 0 else 1 - 0.5 * math.exp(-value)

    width, mean = math.exp(scale / 8), -5 / 16
    expected = [below((e + 0.5 - mean) / width) - below((e - 0.5 - mean) / width) for e in range(-16, 17)]
    np.testing.assert_allclose(_row(scale, -5)[1:-1] / 2**32, expected, rtol=1e-4, atol=1e-7)


def test_code_lengths_are_those_of_the_frequencies() -> None:
    frequencies = frequency_tables.frequencies()
    expected = -np.log2(frequencies / frequencies.sum(axis=1, keepdims=True))
    likely = frequencies > 2**16
    np.testing.assert_allclose(frequency_tables.bits()[likely], expected[likely], atol=0.02)
    assert frequency_tables.bits().max() <= 24
