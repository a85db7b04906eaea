import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.entropy import distributions
from pillow_inr.entropy.distributions import DECAYS
from tests.support.plain_decoder import cumulative


def _scale(index: int) -> float:
    return (4 + index % 4) * 2.0 ** (index // 4) / 64


def test_decays_are_those_of_the_scales() -> None:
    for index, decay in enumerate(DECAYS):
        # Rounding to an integer leaves 0.5; math.exp itself is good to 2^-52.
        assert abs(decay - 2**32 * math.exp(-1 / (2 * _scale(index)))) <= 0.51


def test_laplace_frequencies_by_hand() -> None:
    # Scale index 16: b = 4 * 2^4 / 64 = 1, so the decay is round(2^32 e^-1/2) = 2605029347.
    decay = 2605029347
    ratio = decay * decay >> 32
    first = decay * (2**32 + decay) >> 32
    second = first * ratio >> 32
    third = second * ratio >> 32
    assert distributions.laplace_frequencies(16, 2).tolist() == [third, second, first, 2 * 2**32, first, second, third]
    assert distributions.onesided_frequencies(16, 2).tolist() == [2**32, first, second, third]


def test_generalized_normal_frequencies_by_hand() -> None:
    # Shape 2 at scale index 16: the linear decay is A[16 + 2], the quadratic one A[32 - 13].
    linear, quadratic = 3077478545, 3227570397
    ratio = (linear * linear >> 32) * quadratic >> 32
    ratio_decay = quadratic * quadratic >> 32
    first = 2**32 * ratio >> 32
    second = first * (ratio * ratio_decay >> 32) >> 32
    third = second * ((ratio * ratio_decay >> 32) * ratio_decay >> 32) >> 32
    assert distributions.generalized_normal_frequencies(16, 2, 2).tolist() == [
        third,
        second,
        first,
        2**32,
        first,
        second,
        third,
    ]


@pytest.mark.parametrize("index", [8, 16, 24, 40])
def test_frequencies_follow_the_quantized_laplace_distribution(index: int) -> None:
    scale = _scale(index)
    frequencies = distributions.laplace_frequencies(index, 12)
    probability = frequencies / frequencies.sum()
    middle = len(frequencies) // 2
    assert probability[middle] == pytest.approx(1 - math.exp(-0.5 / scale), rel=1e-3)
    assert probability[middle + 1] == pytest.approx(0.5 * (math.exp(-0.5 / scale) - math.exp(-1.5 / scale)), rel=1e-3)


@pytest.mark.parametrize("shape", range(1, 5))
def test_shapes_are_products_of_a_laplace_and_a_gauss_distribution(shape: int) -> None:
    nearer, wider = distributions.SHAPES[shape] or (0, 0)
    for index in (16, 24, 32):
        alpha, beta = 1 / _scale(index + nearer), 0.5 / _scale(2 * index - wider)
        values = np.arange(16)
        expected = 2**32 * np.exp(-alpha * values - beta * values**2)
        np.testing.assert_allclose(
            distributions.generalized_normal_frequencies(index, 4, shape)[15:], expected, rtol=1e-6, atol=16
        )


@given(st.integers(0, 63), st.integers(1, 9), st.integers(0, 4))
def test_frequencies_are_symmetric_positive_and_descending(index: int, magnitude: int, shape: int) -> None:
    frequencies = distributions.generalized_normal_frequencies(index, magnitude, shape)
    assert len(frequencies) == 2 ** (magnitude + 1) - 1
    assert (frequencies == frequencies[::-1]).all()
    assert (frequencies >= 1).all()
    assert (np.diff(frequencies[len(frequencies) // 2 :]) <= 0).all()
    assert (frequencies == np.rint(frequencies)).all()


def test_code_lengths_are_those_of_the_coders_probabilities() -> None:
    tables = distributions.onesided_frequencies(32, 13), distributions.laplace_frequencies(3, 6), np.ones(5)
    for frequencies in tables:
        probabilities = np.diff(cumulative(frequencies.tolist()))
        np.testing.assert_allclose(distributions.code_lengths(frequencies), 24 - np.log2(probabilities), rtol=1e-12)
