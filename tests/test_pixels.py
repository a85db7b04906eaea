import numpy as np

from pillow_inr.pixels import axis_coordinates, encode_axis


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


def test_points_between_pixels_by_hand() -> None:
    # Two points a pixel; the right half alone; half as many points as pixels; a region that begins inside a pixel.
    assert axis_coordinates(2, 2, count=4).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert axis_coordinates(4, 4, 2, 4, 2).tolist() == axis_coordinates(4, 4)[2:].tolist()
    assert axis_coordinates(4, 4, count=2).tolist() == [-0.5, 0.5]
    assert axis_coordinates(4, 4, 0.5, 1.5, 1).tolist() == [-0.5]
