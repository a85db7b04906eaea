from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pillow_inr.format.pixel_format import DTYPES
from pillow_inr.imaging.samples import Scale, as_samples, format_of
from tests.support.checks import header
from tests.support.container import PIXEL_FORMAT_SAMPLES, SampleFormat, read_header


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 4), (64, 3, 64)])
def test_arrays_that_a_file_can_hold_are_not_copied(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    assert as_samples(array) is array
    swapped = as_samples(np.ones(shape, np.dtype(dtype).newbyteorder()))
    assert swapped.dtype == np.dtype(dtype)
    assert (swapped == 1).all()


def test_other_types_are_converted() -> None:
    assert as_samples(np.array([[True, False]])).tolist() == [[255, 0]]
    for dtype in (np.float16, np.float64):
        for array in (np.full((1, 2), 0.5, dtype), np.full((1, 2), 0.5, np.dtype(dtype).newbyteorder())):
            converted = as_samples(array)
            assert converted.dtype == np.dtype(np.float32)
            assert (converted == 0.5).all()


@pytest.mark.parametrize(
    ("array", "pixel_format"),
    [(np.zeros((2, 3), "u1"), 0), (np.zeros((2, 3, 2), "u1"), 1), (np.zeros((2, 3, 3), "u1"), 2)],
)
def test_8_bit_colours_have_formats_of_their_own(array: np.ndarray, pixel_format: int) -> None:
    assert format_of(array) == (pixel_format, None)


def test_everything_else_is_stored_with_its_range() -> None:
    assert format_of(np.array([[3, 700]], np.uint16)) == (4, SampleFormat("uint16", 0, ((3.0, 700.0),)))
    assert format_of(np.zeros((2, 2, 1), np.uint8)) == (4, SampleFormat("uint8", 1, ((0.0, 0.0),)))
    assert format_of(np.array([[[-1.5, 2.0, 0.0]]], np.float32)) == (
        4,
        SampleFormat("float32", 3, ((-1.5, 2.0),)),
    )


def test_channels_of_like_ranges_share_one_and_others_have_their_own() -> None:
    like = np.array([[[0, 10], [100, 70]]], np.uint16)
    assert format_of(like)[1] == SampleFormat("uint16", 2, ((0.0, 100.0),))
    faint = np.array([[[0, 10], [100, 13]]], np.uint16)
    assert format_of(faint)[1] == SampleFormat("uint16", 2, ((0.0, 100.0), (10.0, 13.0)))
    # A channel that does not vary at all has nothing to lose.
    constant = np.array([[[0, 10], [100, 10]]], np.uint16)
    assert format_of(constant)[1] == SampleFormat("uint16", 2, ((0.0, 100.0),))


@given(
    st.sampled_from(["uint16", "int8", "int16", "int32", "uint32"]),
    st.lists(st.integers(0, 65535), min_size=2, max_size=9),
    st.floats(0, 1),
)
def test_every_sample_within_16_bits_survives_normalization(dtype: str, values: list[int], position: float) -> None:
    limits = np.iinfo(dtype)
    span = min(65535, limits.max - limits.min)
    lowest = limits.min + round(position * (limits.max - limits.min - span))
    array = np.array([[lowest + value * span // 65535 for value in values]], dtype)
    sample_format = format_of(array)[1]
    assert sample_format is not None
    scale = Scale(dtype, 1, sample_format.ranges)
    network = scale.to_normalized(array[..., np.newaxis])
    assert network.dtype == np.float32
    assert 0 <= network.min() <= network.max() <= 1
    np.testing.assert_array_equal(scale.to_samples(network)[..., 0], array)


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
def test_floats_keep_their_range(a: float, b: float) -> None:
    low, high = sorted((a, b))
    scale = Scale("float32", 1, ((low, high),))
    ends = scale.to_samples(np.array([[0.0], [1.0]], np.float32))
    assert ends.dtype == np.float32
    # Exact apart from the rounding of one sum in double precision.
    np.testing.assert_allclose(ends.ravel(), [low, high], rtol=0, atol=(high - low) * 2.0**-52)
    back = scale.to_normalized(np.array([[low], [high]], np.float32)).ravel().tolist()
    assert back == ([0.0, 1.0] if low < high else [0.0, 0.0])


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_integers_of_32_bits_may_span_16(dtype: str) -> None:
    lowest = np.iinfo(dtype).min
    widest = np.array([[lowest, lowest + 65535]], dtype)
    assert format_of(as_samples(widest))[1] == SampleFormat(dtype, 0, ((float(lowest), lowest + 65535.0),))
    with pytest.raises(ValueError, match=r"differ by 65535 at most, these differ by 65536: divide them, or convert"):
        as_samples(widest + np.array([[0, 1]], dtype))
    bands = np.stack([widest, widest + np.array(70000, dtype)], axis=-1)
    assert format_of(as_samples(bands))[1] == SampleFormat(
        dtype, 2, ((float(lowest), lowest + 65535.0), (lowest + 70000.0, lowest + 135535.0))
    )


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64", "S2"])
def test_types_that_a_file_has_not_are_refused_with_what_to_do(dtype: str) -> None:
    with pytest.raises(ValueError, match=r"int16.*got .*: convert it with astype"):
        as_samples(np.zeros((2, 2), dtype))


@pytest.mark.parametrize("shape", [(3, 32, 32), (5, 32, 32), (1, 8, 40)])
def test_axes_in_another_order_than_images_have_are_named(shape: tuple[int, ...]) -> None:
    with pytest.warns(UserWarning, match=r"channels of an image of .*: if its channels come first, use numpy.moveaxis"):
        as_samples(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(32, 32, 32), (5, 32, 4), (64, 3, 64)])
def test_axes_as_images_have_them_go_without_a_word(shape: tuple[int, ...]) -> None:
    as_samples(np.zeros(shape, np.uint8))


def test_8_bit_levels_are_rounded_once_ties_to_even() -> None:
    scale = Scale("uint8", 1, ((0.0, 255.0),))
    values = np.array([[0.0], [0.5 / 255], [1.5 / 255], [1.0]], np.float32)
    assert scale.to_samples(values).ravel().tolist() == [0, 0, 2, 255]


def test_a_difference_of_large_numbers_keeps_its_precision() -> None:
    array = np.array([[16_777_000.0], [16_777_001.0], [16_777_003.0]], np.float32)
    scale = Scale("float32", 1, ((16_777_000.0, 16_777_003.0),))
    np.testing.assert_allclose(scale.to_normalized(array).ravel(), [0, 1 / 3, 1], rtol=1e-6)


@pytest.mark.parametrize("values", [[np.inf, 0], [np.nan, 0], [np.inf, -np.inf]])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_refused(values: list[float], dtype: str) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        as_samples(np.array([values], dtype))


def _elements(dtype: str) -> dict[str, Any] | None:
    if dtype == "float32":
        return {"allow_nan": False, "allow_infinity": False}
    lowest = {"int32": -(2**31), "uint32": 2**32 - 65536}.get(dtype)
    return None if lowest is None else {"min_value": lowest, "max_value": lowest + 65535}


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5), elements=_elements(dtype))
)


@given(arrays)
def test_a_header_holds_the_format_of_any_samples(array: np.ndarray) -> None:
    """Type, shape and ranges come back, and every sample of the array lies within its channel's range."""
    pixel_format, samples = format_of(array)
    original = header(size=array.shape[1::-1], pixel_format=pixel_format, samples=samples)
    parsed, _ = read_header(original.pack())
    assert (parsed.samples, parsed.dtype, parsed.shape) == (samples, array.dtype.name, array.shape)
    assert (parsed.pixel_format == PIXEL_FORMAT_SAMPLES) == (samples is not None)
    channels = array.reshape(*array.shape[:2], -1)
    low, high = np.array(samples.ranges if samples else ((0, 255),)).T
    assert (low <= channels).all()
    assert (channels <= high).all()
    network = Scale.of(parsed).to_normalized(channels)
    assert network.dtype == np.float32
    assert (network >= 0).all()
    assert (network <= np.float32(1)).all()


@given(arrays, st.integers(0, 2**32 - 1))
def test_samples_stay_within_their_ranges(array: np.ndarray, seed: int) -> None:
    pixel_format, samples = format_of(array)
    scale = Scale.of(header(size=array.shape[1::-1], pixel_format=pixel_format, samples=samples))
    values = np.random.default_rng(seed).random((7, len(scale.low)), np.float32)
    values[0], values[1] = 0, 1
    made = scale.to_samples(values)
    assert made.dtype == array.dtype
    # One rounding of the span in double precision lies between them.
    ends = np.array([scale.low, scale.low + scale.span], array.dtype)
    assert ((made >= ends[0]) & (made <= ends[1])).all()


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.complex_number_dtypes() | hnp.byte_string_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    )
)
def test_any_array_is_samples_or_refused(array: np.ndarray) -> None:
    try:
        samples = as_samples(array)
    except ValueError as error:
        assert "image" in str(error)
    else:
        assert samples.dtype.name in DTYPES
        assert samples.shape == array.shape
