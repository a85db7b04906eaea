import numpy as np

from pillow_inr.pixels import axis_coordinates, encode_axis, to_levels


def test_pixel_centres_by_hand() -> None:
    assert axis_coordinates(4, 4).tolist() == [-0.75, -0.25, 0.25, 0.75]
    # Half as high as wide: the same distance between pixels, symmetric about 0.
    assert axis_coordinates(2, 4).tolist() == [-0.25, 0.25]
    assert axis_coordinates(1, 1).tolist() == [0.0]
    assert axis_coordinates(1, 5000).tolist() == [0.0]


def test_features_by_hand() -> None:
    features = encode_axis(np.array([0.0, 0.5]), 2, 200)
    # Position, sines of pi x and 2 pi x, cosines of the same.
    np.testing.assert_allclose(features, [[0, 0, 0, 1, 1], [0.5, 1, 0, 0, -1]], atol=1e-7)
    assert features.dtype == np.float32
    assert encode_axis(np.array([0.25]), 0, 100).tolist() == [[0.25]]


def test_levels_are_clipped_and_rounded_once() -> None:
    values = np.array([-1.0, 0.0, 0.5 / 255, 1.5 / 255, 2.0, np.inf, -np.inf], np.float32)
    assert to_levels(values).tolist() == [0, 0, 0, 2, 255, 255, 0]
