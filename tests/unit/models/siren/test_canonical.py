import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.entropy import quantization
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.canonical import normalize
from tests.support.checks import synthesize


def _network(seed: int, architecture: Architecture) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.rint(rng.laplace(0, 4, shape)).astype(np.int32) for shape in architecture.shapes]


def _architecture(depth: int) -> Architecture:
    return Architecture(width=6, depth=depth, channels=3, frequencies=2, frequency_ratio=200)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_biases_of_sine_layers_are_nonnegative_and_ascending(seed: int, depth: int) -> None:
    symbols = _network(seed, _architecture(depth))
    canonical = normalize(symbols)
    for before, after in zip(symbols, canonical, strict=True):
        assert after.dtype == np.int32
        assert sorted(np.abs(after).ravel()) == sorted(np.abs(before).ravel())
    for bias in canonical[1:-1:2]:
        assert (np.diff(bias, prepend=np.int32(0)) >= 0).all()
    assert canonical[-1].tolist() == symbols[-1].tolist()
    for once, twice in zip(canonical, normalize(canonical), strict=True):
        np.testing.assert_array_equal(once, twice)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_image_does_not_change(seed: int, depth: int) -> None:
    architecture = _architecture(depth)
    symbols = _network(seed, architecture)

    def pixels(tensors: list[np.ndarray]) -> np.ndarray:
        return synthesize(architecture, [quantization.dequantize(t, 2.0**-7) for t in tensors], (11, 7))

    difference = np.abs(pixels(symbols).astype(int) - pixels(normalize(symbols)))
    assert difference.max() <= 1


def test_units_by_hand() -> None:
    # The unit with bias -2 is negated and moves to second place; that with bias 1 comes first.
    kernel, bias, output = np.array([[5, 6], [7, 8]]), np.array([-2, 1]), np.array([[3], [4]])
    canonical = normalize([array.astype(np.int32) for array in (kernel, bias, output, np.array([9]))])
    assert [tensor.tolist() for tensor in canonical] == [[[6, -5], [8, -7]], [1, 2], [[4], [-3]], [9]]
