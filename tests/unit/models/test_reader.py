"""Regions at any resolution, from the frozen vectors and the sample."""

import io

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr.errors import FormatError
from pillow_inr.models.siren.model import POINTS_MAX
from tests.support.checks import SAMPLES, VECTORS, psnr
from tests.support.container import open_model

pytestmark = pytest.mark.decoding

RGB = VECTORS / "rgb.inr"  # 32 x 20
SAMPLE = SAMPLES / "kodim15.inr"  # 768 x 512


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return pillow_inr.decode(RGB)


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    with Image.open(SAMPLE) as image:
        image.load()
        return image


def test_a_box_is_that_part_of_the_image(whole: np.ndarray) -> None:
    part = pillow_inr.decode(RGB, box=(5, 3, 21, 12))
    assert part.shape == (9, 16, 3)
    assert np.abs(part.astype(int) - whole[3:12, 5:21]).max() <= 1


def test_enlarged_by_an_odd_number_every_pixel_has_its_centre(whole: np.ndarray) -> None:
    large = pillow_inr.decode(RGB, size=(96, 60))
    assert np.abs(large[1::3, 1::3].astype(int) - whole).max() <= 1
    # Between them it goes on smoothly: no step is larger than the steps of the original.
    assert np.abs(np.diff(large.astype(int), axis=1)).max() <= np.abs(np.diff(whole.astype(int), axis=1)).max()


def test_a_box_between_pixels_starts_there(whole: np.ndarray) -> None:
    # Half a pixel further: the mean of two neighbours, nearly, in a smooth image.
    shifted = pillow_inr.decode(RGB, box=(0.5, 0, 31.5, 20), size=(31, 20)).astype(float)
    between = (whole[:, :-1].astype(float) + whole[:, 1:]) / 2
    assert psnr_of(shifted, between) > psnr_of(shifted, whole[:, :-1].astype(float)) + 3


def psnr_of(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_it_is_the_full_image_reduced_by_pillow(reduction: int, photograph: Image.Image) -> None:
    size = (768 // reduction, 512 // reduction)
    reduced = pillow_inr.decode(SAMPLE, size=size)
    assert psnr(np.asarray(photograph.reduce(reduction)), reduced) > 40
    for method in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
        assert psnr(np.asarray(photograph.resize(size, method)), reduced) > 36


@pytest.mark.parametrize("reduction", [3, 4, 8, 16])
def test_thumbnails_are_free_of_aliasing(reduction: int, photograph: Image.Image) -> None:
    expected = photograph.copy()
    expected.thumbnail((768 // reduction, 768 // reduction))
    with Image.open(SAMPLE) as image:
        image.thumbnail((768 // reduction, 768 // reduction))
    assert image.size == expected.size
    assert psnr(np.asarray(expected), np.asarray(image)) > 42


def test_points_of_a_reduction_are_bounded() -> None:
    network = open_model(SAMPLE.read_bytes())
    assert network._points((768, 512), 1.0) == 1
    assert network._points((3072, 2048), 0.25) == 1
    assert network._points((192, 128), 4.0) == 2
    assert network._points((96, 64), 8.0) == 4
    assert network._points((1, 1), 768.0) == POINTS_MAX
    # A large thumbnail of something huge costs what its own pixels cost, but not to an eighth.
    assert network._points((1000, 1000), 8.0) == 2
    assert network._points((1000, 1000), 9.0) == 1


def test_one_pixel_is_the_mean_of_the_image(whole: np.ndarray) -> None:
    assert np.abs(pillow_inr.decode(RGB, size=(1, 1))[0, 0] - whole.mean(axis=(0, 1))).max() <= 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"size": (0, 5)}, r"size must be two integers in 1\.\.16777215, got \(0, 5\)"),
        ({"size": 5}, "size must be two integers"),
        ({"size": (2.5, 5)}, "size must be two integers"),
        ({"size": (5, 5, 5)}, "size must be two integers"),
        ({"size": (20000, 20000)}, "MAX_IMAGE_PIXELS"),
        ({"box": (0, 0, 5)}, "box must be four numbers"),
        ({"box": 3}, "box must be four numbers"),
        ({"box": (0, 0, 10**400, 5)}, "box must be four numbers"),
        ({"box": (0, 0, 33, 5)}, r"region within the image of 32x20 pixels, got \(0, 0, 33, 5\)"),
        ({"box": (-1, 0, 3, 5)}, "region within"),
        ({"box": (3, 0, 3, 5)}, "region within"),
        ({"box": (0, 0, float("nan"), 5)}, "region within"),
    ],
)
def test_bad_sizes_and_boxes_are_named(arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match) as error:
        pillow_inr.decode(RGB, **arguments)
    assert not isinstance(error.value, FormatError)
    with Image.open(RGB) as image, pytest.raises(ValueError, match=match):
        image.render(**arguments)


def test_a_region_of_an_image_beyond_pillows_limit_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(FormatError, match="MAX_IMAGE_PIXELS"):
        pillow_inr.decode(RGB)
    assert pillow_inr.decode(RGB, box=(0, 0, 8, 8)).shape == (8, 8, 3)
    assert pillow_inr.decode(RGB, size=(8, 5)).shape == (5, 8, 3)


def test_many_channels_count_as_more_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    bands = VECTORS / "bands.inr"
    assert pillow_inr.decode(bands, size=(16, 10)).shape == (10, 16, 5)
    with pytest.raises(ValueError, match="16x11 pixels of 5 channels are more than 200 of 4"):
        pillow_inr.decode(bands, size=(16, 11))


def test_numpys_integers_are_sizes() -> None:
    assert pillow_inr.decode(io.BytesIO(RGB.read_bytes()), size=np.array([4, 3])).shape == (3, 4, 3)
