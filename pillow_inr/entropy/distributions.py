"""Probability models for the range coder, rebuilt from small integers in the file, identical on every machine.

A model is a table of integer frequencies; recurrences in exact integer arithmetic compute it, because exp and pow
differ between platforms in their last bit. This module does not know what is coded or how a writer picks parameters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

# A[j] = round(2^32 exp(-1 / (2 b))) for the Laplace scale b = (4 + j % 4) * 2^(j // 4) / 64 in symbols, j = 0..63: four
# scales an octave, 1/16 to 3584. Shipped as data, since exp differs between platforms (docs/format.md section 4.6).
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
# Bits of the largest absolute symbol in a tensor: 0 means that all symbols are 0, 15 that they span -32767..32767.
MAGNITUDE_MAX = 15
# For shapes h >= 1 the pair (p, s): the linear term uses decay A[j + p], the quadratic term A[2 j - s] (docs/format.md
# section 4.7). Fitted to the weights of networks of 48x4 to 128x4 units: with growing h the distribution changes from
# Laplace towards Gaussian while its spread stays about that of the Laplace distribution with scale index j.
SHAPES: tuple[tuple[int, int] | None, ...] = (None, (1, 9), (2, 13), (4, 16), (7, 18))
SHAPE_MAX = len(SHAPES) - 1
_ONE = 1 << 32
PROBABILITY_ONE = 1 << 24
"""Total to which the range coder scales the frequencies of a model: 24-bit probabilities."""
# The table of the largest magnitude takes a quarter of a megabyte: a hostile file can make a process keep 34 MB.
_CACHED_MODELS = 128


@dataclass(frozen=True)
class Model:
    """A distribution over the integers lowest..lowest + values - 1, ready for the range coder."""

    lowest: int
    """Smallest integer of the alphabet."""
    values: int
    """Size of the alphabet."""
    table: "constriction.stream.model.Categorical"


def laplace_frequencies(scale_index: int, magnitude_bits: int) -> NDArray[np.float64]:
    """Integer frequencies of the quantized Laplace distribution over -(2^magnitude_bits - 1)..2^magnitude_bits - 1.

    Integrating exp(-|x| / b) over bins of width 1 gives, with a = exp(-1 / (2 b)),

        f(0) = 2,    f(±v) = (1 + a) a^(2v - 1) for v >= 1,

    in units of 2^32. Towards b -> 0 all mass moves to 0, towards b -> infinity the distribution becomes uniform. The
    recurrence f(v + 1) = f(v) a^2 is rounded down in exact integers; no frequency is below 1, so that every symbol
    stays codable.

    Args:
        scale_index: 0..63, names the scale b in symbols: (4 + j % 4) * 2^(j // 4) / 64 for index j.
        magnitude_bits: bits of the largest absolute symbol, 1..15.
    Returns:
        float64 holding integers in 1..2^33, shape (2^(magnitude + 1) - 1,).
    Source: docs/format.md section 4.3.

    >>> (laplace_frequencies(16, 1) / 2**32).round(3).tolist()  # b = 1: e^-0.5 (1 + e^-0.5) = 0.974
    [0.974, 2.0, 0.974]
    """
    return _two_sided(_laplace_side(scale_index, magnitude_bits), 2 * _ONE, magnitude_bits)


def onesided_frequencies(scale_index: int, magnitude_bits: int) -> NDArray[np.float64]:
    """Integer frequencies of a Laplace variable's absolute value over 0..2^magnitude_bits - 1.

    They are those of `laplace_frequencies`, except that 0 has half its frequency there, 2^32: only the positive half
    of its bin is left.

    Args:
        scale_index: as for `laplace_frequencies`.
        magnitude_bits: as for `laplace_frequencies`.
    Returns:
        float64 holding integers, shape (2^magnitude_bits,).
    Source: docs/format.md section 4.7.
    """
    frequencies = np.ones(1 << magnitude_bits)
    side = _laplace_side(scale_index, magnitude_bits)
    frequencies[: len(side) + 1] = [_ONE, *side]
    return frequencies


def generalized_normal_frequencies(scale_index: int, magnitude_bits: int, shape: int) -> NDArray[np.float64]:
    """Integer frequencies of a distribution between Laplace (shape 0) and nearly Gaussian (shape 4).

    For shapes h >= 1

        f(±v) = 2^32 exp(-alpha v - beta v^2),    alpha = -2 ln(a / 2^32),    beta = -ln(g / 2^32),

    with the decays a = A[j + p] and g = A[2 j - s] of scale index j and shape h (see `SHAPES`). The family fills the
    role of the generalized normal distribution exp(-|v / c|^q), 1 <= q <= 2, but needs no power function: successive
    ratios f(v + 1) / f(v) form a geometric sequence, so two integer multiplications a symbol are enough.

    Args:
        scale_index: 0..63, names about the same spread for every shape.
        magnitude_bits: bits of the largest absolute symbol, 1..15.
        shape: 0..4.
    Returns:
        float64 holding integers, at least 1, shape (2^(magnitude + 1) - 1,).
    Source: docs/format.md section 4.7.
    """
    offsets = SHAPES[shape]
    if offsets is None:
        return laplace_frequencies(scale_index, magnitude_bits)
    linear = DECAYS[min(scale_index + offsets[0], SCALE_INDEX_MAX)]
    quadratic = DECAYS[min(max(2 * scale_index - offsets[1], 0), SCALE_INDEX_MAX)]
    ratio = (linear * linear >> 32) * quadratic >> 32
    ratio_decay = quadratic * quadratic >> 32
    frequency = _ONE
    side = []
    for _ in range((1 << magnitude_bits) - 1):
        frequency = frequency * ratio >> 32
        if frequency <= 1:
            break  # frequencies only fall from here on
        ratio = ratio * ratio_decay >> 32
        side.append(frequency)
    return _two_sided(side, _ONE, magnitude_bits)


def _two_sided(side: Sequence[int], middle: int, magnitude_bits: int) -> NDArray[np.float64]:
    """Symmetric frequencies from that of 0 and those of 1, 2, …; values beyond the end of `side` get 1."""
    largest = (1 << magnitude_bits) - 1
    frequencies = np.ones(2 * largest + 1)
    frequencies[largest] = middle
    frequencies[largest + 1 : largest + 1 + len(side)] = side
    frequencies[:largest] = frequencies[:largest:-1]
    return frequencies


def _laplace_side(scale_index: int, magnitude_bits: int) -> Sequence[int]:
    """Laplace frequencies of 1, 2, …, up to 2^magnitude_bits - 1 or the last that exceeds 1."""
    decay = DECAYS[scale_index]
    ratio = decay * decay >> 32
    frequency = decay * (_ONE + decay) >> 32
    side = []
    for _ in range((1 << magnitude_bits) - 1):
        if frequency <= 1:
            break
        side.append(frequency)
        frequency = frequency * ratio >> 32
    return side


@lru_cache(maxsize=_CACHED_MODELS)
def generalized_normal(scale_index: int, magnitude_bits: int, shape: int) -> Model:
    """The model of `generalized_normal_frequencies`."""
    return _model(1 - (1 << magnitude_bits), generalized_normal_frequencies(scale_index, magnitude_bits, shape))


def laplace(scale_index: int, magnitude_bits: int) -> Model:
    """The model of `laplace_frequencies`."""
    return generalized_normal(scale_index, magnitude_bits, 0)


@lru_cache(maxsize=_CACHED_MODELS)
def onesided(scale_index: int, magnitude_bits: int) -> Model:
    """The model of `onesided_frequencies`."""
    return _model(0, onesided_frequencies(scale_index, magnitude_bits))


@lru_cache(maxsize=_CACHED_MODELS)
def uniform(size: int) -> Model:
    """The uniform distribution over 0..size - 1."""
    return _model(0, np.ones(size))


def code_lengths(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits that the range coder spends on each value: -log2 of its 24-bit probability.

    Only writers need them, for rate estimates.

    Args:
        frequencies: one distribution a row, shape (..., n), each at least 1.
    Returns:
        Bits in 0..24, same shape.
    Source: docs/format.md section 4.2 (how frequencies become probabilities).

    >>> code_lengths(np.array([1.0, 2.0, 1.0])).round(3).tolist()
    [2.0, 1.0, 2.0]
    """
    values = frequencies.shape[-1]
    sums = np.cumsum(frequencies, axis=-1)
    below = np.trunc(sums[..., :-1] * ((PROBABILITY_ONE - values) / sums[..., -1:])) + np.arange(1, values)
    ends = np.zeros((*frequencies.shape[:-1], 1))
    probabilities = np.diff(below, axis=-1, prepend=ends, append=ends + PROBABILITY_ONE)
    return np.asarray(math.log2(PROBABILITY_ONE) - np.log2(probabilities))


def _model(lowest: int, frequencies: NDArray[np.float64]) -> Model:
    return Model(lowest, len(frequencies), constriction.stream.model.Categorical(frequencies, perfect=False))
