"""Symbols <-> bytes: range coding under entropy models that are rebuilt from integers in the file.

A tensor is coded under a quantized Laplace distribution whose scale is one of 64; the parameters of each tensor
(step index, scale index, magnitude) travel in the same range-coded stream. Knows no network and no header.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

from .errors import FormatError
from .quantization import STEP_INDEX_MAX

# round(2^32 * exp(-1 / (2 b))) for the Laplace scale b = (4 + k % 4) * 2^(k // 4) / 64 in symbol units, k = 0..63.
# Shipped, not computed, because exp differs between platforms in its last bit (docs/format.md section 4.3).
DECAYS = (
    1440801,
    7136334,
    20735887,
    44423591,
    78665070,
    175072333,
    298429151,
    436804154,
    581260615,
    867138942,
    1132141088,
    1369693234,
    1580030169,
    1929853206,
    2205109735,
    2425445865,
    2605029347,
    2879002676,
    3077478545,
    3227570397,
    3344923893,
    3516421809,
    3635611325,
    3723212229,
    3790295335,
    3886247119,
    3951560672,
    3998884189,
    4034748382,
    4085499269,
    4119687349,
    4144282424,
    4162825044,
    4188924176,
    4206414439,
    4218952178,
    4228380000,
    4241614355,
    4250460263,
    4256790061,
    4261543595,
    4268207462,
    4272655828,
    4275836070,
    4278222805,
    4281566473,
    4283797036,
    4285391007,
    4286586875,
    4288261650,
    4289378530,
    4290176480,
    4290775039,
    4291613163,
    4292172003,
    4292571219,
    4292870656,
    4293289902,
    4293569422,
    4293769091,
    4293918848,
    4294128517,
    4294268302,
    4294368152,
)
SCALE_INDEX_MAX = len(DECAYS) - 1
# Bits of the largest magnitude in a tensor: 0 means that all symbols are 0, 15 that they span -32767..32767.
MAGNITUDE_MAX = 15
_FIXED_POINT_BITS = 32
# Tensor parameters are coded as differences from those of the tensor two before (kernels follow kernels, biases
# biases) under the Laplace model of this scale index (b = 3) over all differences a byte can have.
_PARAMETER_SCALE_INDEX = 22
_PARAMETER_MAGNITUDE = 8
_PARAMETER_BITS = 13  # seen on Kodak images: 4 to 5 for each index, 4 for the magnitude
_CODER_END_BITS = 24  # half of the last two words
_FIRST_STEP_INDEX = 144
_FIRST_SCALE_INDEX = 24


@dataclass(frozen=True)
class CodedTensor:
    """One weight tensor as integers."""

    symbols: NDArray[np.int32]
    step_index: int
    """Names the quantization step, 0..255."""


@lru_cache(maxsize=256)
def laplace_counts(scale_index: int, magnitude: int) -> NDArray[np.float64]:
    """Integer frequency counts of the quantized Laplace distribution over -(2^magnitude - 1)..2^magnitude - 1.

    Args:
        scale_index: 0..63, names the scale in symbol units.
        magnitude: 1..15.
    Returns:
        float64 holding integers, shape (2^(magnitude + 1) - 1,), read-only; the same on every machine.
    Source: docs/format.md section 4.3.
    """
    decay = DECAYS[scale_index]
    ratio = decay * decay >> _FIXED_POINT_BITS
    count = decay * ((1 << _FIXED_POINT_BITS) + decay) >> _FIXED_POINT_BITS
    side = []
    for _ in range((1 << magnitude) - 1):
        side.append(max(1, count))
        count = count * ratio >> _FIXED_POINT_BITS
    counts = np.array([*reversed(side), 2 << _FIXED_POINT_BITS, *side], np.float64)
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=256)
def _categorical(scale_index: int, magnitude: int) -> "constriction.stream.model.Categorical":
    return constriction.stream.model.Categorical(laplace_counts(scale_index, magnitude), perfect=False)


@lru_cache(maxsize=1)
def _uniform_magnitude() -> "constriction.stream.model.Categorical":
    return constriction.stream.model.Categorical(np.ones(MAGNITUDE_MAX + 1), perfect=False)


def ideal_bits(histogram: NDArray[np.int64], scale_index: int) -> float:
    """Ideal code length in bits of symbols under a scale index.

    Args:
        histogram: how often each of -(2^m - 1)..2^m - 1 occurs, shape (2^(m + 1) - 1,), m in 1..15.
    """
    counts = laplace_counts(scale_index, len(histogram).bit_length() - 1)
    used = histogram > 0
    return float(-(histogram[used] * np.log2(counts[used] / counts.sum())).sum())


def magnitude_of(symbols: NDArray[np.int32]) -> int:
    """Bits of the largest magnitude among the symbols."""
    return int(np.abs(symbols).max(initial=0)).bit_length()


def best_scale_index(symbols: NDArray[np.int32]) -> tuple[int, float]:
    """The scale index under which the symbols, not all 0, are shortest, and their ideal length in bits."""
    offset = (1 << magnitude_of(symbols)) - 1
    histogram = np.bincount(symbols.ravel() + offset, minlength=2 * offset + 1)
    # The maximum-likelihood scale of a Laplace distribution is the mean magnitude; the best of the 64 lies beside it.
    guess = max(float(np.abs(symbols).mean()), 1 / 16)
    near = min(round(4 * math.log2(guess * 16)), SCALE_INDEX_MAX)
    candidates = range(max(0, near - 4), min(SCALE_INDEX_MAX, near + 4) + 1)
    bits, index = min((ideal_bits(histogram, index), index) for index in candidates)
    return index, bits


def side_information_bytes(tensor_count: int) -> float:
    """Expected bytes that a stream holds beside coded symbols: the tensors' parameters and the end of the coder."""
    return (_PARAMETER_BITS * tensor_count + _CODER_END_BITS) / 8


def encode_tensors(tensors: Sequence[CodedTensor]) -> bytes:
    """Range-code weight tensors with their parameters into one stream.

    Args:
        tensors: kernels and biases in file order; magnitudes of symbols at most 32767.
    Returns:
        Little-endian 32-bit words as bytes.
    Source: docs/format.md section 4.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    parameters = _categorical(_PARAMETER_SCALE_INDEX, _PARAMETER_MAGNITUDE)
    steps, scales = _predictors()
    for position, tensor in enumerate(tensors):
        kind = position % 2
        magnitude = magnitude_of(tensor.symbols)
        scale_index = best_scale_index(tensor.symbols)[0] if magnitude else scales[kind]
        _encode(encoder, tensor.step_index - steps[kind] + _offset(_PARAMETER_MAGNITUDE), parameters)
        _encode(encoder, magnitude, _uniform_magnitude())
        steps[kind] = tensor.step_index
        if magnitude:
            _encode(encoder, scale_index - scales[kind] + _offset(_PARAMETER_MAGNITUDE), parameters)
            shifted = tensor.symbols.ravel() + np.int32(_offset(magnitude))
            encoder.encode(shifted, _categorical(scale_index, magnitude))
            scales[kind] = scale_index
    words: NDArray[np.uint32] = encoder.get_compressed()
    return words.astype("<u4").tobytes()


def decode_tensors(payload: bytes, shapes: Sequence[tuple[int, ...]]) -> Iterator[CodedTensor]:
    """Undo `encode_tensors`, tensor by tensor.

    Args:
        payload: a multiple of 4 bytes whose checksum was compared before: the coder itself turns damaged bytes into
            plausible symbols without complaint.
        shapes: of the tensors, in file order.
    Raises:
        FormatError: a tensor parameter is outside its range, or the stream does not fit its symbols.
    """
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))
    parameters = _categorical(_PARAMETER_SCALE_INDEX, _PARAMETER_MAGNITUDE)
    steps, scales = _predictors()
    for position, shape in enumerate(shapes):
        kind = position % 2
        step_index = steps[kind] + _decode(decoder, parameters) - _offset(_PARAMETER_MAGNITUDE)
        steps[kind] = _in_range("step index", step_index, STEP_INDEX_MAX)
        magnitude = _decode(decoder, _uniform_magnitude())
        symbols = np.zeros(shape, np.int32)
        if magnitude:
            scale_index = scales[kind] + _decode(decoder, parameters) - _offset(_PARAMETER_MAGNITUDE)
            scales[kind] = _in_range("scale index", scale_index, SCALE_INDEX_MAX)
            flat = _decode_many(decoder, _categorical(scale_index, magnitude), symbols.size)
            symbols = (flat - np.int32(_offset(magnitude))).reshape(shape)
        yield CodedTensor(symbols, step_index)
    if not decoder.maybe_exhausted():
        raise FormatError("payload: data is left after the last tensor")


def _predictors() -> tuple[list[int], list[int]]:
    """Predicted step and scale index of the next kernel and the next bias."""
    return [_FIRST_STEP_INDEX] * 2, [_FIRST_SCALE_INDEX] * 2


def _offset(magnitude: int) -> int:
    """What is added to a symbol so that the coder sees 0 and above."""
    return (1 << magnitude) - 1


def _in_range(field: str, value: int, high: int) -> int:
    if not 0 <= value <= high:
        raise FormatError(f"payload: {field} is {value}, expected 0..{high}")
    return value


def _encode(encoder: "constriction.stream.queue.RangeEncoder", value: int, model: object) -> None:
    encoder.encode(np.array([value], np.int32), model)


def _decode(decoder: "constriction.stream.queue.RangeDecoder", model: object) -> int:
    return int(_decode_many(decoder, model, 1)[0])


def _decode_many(decoder: "constriction.stream.queue.RangeDecoder", model: object, count: int) -> NDArray[np.int32]:
    try:
        symbols: NDArray[np.int32] = decoder.decode(model, count)
    except AssertionError as error:  # what constriction raises for a stream that no encoder wrote
        raise FormatError("payload: the data does not fit the entropy model") from error
    return symbols
