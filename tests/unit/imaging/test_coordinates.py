import numpy as np
import pytest

from pillow_inr.imaging.coordinates import Axis, encode_axis


def _pixels(length: int, longer: int) -> list[float]:
    positions: list[float] = Axis.of_pixels(length, longer).positions().tolist()
    return positions


def test_pixel_centres_by_hand() -> None:
    assert _pixels(4, 4) == [-0.75, -0.25, 0.25, 0.75]
    # Half as high as wide: the same distance between pixels, symmetric about 0.
    assert _pixels(2, 4) == [-0.25, 0.25]
    assert _pixels(1, 1) == [0.0]
    assert _pixels(1, 5000) == [0.0]
    assert Axis.of_pixels(4, 4).positions(1, 3).tolist() == [-0.25, 0.25]


def test_features_by_hand() -> None:
    features = encode_axis(np.array([0.0, 0.5]), 2, 200)
    # Position, sines of pi x and 2 pi x, cosines of the same.
    np.testing.assert_allclose(features, [[0, 0, 0, 1, 1], [0.5, 1, 0, 0, -1]], atol=1e-7)
    assert features.dtype == np.float32
    assert encode_axis(np.array([0.25]), 0, 100).tolist() == [[0.25]]


def test_points_between_pixels_by_hand() -> None:
    # Two points a pixel; the right half alone; half as many points as pixels; a region that begins inside a pixel.
    assert Axis(2, 2, 0, 2, 4).positions().tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert Axis(4, 4, 2, 4, 2).positions().tolist() == _pixels(4, 4)[2:]
    assert Axis(4, 4, 0, 4, 2).positions().tolist() == [-0.5, 0.5]
    assert Axis(4, 4, 0.5, 1.5, 1).positions().tolist() == [-0.5]


@pytest.mark.parametrize("length", [1, 2, 7, 100])
@pytest.mark.parametrize("step", [1, 2, 3, 64, 200])
def test_every_nth_pixel_keeps_its_place(length: int, step: int) -> None:
    sparse = Axis.of_pixels(length, 128).every(step)
    np.testing.assert_allclose(sparse.positions(), _pixels(length, 128)[::step], atol=1e-15)
