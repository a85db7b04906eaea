import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.entropy import distributions, scale_search


def _exact_bits(symbols: np.ndarray, frequencies: np.ndarray, lowest: int) -> float:
    probabilities = (frequencies / frequencies.sum() * (2**24 - len(frequencies)) + 1) / 2**24
    return float(-np.log2(probabilities[symbols.ravel() - lowest]).sum())


@pytest.mark.parametrize("magnitude", [1, 5, 11])
@pytest.mark.parametrize("shape", range(5))
def test_lengths_are_those_of_the_exact_frequencies(magnitude: int, shape: int) -> None:
    high = 2**magnitude - 1
    symbols = np.random.default_rng(0).integers(-high, high, 200, endpoint=True).astype(np.int32)
    lengths = scale_search.scale_lengths([symbols, symbols[:0]], magnitude, shape)
    assert lengths.shape == (2, 64)
    assert not lengths[1].any()
    for index in range(64):
        exact = _exact_bits(symbols, distributions.generalized_normal_frequencies(index, magnitude, shape), -high)
        assert lengths[0, index] == pytest.approx(exact, rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 200), st.sampled_from(["laplace", "normal"]))
def test_scale_and_shape_are_the_best_of_all(seed: int, spread: float, drawn: str) -> None:
    symbols = np.rint(getattr(np.random.default_rng(seed), drawn)(0, spread, 300)).astype(np.int32)
    symbols[0] = 1
    magnitude = int(np.abs(symbols).max()).bit_length()
    scale_index, shape = scale_search.scale_and_shape(symbols, magnitude)
    lengths = [scale_search.scale_lengths([symbols], magnitude, shape).min() for shape in range(5)]
    assert scale_search.scale_lengths([symbols], magnitude, shape)[0, scale_index] == min(lengths)


def test_gaussian_symbols_get_the_gaussian_shape() -> None:
    rng = np.random.default_rng(2)
    for drawn, shapes in ((rng.laplace, {0}), (rng.normal, {3, 4})):
        symbols = np.rint(drawn(0, 8, 20000)).astype(np.int32)
        assert scale_search.scale_and_shape(symbols, int(np.abs(symbols).max()).bit_length())[1] in shapes


def test_onesided_scale_is_the_best_of_all() -> None:
    values = np.abs(np.rint(np.random.default_rng(3).laplace(0, 5, 300))).astype(np.int32)
    magnitude = int(values.max()).bit_length()
    lengths = [_exact_bits(values, distributions.onesided_frequencies(index, magnitude), 0) for index in range(64)]
    assert scale_search.onesided_scale(values, magnitude) == int(np.argmin(lengths))


def test_the_viterbi_path_is_the_shortest_of_all() -> None:
    rng = np.random.default_rng(4)
    lengths, transitions = rng.integers(0, 100, (4, 5)).astype(float), rng.integers(0, 100, (5, 5)).astype(float)
    total, path = scale_search._shortest_path(lengths, transitions)
    paths = itertools.product(range(5), repeat=4)
    every = {p: sum(lengths[range(4), p]) + sum(transitions[a, b] for a, b in itertools.pairwise(p)) for p in paths}
    assert total == min(every.values()) == every[tuple(path)]


def test_offsets_are_used_where_they_save() -> None:
    rng = np.random.default_rng(5)
    candidates = np.clip(np.arange(64)[:, None] + np.arange(-2, 3), 0, 63)
    alike = [np.rint(rng.laplace(0, 8, 40)).astype(np.int32) for _ in range(10)]
    assert scale_search.offset_scales(alike, 8, candidates, np.full(5, 9.0))[2] is None
    unlike = [column * (1 + 2 * (number % 2)) // 2 for number, column in enumerate(alike)]
    _, _, columns = scale_search.offset_scales(unlike, 8, candidates, np.zeros(5))
    assert columns is not None
    assert np.mean(columns[1::2]) > np.mean(columns[::2])
