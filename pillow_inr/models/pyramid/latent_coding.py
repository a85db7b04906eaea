"""Integers of a pyramid <-> one range-coded stream of bytes.

Order of the stream (docs/format.md section 9.4): the weight residuals of all tensors; a flag for each latent grid,
coarsest first, whether it is coded; then the coded grids, coarsest first, each wavefront by wavefront. Knows neither
the header nor how latents become pixels.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...entropy.distributions import SCALE_INDEX_MAX, code_lengths, laplace, onesided, onesided_frequencies, uniform
from ...entropy.range_coder import Decoder, Encoder
from ...errors import FormatError
from . import frequency_tables, structure
from .context import ContextModel, Predictions, decode_grid, predict_grid
from .structure import LEVELS, SYMBOL_MAX, Grid, Pyramid, Tensors

# Escapes code how far a residual lies beyond the bins; 13 bits hold the largest, with mean and symbol at opposite ends.
_ESCAPE_SCALE = 32
_ESCAPE_MAGNITUDE = 13
_FIRST_ESCAPE = frequency_tables.REACH + 1
_LAST_BIN = frequency_tables.BINS - 1
_FIRST_SCALE = 24
_DIFFERENCE_SCALE = 22
_DIFFERENCE_MAGNITUDE = 8
_DIFFERENCE_MAX = (1 << _DIFFERENCE_MAGNITUDE) - 1
_MAGNITUDES = 16
_EXPONENTS = 16
# The fixed work of a wavefront takes as long as decoding 75 symbols.
_WAVEFRONT_SYMBOLS = 75
# Rows of frequencies gathered at once for the coder: 18 MB.
_BATCH = 1 << 16


class WeightResidual(NamedTuple):
    """A tensor as its difference from the base weights: integer = base integer + symbol * 2^exponent."""

    exponent: int
    """Base-2 logarithm of the quantization step in units of the integers, 0..15."""
    symbols: NDArray[np.int32]
    """Quantized differences, -32767..32767, of the tensor's shape."""

    def added_to(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tensor's integers, given those of the base weights."""
        return values + (self.symbols.astype(np.int64) << self.exponent)


def no_residuals(preset: int, channels: int) -> dict[str, WeightResidual]:
    """Weight residuals of zero for every tensor: the networks are the base weights."""
    shapes = structure.shapes(preset, channels)
    return {name: WeightResidual(0, np.zeros(shape, np.int32)) for name, shape in shapes.items()}


def apply(base_weights: Tensors, weight_residuals: Mapping[str, WeightResidual]) -> dict[str, NDArray[np.int64]]:
    """Add weight residuals to the base weights.

    Raises:
        FormatError: an integer exceeds the limit of its tensor.
    """
    tensors = {name: weight_residuals[name].added_to(values) for name, values in base_weights.items()}
    structure.check_tensors(tensors)
    return tensors


def encode(preset: int, base: Tensors, weight_residuals: Mapping[str, WeightResidual], grids: Sequence[Grid]) -> bytes:
    """Range-code a pyramid.

    Args:
        preset: index into `structure.PRESETS`.
        base: integers that the networks are differences from, as `structure.base_weights` lists them.
        weight_residuals: one for every tensor.
        grids: symbols of each latent grid, finest first, -4095..4095, of the sizes of `structure.grid_sizes`.
    Returns:
        Little-endian 32-bit words.
    Raises:
        ValueError: a symbol or an exponent is outside its range.
        FormatError: base weights and residual together exceed the limit of a tensor.
    Source: docs/format.md section 9.4.
    """
    if any(np.abs(grid).max() > SYMBOL_MAX for grid in grids):
        raise ValueError(f"symbols of grids must be in -{SYMBOL_MAX}..{SYMBOL_MAX}")
    if any(not 0 <= weight_residual.exponent < _EXPONENTS for weight_residual in weight_residuals.values()):
        raise ValueError(f"an exponent of differences must be in 0..{_EXPONENTS - 1}")
    model = ContextModel(apply(base, weight_residuals), preset)
    encoder = Encoder()
    scale_index = _FIRST_SCALE
    for name in base:
        scale_index = _encode_weight_residual(encoder, weight_residuals[name], scale_index)
    for grid in reversed(grids):
        encoder.encode(int(grid.any()), uniform(2))
    for level in reversed(range(LEVELS)):
        if grids[level].any():
            _encode_grid(encoder, grids[level], predict_grid(model, level, grids[level], grids[level + 1 :]))
    return encoder.to_bytes()


def decode(data: bytes, preset: int, base: Tensors, size: tuple[int, int]) -> Pyramid:
    """Decode the stream of `encode`.

    Args:
        data: a multiple of 4 bytes. Compare its checksum first: the coder turns damaged bytes into plausible symbols
            without complaint.
        preset: index into `structure.PRESETS`.
        base: integers that the networks are differences from.
        size: width and height of the pyramid in pixels.
    Raises:
        FormatError: a number is outside its range, or the stream does not fit its symbols.
        LimitError: the stream claims more symbols than its length allows.
    """
    decoder = Decoder(data)
    tensors = _decode_tensors(decoder, base)
    model = ContextModel(tensors, preset)
    coded = decoder.decode(uniform(2), LEVELS)[::-1]
    sizes = structure.grid_sizes(size)
    decoder.charge_symbols(sum(_charged_symbols(sizes[level]) for level in range(LEVELS) if coded[level]))
    # Views of a single zero: a grid that is not coded takes no memory.
    grids = [np.broadcast_to(np.int32(0), shape) for shape in sizes]
    decode_wavefront = _WavefrontDecoder(decoder)
    for level in reversed(range(LEVELS)):
        if coded[level]:
            grid = decode_grid(model, level, grids[level].shape, grids[level + 1 :], decode_wavefront)
            if np.abs(grid).max() > SYMBOL_MAX:
                raise FormatError(f"payload: a symbol of grid {level} is outside -{SYMBOL_MAX}..{SYMBOL_MAX}")
            grids[level] = grid
    decoder.finish()
    return Pyramid(tensors, grids)


def decode_tensors(data: bytes, base: Tensors) -> Tensors:
    """The networks alone of the stream of `encode`; arguments as for `decode`.

    Raises:
        FormatError: a number is outside its range.
    """
    return _decode_tensors(Decoder(data), base)


def grid_bits(tensors: Tensors, grids: Sequence[Grid], preset: int = 0) -> list[float]:
    """Rate in bits of each latent grid, finest first: the sum of -log2 P(symbol | contexts).

    The stream of `encode` is longer by a few bits at its end.

    Args:
        tensors: integers, as `apply` returns them.
        grids: symbols of each latent grid of one pyramid, finest first.
        preset: index into `structure.PRESETS`.
    """
    model = ContextModel(tensors, preset)
    return [
        _code_length(grid, predict_grid(model, level, grid, grids[level + 1 :])) if grid.any() else 0.0
        for level, grid in enumerate(grids)
    ]


def weight_residual_bits(weight_residual: WeightResidual) -> float:
    """Rate in bits of a tensor's residual, on the assumption that its scale index is the predicted one."""
    magnitude = _magnitude(weight_residual)
    if not magnitude:
        return float(np.log2(_MAGNITUDES))
    from ...entropy.scale_search import scale_lengths

    symbols = scale_lengths([weight_residual.symbols], magnitude, 0).min()
    return float(np.log2(_MAGNITUDES) + np.log2(_EXPONENTS) + _difference_bits()[_DIFFERENCE_MAX] + symbols)


def _magnitude(weight_residual: WeightResidual) -> int:
    """Bits of the largest absolute symbol."""
    return int(np.abs(weight_residual.symbols).max()).bit_length()


def _encode_weight_residual(encoder: Encoder, weight_residual: WeightResidual, predicted: int) -> int:
    """Write a tensor; returns the scale index predicted for the next one."""
    magnitude = _magnitude(weight_residual)
    encoder.encode(magnitude, uniform(_MAGNITUDES))
    if not magnitude:
        return predicted
    encoder.encode(weight_residual.exponent, uniform(_EXPONENTS))
    from ...entropy.scale_search import scale_lengths  # readers need no search

    lengths = scale_lengths([weight_residual.symbols], magnitude, 0)[0]
    lengths += _difference_bits()[_DIFFERENCE_MAX - predicted :][: len(lengths)]
    scale_index = int(lengths.argmin())
    encoder.encode(scale_index - predicted, laplace(_DIFFERENCE_SCALE, _DIFFERENCE_MAGNITUDE))
    encoder.encode(weight_residual.symbols, laplace(scale_index, magnitude))
    return scale_index


def _decode_tensors(decoder: Decoder, base: Tensors) -> dict[str, NDArray[np.int64]]:
    weight_residuals = {}
    scale_index = _FIRST_SCALE
    for name, values in base.items():
        weight_residuals[name], scale_index = _decode_weight_residual(decoder, values.shape, scale_index)
    return apply(base, weight_residuals)


def _decode_weight_residual(decoder: Decoder, shape: tuple[int, ...], predicted: int) -> tuple[WeightResidual, int]:
    """Read a tensor; returns it and the scale index predicted for the next one."""
    magnitude = decoder.decode_one(uniform(_MAGNITUDES))
    if not magnitude:
        return WeightResidual(0, np.zeros(shape, np.int32)), predicted
    exponent = decoder.decode_one(uniform(_EXPONENTS))
    scale_index = predicted + decoder.decode_one(laplace(_DIFFERENCE_SCALE, _DIFFERENCE_MAGNITUDE))
    if not 0 <= scale_index <= SCALE_INDEX_MAX:
        raise FormatError(f"payload: scale index is {scale_index}, expected 0..{SCALE_INDEX_MAX}")
    symbols = decoder.decode(laplace(scale_index, magnitude), int(np.prod(shape)))
    return WeightResidual(exponent, symbols.reshape(shape)), scale_index


def _encode_grid(encoder: Encoder, grid: Grid, predictions: Predictions) -> None:
    """Write a grid wavefront by wavefront, the escapes of each wavefront after its bins."""
    rows, columns = np.indices(grid.shape).reshape(2, -1)
    wavefront = columns + 2 * rows
    order = np.lexsort((rows, wavefront))
    residuals = (grid.ravel() - predictions.means)[order]
    indices = predictions.rows[order]
    bins = np.clip(residuals + _FIRST_ESCAPE, 0, _LAST_BIN).astype(np.int32)
    escaped = np.flatnonzero(np.abs(residuals) >= _FIRST_ESCAPE)
    # Consecutive wavefronts without escapes are written as one run: the order of their symbols is the same.
    wavefront = wavefront[order]
    ends = np.unique(np.append(np.searchsorted(wavefront, wavefront[escaped], "right"), len(wavefront)))
    escapes = onesided(_ESCAPE_SCALE, _ESCAPE_MAGNITUDE)
    start = 0
    for end in ends:
        for first in range(start, end, _BATCH):
            last = min(end, first + _BATCH)
            encoder.encode_rows(bins[first:last], frequency_tables.frequencies()[indices[first:last]])
        beyond = np.abs(residuals[start:end]) - _FIRST_ESCAPE
        if (beyond >= 0).any():
            encoder.encode(beyond[beyond >= 0], escapes)
        start = end


def _charged_symbols(shape: tuple[int, int]) -> int:
    """Work of decoding a grid in symbols: its symbols and the fixed work of its wavefronts."""
    rows, columns = shape
    return rows * columns + _WAVEFRONT_SYMBOLS * (columns + 2 * rows)


class _WavefrontDecoder:
    """Decodes the symbols of one wavefront after another."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.frequencies = frequency_tables.frequencies()
        self.escapes = onesided(_ESCAPE_SCALE, _ESCAPE_MAGNITUDE)
        self.outer = np.zeros(frequency_tables.BINS, bool)
        self.outer[[0, _LAST_BIN]] = True

    def __call__(self, predictions: Predictions) -> NDArray[np.int64]:
        """The symbols of a wavefront.

        Raises:
            FormatError: no encoder writes such a stream.
        """
        bins = self.decoder.decode_rows(self.frequencies.take(predictions.rows, axis=0))
        symbols = predictions.means + bins
        symbols -= _FIRST_ESCAPE
        outer = self.outer.take(bins)
        if outer.any():
            beyond = self.decoder.decode(self.escapes, int(np.count_nonzero(outer)))
            symbols[outer] += np.where(bins[outer], beyond, -beyond)
        return symbols


def _code_length(grid: Grid, predictions: Predictions) -> float:
    residuals = grid.ravel() - predictions.means
    bins = np.clip(residuals + _FIRST_ESCAPE, 0, _LAST_BIN)
    beyond = np.abs(residuals) - _FIRST_ESCAPE
    escapes = _escape_bits()[beyond[beyond >= 0]]
    return float(frequency_tables.bits()[predictions.rows, bins].sum() + escapes.sum())


@cache
def _escape_bits() -> NDArray[np.float64]:
    return code_lengths(onesided_frequencies(_ESCAPE_SCALE, _ESCAPE_MAGNITUDE))


@cache
def _difference_bits() -> NDArray[np.float64]:
    """Bits of each difference between successive scale indices, shape (511,)."""
    from ...entropy.scale_search import laplace_bits

    return laplace_bits(_DIFFERENCE_SCALE, _DIFFERENCE_MAGNITUDE)
