from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pillow_inr.entropy.quantization import STEP_INDEX_MAX, dequantize, quantize, step_index, step_size


def test_step_sizes_by_hand() -> None:
    assert step_size(0) == 8 * 2.0**-29
    assert step_size(7) == 15 * 2.0**-29
    assert step_size(8) == 8 * 2.0**-28
    assert step_size(208) == 8 * 2.0**-3 == 1.0
    assert step_size(STEP_INDEX_MAX) == 15 * 2.0**2


def test_every_step_size_is_nearest_to_itself() -> None:
    assert [step_index(step_size(index)) for index in range(256)] == list(range(256))
    assert step_index(1e-30) == 0
    assert step_index(1e30) == STEP_INDEX_MAX


@given(st.floats(2e-8, 59))
def test_nearest_step_is_within_half_an_eighth(step: float) -> None:
    assert abs(step_size(step_index(step)) / step - 1) <= 1 / 16


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=2), elements=st.floats(-8, 8, width=32)),
    st.integers(100, 255),
)
def test_rounding_misses_by_at_most_half_a_step(weights: np.ndarray, index: int) -> None:
    step = step_size(index)
    symbols = quantize(weights, step)
    assert symbols.dtype == np.int32
    clipped = np.abs(weights) > 32767 * step
    assert (np.abs(dequantize(symbols, step) - weights)[~clipped] <= step / 2 * (1 + 1e-6)).all()
    assert (np.abs(symbols) <= 32767).all()


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=2), elements=st.floats(-8, 8, width=32)),
    st.integers(100, 255),
    st.floats(0.5, 1.0),
)
def test_a_dead_zone_only_shrinks_magnitudes(weights: np.ndarray, index: int, rounding: float) -> None:
    step = step_size(index)
    nearest, shrunk = quantize(weights, step), quantize(weights, step, rounding)
    assert shrunk.dtype == np.int32
    unclipped = np.abs(weights) <= 32767 * step
    loss = np.abs(nearest) - np.abs(shrunk)
    assert ((loss >= 0) & (loss <= 1)).all()
    assert ((shrunk == 0) | (np.sign(shrunk) == np.sign(nearest))).all()
    assert (np.abs(dequantize(shrunk, step) - weights)[unclipped] <= rounding * step * (1 + 1e-6)).all()


def test_rounding_is_the_fraction_from_which_a_magnitude_is_rounded_up() -> None:
    weights = np.array([0.55, 0.65, 1.55, 1.65, -0.55, -0.65, -0.2, 0.0], np.float32)
    assert quantize(weights, 1.0, 0.6).tolist() == [0, 1, 1, 2, 0, -1, 0, 0]
    assert quantize(weights, 1.0).tolist() == [1, 1, 2, 2, -1, -1, 0, 0]
    assert quantize(np.array([0.99, -1.99], np.float32), 1.0, 1.0).tolist() == [0, -1]


def test_ties_go_to_even() -> None:
    assert quantize(np.array([0.5, 1.5, -0.5, -1.5], np.float32), 1.0).tolist() == [0, 2, 0, -2]


def test_invalid_steps_and_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        quantize(np.zeros(1, np.float32), 0.0)
    with pytest.raises(ValueError, match="finite"):
        quantize(np.array([np.nan], np.float32), 1.0)


@given(st.integers(-32767, 32767), st.integers(0, STEP_INDEX_MAX), st.floats(-65504, 65504, width=16) | st.just(0.0))
def test_weights_are_exact_sums_rounded_once(symbol: int, index: int, reference: float) -> None:
    step = Fraction(8 + index % 8) * Fraction(2) ** (index // 8 - 29)
    assert Fraction(step_size(index)) == step
    exact = Fraction(reference) + symbol * step
    found = dequantize(np.array([symbol], np.int32), step_size(index), np.array([reference], np.float32))
    assert found.dtype == np.float32
    near = np.array([np.nextafter(found[0], np.float32(end)) for end in (-np.inf, np.inf)])
    distance = abs(Fraction(float(found[0])) - exact)
    assert all(distance <= abs(Fraction(float(other)) - exact) for other in near)


@given(st.integers(-32767, 32767), st.integers(0, STEP_INDEX_MAX))
def test_symbols_come_back_from_their_weights(symbol: int, index: int) -> None:
    weights = dequantize(np.array([symbol], np.int32), step_size(index))
    assert quantize(weights, step_size(index)).tolist() == [symbol]
