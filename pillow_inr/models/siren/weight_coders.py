"""Weight coders: how the symbols of a weight tensor are written to the stream and read back.

Each coder fixes the parameters, order and probability models of one kind of tensor. It codes one tensor after another
and predicts the scale index of each from the one before; `decode` inverts `encode`. Which tensor uses which coder is
up to `weight_coding`.
"""

import math
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...entropy.distributions import (
    MAGNITUDE_MAX,
    SCALE_INDEX_MAX,
    SHAPE_MAX,
    generalized_normal,
    laplace,
    onesided,
    uniform,
)
from ...entropy.quantization import SYMBOL_MAX
from ...entropy.range_coder import Decoder, Encoder
from ...errors import FormatError

FIRST_SCALE_INDEX = 24  # prediction for the first tensor of each coder
FIRST_ONESIDED_SCALE_INDEX = 8  # for differences of sorted biases
# Differences of step and scale indices: the Laplace model with b = 3 over -255..255.
_INDEX_SCALE, _INDEX_MAGNITUDE = 22, 8
# Differences of scale indices from frequency to frequency: b = 0.75 over -63..63.
_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE = 14, 6
# Offsets of columns: b = 0.375 over -7..7. An offset of 1 is three scale indices, a factor of 1.7 in scale.
_OFFSET_SCALE, _OFFSET_MAGNITUDE = 10, 3
_OFFSET_MAX = (1 << _OFFSET_MAGNITUDE) - 1
_OFFSET_STEP = 3
# Scale index that each offset (column; the first is offset -7) leads to from each scale index (row).
_OFFSET_SCALES = np.clip(
    np.arange(SCALE_INDEX_MAX + 1)[:, None] + _OFFSET_STEP * np.arange(-_OFFSET_MAX, _OFFSET_MAX + 1),
    0,
    SCALE_INDEX_MAX,
)


class DeltaCodedIndex:
    """A sequence of step or scale indices, each coded as the difference from the one before.

    Args:
        field: name of the index in error messages.
        predicted: prediction for the first index.
        high: largest valid index; the smallest is 0.
    """

    def __init__(self, field: str, predicted: int, high: int) -> None:
        self.field = field
        self.predicted = predicted
        self.high = high

    def encode(self, encoder: Encoder, index: int) -> None:
        """Write the next index."""
        encoder.encode(index - self.predicted, laplace(_INDEX_SCALE, _INDEX_MAGNITUDE))
        self.predicted = index

    def decode(self, decoder: Decoder) -> int:
        """Read the next index; FormatError if it is outside 0..high."""
        index = self.predicted + decoder.decode_one(laplace(_INDEX_SCALE, _INDEX_MAGNITUDE))
        self.predicted = _in_range(self.field, index, self.high)
        return index


class WeightDecoder(Protocol):
    """Reads tensors; coding 0 is no longer written, so its coder only does this."""

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Read the next tensor's symbols, int32 in -32767..32767, possibly read-only.

        Raises:
            FormatError: a parameter is outside its range.
        """


class WeightCoder(WeightDecoder, Protocol):
    """Reads and writes tensors of coding 1."""

    def encode(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """Write the next tensor's symbols, int32 in -32767..32767."""


class Laplace:
    """Coding 0: one Laplace model for a tensor (docs/format.md section 4.4)."""

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `WeightDecoder.decode`."""
        magnitude_bits = decoder.decode_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude_bits:
            return _zeros(shape)
        model = laplace(self.scale.decode(decoder), magnitude_bits)
        return decoder.decode(model, math.prod(shape)).reshape(shape)


class GeneralizedNormal:
    """The output bias: one scale and one shape for all symbols (docs/format.md section 4.8)."""

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def encode(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `WeightCoder.encode`."""
        magnitude_bits = _encode_magnitude(encoder, symbols)
        if magnitude_bits:
            _encode_generalized_normal(encoder, symbols, magnitude_bits, self.scale)

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `WeightDecoder.decode`."""
        magnitude_bits = decoder.decode_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude_bits:
            return _zeros(shape)
        return _decode_generalized_normal(decoder, shape, magnitude_bits, self.scale)


class Kernel:
    """A kernel after the first: one scale and one shape, optionally a scale offset for each column.

    The writer uses offsets where they save bits. They save most in the last hidden kernel, where the spread of the
    weights differs most between units. Source: docs/format.md section 4.8.
    """

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_SCALE_INDEX)

    def encode(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `WeightCoder.encode`; shape (inputs, outputs)."""
        magnitude_bits = _encode_magnitude(encoder, symbols)
        if not magnitude_bits:
            return
        columns = list(symbols.T)
        from ...entropy import scale_search  # readers need no search

        offset_bits = scale_search.laplace_bits(_OFFSET_SCALE, _OFFSET_MAGNITUDE)
        index, shape, offsets = scale_search.offset_scales(columns, magnitude_bits, _OFFSET_SCALES, offset_bits)
        self.scale.encode(encoder, index)
        encoder.encode(shape, uniform(SHAPE_MAX + 1))
        encoder.encode(int(offsets is not None), uniform(2))
        if offsets is None:
            encoder.encode(symbols.T, generalized_normal(index, magnitude_bits, shape))
            return
        encoder.encode(np.array(offsets, np.int32) - _OFFSET_MAX, laplace(_OFFSET_SCALE, _OFFSET_MAGNITUDE))
        for column, scale in zip(columns, _OFFSET_SCALES[index, offsets].tolist(), strict=True):
            encoder.encode(column, generalized_normal(scale, magnitude_bits, shape))

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `WeightDecoder.decode`; shape (inputs, outputs)."""
        magnitude_bits = decoder.decode_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude_bits:
            return _zeros(shape)
        rows, columns = shape
        index = self.scale.decode(decoder)
        shape_index = decoder.decode_one(uniform(SHAPE_MAX + 1))
        if not decoder.decode_one(uniform(2)):
            symbols = decoder.decode(generalized_normal(index, magnitude_bits, shape_index), rows * columns)
            return symbols.reshape(columns, rows).T
        offsets = decoder.decode(laplace(_OFFSET_SCALE, _OFFSET_MAGNITUDE), columns) + _OFFSET_MAX
        scales = _OFFSET_SCALES[index, offsets].tolist()
        models = (generalized_normal(scale, magnitude_bits, shape_index) for scale in scales)
        return np.array([decoder.decode(model, rows) for model in models]).T


class FirstKernel:
    """The first kernel: a scale for each frequency, shared by sine and cosine and by both axes.

    Weights shrink with rising frequency, by a factor of 10 from the first to the last. Source: docs/format.md
    section 4.8.
    """

    def encode(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `WeightCoder.encode`; shape (2 + 4 F, outputs)."""
        magnitude_bits = _encode_magnitude(encoder, symbols)
        if not magnitude_bits:
            return
        groups = row_groups(len(symbols))
        grouped = [symbols[np.equal(groups, group)] for group in range(max(groups) + 1)]
        from ...entropy import scale_search

        difference_bits = scale_search.laplace_bits(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE)
        scales, shape = scale_search.viterbi_scales(grouped, magnitude_bits, difference_bits)
        _scale_index(FIRST_SCALE_INDEX).encode(encoder, scales[0])
        encoder.encode(shape, uniform(SHAPE_MAX + 1))
        for previous, scale in pairwise(scales):
            encoder.encode(scale - previous, laplace(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE))
        for row, group in zip(symbols, groups, strict=True):
            encoder.encode(row, generalized_normal(scales[group], magnitude_bits, shape))

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `WeightDecoder.decode`; shape (2 + 4 F, outputs)."""
        magnitude_bits = decoder.decode_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude_bits:
            return _zeros(shape)
        rows, columns = shape
        groups = row_groups(rows)
        first = _scale_index(FIRST_SCALE_INDEX).decode(decoder)
        shape_index = decoder.decode_one(uniform(SHAPE_MAX + 1))
        differences = decoder.decode(laplace(_FREQUENCY_SCALE, _FREQUENCY_MAGNITUDE), max(groups))
        scales = [_in_range("scale index", int(index), SCALE_INDEX_MAX) for index in np.cumsum([first, *differences])]
        models = (generalized_normal(scales[group], magnitude_bits, shape_index) for group in groups)
        return np.array([decoder.decode(model, columns) for model in models])


class SineBias:
    """The bias of a sine layer: differences if the symbols are nonnegative and sorted, else the symbols themselves.

    `canonical.normalize` puts biases into that order. Source: docs/format.md section 4.8.
    """

    def __init__(self) -> None:
        self.scale = _scale_index(FIRST_ONESIDED_SCALE_INDEX)

    def encode(self, encoder: Encoder, symbols: NDArray[np.int32]) -> None:
        """As `WeightCoder.encode`; shape (units,)."""
        differences = np.diff(symbols, prepend=np.int32(0))
        rising = bool((differences >= 0).all())
        magnitude_bits = _encode_magnitude(encoder, differences if rising else symbols)
        if not magnitude_bits:
            return
        encoder.encode(int(rising), uniform(2))
        if rising:
            from ...entropy import scale_search

            index = scale_search.onesided_scale(differences, magnitude_bits)
            self.scale.encode(encoder, index)
            encoder.encode(differences, onesided(index, magnitude_bits))
        else:
            _encode_generalized_normal(encoder, symbols, magnitude_bits, self.scale)

    def decode(self, decoder: Decoder, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """As `WeightDecoder.decode`; shape (units,)."""
        magnitude_bits = decoder.decode_one(uniform(MAGNITUDE_MAX + 1))
        if not magnitude_bits:
            return _zeros(shape)
        if not decoder.decode_one(uniform(2)):
            return _decode_generalized_normal(decoder, shape, magnitude_bits, self.scale)
        differences = decoder.decode(onesided(self.scale.decode(decoder), magnitude_bits), math.prod(shape))
        symbols = np.cumsum(differences, dtype=np.int32)  # at most 1024 units: below 2^25
        _in_range("largest bias", int(symbols[-1]), SYMBOL_MAX)
        return symbols


def row_groups(rows: int) -> list[int]:
    """Index of the scale of each row of the first kernel: 0 for a coordinate, k + 1 for sine and cosine of frequency k.

    Args:
        rows: 2 + 4 F, in the order of features of docs/format.md section 5.

    >>> row_groups(10)
    [0, 1, 2, 1, 2, 0, 1, 2, 1, 2]
    """
    frequencies = range(1, (rows - 2) // 4 + 1)
    return [0, *frequencies, *frequencies] * 2


def _encode_magnitude(encoder: Encoder, values: NDArray[np.int32]) -> int:
    magnitude_bits = int(np.abs(values).max()).bit_length()
    encoder.encode(magnitude_bits, uniform(MAGNITUDE_MAX + 1))
    return magnitude_bits


def _encode_generalized_normal(
    encoder: Encoder, symbols: NDArray[np.int32], magnitude_bits: int, scale: DeltaCodedIndex
) -> None:
    from ...entropy import scale_search

    index, shape = scale_search.scale_and_shape(symbols, magnitude_bits)
    scale.encode(encoder, index)
    encoder.encode(shape, uniform(SHAPE_MAX + 1))
    encoder.encode(symbols, generalized_normal(index, magnitude_bits, shape))


def _decode_generalized_normal(
    decoder: Decoder, shape: tuple[int, ...], magnitude_bits: int, scale: DeltaCodedIndex
) -> NDArray[np.int32]:
    index = scale.decode(decoder)
    shape_index = decoder.decode_one(uniform(SHAPE_MAX + 1))
    return decoder.decode(generalized_normal(index, magnitude_bits, shape_index), math.prod(shape)).reshape(shape)


def _zeros(shape: tuple[int, ...]) -> NDArray[np.int32]:
    return np.broadcast_to(np.int32(0), shape)  # takes no memory: a file of a few bytes may claim millions


def _scale_index(predicted: int) -> DeltaCodedIndex:
    return DeltaCodedIndex("scale index", predicted, SCALE_INDEX_MAX)


def _in_range(field: str, value: int, high: int) -> int:
    if not 0 <= value <= high:
        raise FormatError(f"payload: {field} is {value}, expected 0..{high}")
    return value
