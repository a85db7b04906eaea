"""Samples of an image <-> normalized samples: sample types, ranges, rounding. Knows no grid and no network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import warn_caller
from ..format.header import Header, ModelHeader
from ..format.pixel_format import DTYPES, MODES, PIXEL_FORMAT_SAMPLES, SPAN_MAX, WIDE_DTYPES, SampleFormat
from ..format.ranges import CHANNELS_MAX

Samples = NDArray[Any]
"""Arrays of the types that a file can hold (`pixel_format.DTYPES`)."""

# If the range of all samples is larger than this multiple of a channel's range, each channel is stored with its own
# range. The error is uniform in normalized samples, so a shared range would bury a channel that hardly varies.
OWN_RANGES_FROM = 4.0
# Types whose normalized samples need float64 on the way: a sample may be a small difference of large numbers.
_FROM_FLOAT64 = ("float32", *WIDE_DTYPES)


def as_samples(array: NDArray[np.generic]) -> Samples:
    """Convert an array to a sample type of the format: float16 and float64 to float32, False and True to 0 and 255.

    Args:
        array: bool, integers of 8, 16 or 32 bits, or floating point; shape (height, width) or (height, width, 1..64).
    Raises:
        ValueError: the array has another type or shape, is empty, is not finite in float32, or a channel's samples of
            32 bits differ by more than 65535.
    Warns:
        UserWarning: the first of three axes rather looks like that of the channels.
    """
    native = array.dtype.newbyteorder("=")
    if native == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif native in (np.float16, np.float64):
        with np.errstate(over="ignore"):  # a value too large becomes infinite, which is refused below
            array = array.astype(np.float32)
    elif native.name in DTYPES:
        array = array.astype(native, copy=False)
    if array.dtype.name not in DTYPES:
        raise ValueError(
            f"image must be an array of {', '.join(DTYPES)}, got {array.dtype}: convert it with astype, so that you "
            "choose what is lost"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= CHANNELS_MAX):
        raise ValueError(
            f"image must have the shape (height, width) or (height, width, 1..{CHANNELS_MAX}), got {array.shape}"
            f"{_axes_hint(array)}"
        )
    if not array.size:
        raise ValueError(f"cannot encode an empty image, got the shape {array.shape}")
    with np.errstate(invalid="ignore"):  # inf - inf
        if array.dtype == np.float32 and not np.isfinite(array.sum(dtype=np.float64)):
            raise ValueError("image must be finite, got infinities or NaN")
    if array.dtype.name in WIDE_DTYPES:
        _check_span(array)
    if array.ndim == 3 and array.shape[0] < array.shape[2] > len(MODES):
        warn_caller(
            f"the array of shape {array.shape} is stored as {array.shape[2]} channels of an image of {array.shape[1]}"
            f"x{array.shape[0]} pixels{_axes_hint(array)}"
        )
    return array


def _axes_hint(array: NDArray[np.generic]) -> str:
    """What to do with an array whose axes are in another order; empty if it has not three axes."""
    if array.ndim != 3:
        return ""
    return ": if its channels come first, use numpy.moveaxis(array, 0, -1); if it is a stack, save each image by itself"


def _check_span(array: NDArray[Any]) -> None:
    """Refuse samples of 32 bits that take more than 16 in a channel."""
    lowest, highest = (end.astype(np.float64) for end in (array.min(axis=(0, 1)), array.max(axis=(0, 1))))
    span = (highest - lowest).max()
    if span > SPAN_MAX:
        raise ValueError(
            f"the image's samples of {array.dtype} may differ by {SPAN_MAX} at most, these differ by {span:.0f}: "
            "divide them, or convert them to float32"
        )


def format_of(samples: Samples) -> tuple[int, SampleFormat | None]:
    """Pixel format and sample format in which an array from `as_samples` is stored (docs/format.md section 3)."""
    channels = samples.shape[2] if samples.ndim == 3 else 0
    if samples.dtype == np.uint8 and channels in (0, *range(2, len(MODES) + 1)):
        return max(channels, 1) - 1, None
    return PIXEL_FORMAT_SAMPLES, SampleFormat(samples.dtype.name, channels, _ranges(samples))


def _ranges(samples: Samples) -> tuple[tuple[float, float], ...]:
    lowest = samples.min(axis=(0, 1)).astype(np.float64).ravel()
    highest = samples.max(axis=(0, 1)).astype(np.float64).ravel()
    spans = highest - lowest
    low, high = lowest.min(), highest.max()
    too_wide = samples.dtype.name in WIDE_DTYPES and high - low > SPAN_MAX
    if too_wide or (high - low) > OWN_RANGES_FROM * spans.min(where=spans > 0, initial=np.inf):
        return tuple(zip(lowest.tolist(), highest.tolist(), strict=True))
    return ((float(low), float(high)),)


class Scale:
    """The affine map between samples and normalized samples: sample = low + span * value (docs/format.md section 5)."""

    def __init__(self, dtype: str, channels: int, ranges: Sequence[tuple[float, float]]) -> None:
        bounds = np.array(ranges, np.float64).T
        self.dtype = np.dtype(dtype)
        self.low = np.broadcast_to(bounds[0], channels)
        """Sample at normalized value 0, float64, shape (channels,); at 1 the sample is low + span."""
        self.span = np.broadcast_to(bounds[1], channels) - self.low

    @classmethod
    def of(cls, header: Header[ModelHeader]) -> "Scale":
        """The map that a file's header describes."""
        return cls(header.dtype, header.channels, header.ranges)

    def to_normalized(self, samples: Samples) -> NDArray[np.float32]:
        """Normalize samples, shape (..., channels), to 0..1; a channel that does not vary becomes 0."""
        inverse = np.divide(1.0, self.span, out=np.zeros_like(self.span), where=self.span > 0)
        if self.dtype.name in _FROM_FLOAT64:
            samples = samples - self.low
            return np.asarray(samples * inverse, np.float32)
        return np.asarray((samples - self.low.astype(np.float32)) * inverse.astype(np.float32))

    def to_samples(self, values: NDArray[np.float32]) -> Samples:
        """Undo `to_normalized` for values in 0..1, shape (..., channels); integers are rounded, ties to even."""
        if self.dtype == np.uint8:  # the usual case, for which float32 suffices
            scaled = values * self.span.astype(np.float32) + self.low.astype(np.float32)
        else:
            scaled = values * self.span + self.low
        if self.dtype != np.float32:
            np.rint(scaled, out=scaled)
        return np.asarray(scaled, self.dtype)
