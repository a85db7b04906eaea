import numpy as np
import pytest

from pillow_inr.imaging.resampling import Resampling, mix


def _matrix(axis: Resampling) -> np.ndarray:
    return axis.weights((0, axis.count), (0, axis.length))


AXES = [
    Resampling(10, 0, 10, 10),
    Resampling(10, 0, 10, 3),
    Resampling(10, 0, 10, 37),
    Resampling(10, 2.25, 7.5, 2),
    Resampling(10, 2.25, 7.5, 40),
    Resampling(1, 0, 1, 5),
    Resampling(300, 0, 300, 1),
]


@pytest.mark.parametrize("axis", AXES)
def test_weights_of_the_needed_pixels_sum_to_one(axis: Resampling) -> None:
    whole = _matrix(axis)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)
    for first in range(0, axis.count, 7):
        cells = first, min(first + 7, axis.count)
        begin, end = axis.needed(*cells)
        part = whole[slice(*cells)]
        assert not part[:, :begin].any() and not part[:, end:].any()
        middle = (begin + end) // 2
        pieces = [axis.weights(cells, (begin, middle)), axis.weights(cells, (middle, end))]
        assert (np.concatenate(pieces, axis=1) == part[:, begin:end]).all()


@pytest.mark.parametrize("axis", AXES)
def test_mix_is_a_matrix_product(axis: Resampling) -> None:
    pixels = np.random.default_rng(0).random((axis.length, 4, 3), np.float32)
    for begin, end in (0, axis.length), (axis.length // 2, axis.length), (0, 1):
        weights, part = axis.weights((0, axis.count), (begin, end)), pixels[begin:end]
        np.testing.assert_allclose(mix(weights, part), np.tensordot(weights, part, 1), atol=1e-6)


def test_larger_cells_are_area_averages() -> None:
    # Cells of 2.5 pixels, beginning at pixel 1: the first covers 1, 1 and 1/2 pixel, the second 1/2, 1 and 1.
    weights = _matrix(Resampling(7, 1, 6, 2))
    np.testing.assert_allclose(weights[0], [0, 0.4, 0.4, 0.2, 0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(weights[1], [0, 0, 0, 0.2, 0.4, 0.4, 0], atol=1e-7)


def test_cells_that_are_pixels_keep_their_values() -> None:
    axis = Resampling(6, 1, 5, 4)
    assert axis.is_identity
    assert (_matrix(axis) == np.eye(6)[1:5]).all()
    assert not Resampling(6, 0.5, 4.5, 4).is_identity
    assert not Resampling(6, 0, 6, 3).is_identity
    enlarged = Resampling(6, 0, 6, 18)
    np.testing.assert_allclose(_matrix(enlarged)[1::3], np.eye(6), atol=1e-6)


def test_enlarged_ramps_stay_ramps() -> None:
    ramp = _matrix(Resampling(20, 5, 15, 40)) @ np.arange(20)
    np.testing.assert_allclose(ramp, 5 + (np.arange(40) + 0.5) / 4 - 0.5, rtol=1e-5)
