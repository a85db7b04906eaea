"""How the symbols of one weight tensor lie in the stream: with which parameters, in which order, under which models.

A layout serves one tensor after another and predicts the scale index of each from that of the one before. `put` and
`take` are each other's inverse. Knows no network: which tensor has which layout is `entropy`'s.
"""

import math
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...entropy import scale_search
from ...entropy.distributions import MAGNITUDE_MAX, SCALE_INDEX_MAX, SHAPE_MAX, laplace, onesided, shaped, uniform
from ...entropy.quantization import SYMBOL_MAX
from ...entropy.range_coder import Decoder, Encoder
from ...errors import FormatError

FIRST_SCALE_INDEX = 24
# Of differences of sorted biases.
FIRST_ONESIDED_SCALE_INDEX = 8
# Differences of step and scale indices: the Laplace model with b = 3, over all differences a byte can have.
_INDEX_SCALE, _INDEX_MAGNITUDE = 22, 8
# Differences of scale indices from frequency to frequency: b = 0.75, over all that two scale indices can have.
_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE = 14, 6
# Offsets of columns: b = 0.375, -7 to 7; each is worth three scale indices, a factor of 1.7.
_OFFSET_SCALE, _OFFSET_MAGNITUDE = 10, 3
_OFFSET_MAX = (1 << _OFFSET_MAGNITUDE) - 1
_OFFSET_STEP = 3
# The scale index for each offset (column; the first is the offset -7) from each scale index (row).
_OFFSET_SCALES = np.clip(
    np.arange(SCALE_INDEX_MAX + 1)[:, None] + _OFFSET_STEP * np.arange(-_OFFSET_MAX, _OFFSET_MAX + 1),
    0,
    SCALE_INDEX_MAX,
)


class PredictedIndex:
    """A step or scale index, coded as difference from the one before.

    Args:
        field: its name in complaints.
        predicted: what the first is compared with.
        high: the largest valid index; 0 is the smallest.
    """

    def __init__(self, field: str, predicted: int, high: int) -> None:
        self.field = field
        self.predicted = predicted
        self.high = high

    def put(self, encoder: Encoder, index: int) -> None:
        """Code the next index."""
        encoder.put(index - self.predicted, laplace(_INDEX_SCALE, _INDEX_MAGNITUDE))
        self.predicted = index

    def take(self, decoder: Decoder) -> int:
        """The next index; FormatError outside its range."""
        index = self.predicted + decoder.take_one(laplace(_INDEX_SCALE, _INDEX_MAGNITUDE))
        self.predicted = _in_range(self.field, index, self.high)
        return index


class Reader(Protocol):
    """What all layouts have; that of coding 0 is read only."""

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """The next tensor's symbols; FormatError where a parameter is outside its range."""


class Layout(Reader, Protocol):
    """A layout of coding 1."""

    def put(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """Code the next tensor's symbols, in -32767..32767."""


class Laplace:
    """Coding 0: one Laplace model (docs/format.md section 4.4)."""

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `Reader.take`."""
        magnitude = decoder.take_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude:
            return _zeros(shape)
        model = laplace(self.scale.take(decoder), magnitude)
        return decoder.take(model, math.prod(shape)).reshape(shape)


class Shaped:
    """One scale and one shape for all symbols (docs/format.md section 4.8)."""

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def put(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `Layout.put`."""
        magnitude = _put_magnitude(encoder, symbols)
        if magnitude:
            _put_shaped(encoder, symbols, magnitude, self.scale)

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `Reader.take`."""
        magnitude = decoder.take_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude:
            return _zeros(shape)
        return _take_shaped(decoder, shape, magnitude, self.scale)


class Kernel:
    """One scale and one shape; on request, for each column an offset of its scale (docs/format.md section 4.8).

    Offsets save most in the last hidden kernel, where the spread of weights differs most between units.
    """

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def put(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `Layout.put`; shape (inputs, outputs)."""
        magnitude = _put_magnitude(encoder, symbols)
        if not magnitude:
            return
        columns = list(symbols.T)
        offset_bits = scale_search.laplace_bits(_OFFSET_SCALE, _OFFSET_MAGNITUDE)
        index, shape, offsets = scale_search.offset_scales(columns, magnitude, _OFFSET_SCALES, offset_bits)
        self.scale.put(encoder, index)
        encoder.put(shape, uniform(SHAPE_MAX + 1))
        encoder.put(int(offsets is not None), uniform(2))
        if offsets is None:
            encoder.put(symbols.T, shaped(index, magnitude, shape))
            return
        encoder.put(np.array(offsets, np.int32) - _OFFSET_MAX, laplace(_OFFSET_SCALE, _OFFSET_MAGNITUDE))
        for column, scale in zip(columns, _OFFSET_SCALES[index, offsets].tolist(), strict=True):
            encoder.put(column, shaped(scale, magnitude, shape))

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `Reader.take`; shape (inputs, outputs)."""
        magnitude = decoder.take_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude:
            return _zeros(shape)
        rows, columns = shape
        index = self.scale.take(decoder)
        distribution = decoder.take_one(uniform(SHAPE_MAX + 1))
        if not decoder.take_one(uniform(2)):
            return decoder.take(shaped(index, magnitude, distribution), rows * columns).reshape(columns, rows).T
        offsets = decoder.take(laplace(_OFFSET_SCALE, _OFFSET_MAGNITUDE), columns) + _OFFSET_MAX
        scales = _OFFSET_SCALES[index, offsets].tolist()
        return np.array([decoder.take(shaped(scale, magnitude, distribution), rows) for scale in scales]).T


class FirstKernel:
    """A scale for each frequency, the same for sine and cosine and both axes (docs/format.md section 4.8).

    Weights shrink as frequencies grow, by a factor of 10 from the first to the last.
    """

    def put(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `Layout.put`; shape (2 + 4 F, outputs)."""
        magnitude = _put_magnitude(encoder, symbols)
        if not magnitude:
            return
        groups = row_groups(len(symbols))
        of_group = [symbols[np.equal(groups, group)] for group in range(max(groups) + 1)]
        difference_bits = scale_search.laplace_bits(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE)
        scales, shape = scale_search.chained_scales(of_group, magnitude, difference_bits)
        _scale_index(FIRST_SCALE_INDEX).put(encoder, scales[0])
        encoder.put(shape, uniform(SHAPE_MAX + 1))
        for previous, scale in pairwise(scales):
            encoder.put(scale - previous, laplace(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE))
        for row, group in zip(symbols, groups, strict=True):
            encoder.put(row, shaped(scales[group], magnitude, shape))

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `Reader.take`; shape (2 + 4 F, outputs)."""
        magnitude = decoder.take_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude:
            return _zeros(shape)
        rows, columns = shape
        groups = row_groups(rows)
        first = _scale_index(FIRST_SCALE_INDEX).take(decoder)
        distribution = decoder.take_one(uniform(SHAPE_MAX + 1))
        differences = decoder.take(laplace(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE), max(groups))
        scales = [_in_range("scale index", int(index), SCALE_INDEX_MAX) for index in np.cumsum([first, *differences])]
        return np.array([decoder.take(shaped(scales[group], magnitude, distribution), columns) for group in groups])


class SineBias:
    """Sorted nonnegative symbols as differences; others as they are (docs/format.md section 4.8)."""

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_ONESIDED_SCALE_INDEX)

    def put(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `Layout.put`; shape (units,)."""
        differences = np.diff(symbols, prepend=np.int32(0))
        rising = bool((differences >= 0).all())
        magnitude = _put_magnitude(encoder, differences if rising else symbols)
        if not magnitude:
            return
        encoder.put(int(rising), uniform(2))
        if rising:
            index = scale_search.onesided_scale(differences, magnitude)
            self.scale.put(encoder, index)
            encoder.put(differences, onesided(index, magnitude))
        else:
            _put_shaped(encoder, symbols, magnitude, self.scale)

    def take(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `Reader.take`; shape (units,)."""
        magnitude = decoder.take_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude:
            return _zeros(shape)
        if not decoder.take_one(uniform(2)):
            return _take_shaped(decoder, shape, magnitude, self.scale)
        differences = decoder.take(onesided(self.scale.take(decoder), magnitude), math.prod(shape))
        symbols = np.cumsum(differences, dtype=np.int32)  # 1024 units: below 2^25
        _in_range("largest bias", int(symbols[-1]), SYMBOL_MAX)
        return symbols


def row_groups(rows: int) -> list[int]:
    """Which scale each row of the first kernel has: 0 for a coordinate, k + 1 for sine and cosine of frequency k.

    Args:
        rows: 2 + 4 F, as docs/format.md section 5 has the features.
    """
    frequencies = range(1, (rows - 2) // 4 + 1)
    return [0, *frequencies, *frequencies] * 2


def _put_magnitude(encoder: Encoder, values: NDArray[np.int32]) -> int:
    magnitude = int(np.abs(values).max()).bit_length()
    encoder.put(magnitude, uniform(MAGNITUDE_MAX + 1))
    return magnitude


def _put_shaped(encoder: Encoder, symbols: NDArray[np.int32], magnitude: int, scale: PredictedIndex) -> None:
    index, shape = scale_search.scale_and_shape(symbols, magnitude)
    scale.put(encoder, index)
    encoder.put(shape, uniform(SHAPE_MAX + 1))
    encoder.put(symbols, shaped(index, magnitude, shape))


def _take_shaped(decoder: Decoder, shape: tuple[int, ...], magnitude: int, scale: PredictedIndex) -> NDArray[np.int32]:
    index = scale.take(decoder)
    distribution = decoder.take_one(uniform(SHAPE_MAX + 1))
    return decoder.take(shaped(index, magnitude, distribution), math.prod(shape)).reshape(shape)


def _zeros(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Zeros that take no memory, however many: a file of a few bytes may have millions."""
    return np.broadcast_to(np.int32(0), shape)


def _scale_index(predicted: int) -> PredictedIndex:
    return PredictedIndex("scale index", predicted, SCALE_INDEX_MAX)


def _in_range(field: str, value: int, high: int) -> int:
    if not 0 <= value <= high:
        raise FormatError(f"payload: {field} is {value}, expected 0..{high}")
    return value
