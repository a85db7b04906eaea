"""Integers that a file names -> the range coder's models: frequency counts, the same on every machine.

Knows the distributions of docs/format.md, neither what is coded under them nor how a writer chooses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

# round(2^32 * exp(-1 / (2 b))) for the Laplace scale b = (4 + k % 4) * 2^(k // 4) / 64 in symbol units, k = 0..63.
# Shipped, not computed, because exp differs between platforms in its last bit (docs/format.md section 4.6).
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
# For shapes 1 and above: by how much the index of the linear term's decay lies above the scale index, and that of the
# quadratic term's below twice the scale index. Fitted to the weights of networks of 48x4 to 128x4 units: the spread
# stays about that of the Laplace distribution of this scale index, while the shape goes towards the Gaussian.
SHAPES: tuple[tuple[int, int] | None, ...] = (None, (1, 9), (2, 13), (4, 16), (7, 18))
SHAPE_MAX = len(SHAPES) - 1
_ONE = 1 << 32
PROBABILITY_ONE = 1 << 24
"""Sum of the frequencies that the range coder makes of counts."""
# A table of the largest magnitude takes a quarter of a megabyte: a hostile file can make a process keep 34 MB.
_CACHED_MODELS = 128


@dataclass(frozen=True)
class Model:
    """A distribution over successive integers, ready for the range coder."""

    lowest: int
    """The first of the integers."""
    values: int
    """How many they are."""
    table: "constriction.stream.model.Categorical"


def laplace_frequencies(scale_index: int, magnitude: int) -> NDArray[np.float64]:
    """Integer frequency counts of the quantized Laplace distribution over -(2^magnitude - 1)..2^magnitude - 1.

    Args:
        scale_index: 0..63, names the scale in symbol units.
        magnitude: 1..15.
    Returns:
        float64 holding integers, shape (2^(magnitude + 1) - 1,).
    Source: docs/format.md section 4.3.
    """
    return _two_sided(_laplace_side(scale_index, magnitude), 2 * _ONE, magnitude)


def onesided_frequencies(scale_index: int, magnitude: int) -> NDArray[np.float64]:
    """As `laplace_frequencies`, of magnitudes: over 0..2^magnitude - 1 (docs/format.md section 4.7)."""
    counts = np.ones(1 << magnitude)
    side = _laplace_side(scale_index, magnitude)
    counts[: len(side) + 1] = [_ONE, *side]
    return counts


def generalized_normal_frequencies(scale_index: int, magnitude: int, shape: int) -> NDArray[np.float64]:
    """As `laplace_frequencies`, of a distribution between Laplace's (shape 0) and, nearly, Gauss's (shape 4).

    Source: docs/format.md section 4.7.
    """
    offsets = SHAPES[shape]
    if offsets is None:
        return laplace_frequencies(scale_index, magnitude)
    linear = DECAYS[min(scale_index + offsets[0], SCALE_INDEX_MAX)]
    quadratic = DECAYS[min(max(2 * scale_index - offsets[1], 0), SCALE_INDEX_MAX)]
    ratio = (linear * linear >> 32) * quadratic >> 32
    bend = quadratic * quadratic >> 32
    count = _ONE
    side = []
    for _ in range((1 << magnitude) - 1):
        count = count * ratio >> 32
        if count <= 1:
            break  # and so are all that follow
        ratio = ratio * bend >> 32
        side.append(count)
    return _two_sided(side, _ONE, magnitude)


def _two_sided(side: Sequence[int], middle: int, magnitude: int) -> NDArray[np.float64]:
    """Counts of -(2^magnitude - 1)..2^magnitude - 1 from those of 0 and of 1, 2, …; beyond these they are 1."""
    largest = (1 << magnitude) - 1
    counts = np.ones(2 * largest + 1)
    counts[largest] = middle
    counts[largest + 1 : largest + 1 + len(side)] = side
    counts[:largest] = counts[:largest:-1]
    return counts


def _laplace_side(scale_index: int, magnitude: int) -> Sequence[int]:
    """Counts of 1, 2, … at most 2^magnitude - 1, the count of 0 being 2^33; those that are not there are 1."""
    decay = DECAYS[scale_index]
    ratio = decay * decay >> 32
    count = decay * (_ONE + decay) >> 32
    side = []
    for _ in range((1 << magnitude) - 1):
        if count <= 1:
            break
        side.append(count)
        count = count * ratio >> 32
    return side


@lru_cache(maxsize=_CACHED_MODELS)
def generalized_normal(scale_index: int, magnitude: int, shape: int) -> Model:
    """The model of `generalized_normal_frequencies`."""
    return _model(1 - (1 << magnitude), generalized_normal_frequencies(scale_index, magnitude, shape))


def laplace(scale_index: int, magnitude: int) -> Model:
    """The model of `laplace_frequencies`."""
    return generalized_normal(scale_index, magnitude, 0)


@lru_cache(maxsize=_CACHED_MODELS)
def onesided(scale_index: int, magnitude: int) -> Model:
    """The model of `onesided_frequencies`."""
    return _model(0, onesided_frequencies(scale_index, magnitude))


@lru_cache(maxsize=_CACHED_MODELS)
def uniform(size: int) -> Model:
    """The integers from 0 to below `size`, each as likely."""
    return _model(0, np.ones(size))


def code_lengths(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits that the range coder takes for each value of each row of counts, shape (..., n); writers alone need them.

    Source: docs/format.md section 4.2.
    """
    values = counts.shape[-1]
    sums = np.cumsum(counts, axis=-1)
    below = np.trunc(sums[..., :-1] * ((PROBABILITY_ONE - values) / sums[..., -1:])) + np.arange(1, values)
    ends = np.zeros((*counts.shape[:-1], 1))
    frequencies = np.diff(below, axis=-1, prepend=ends, append=ends + PROBABILITY_ONE)
    return np.asarray(math.log2(PROBABILITY_ONE) - np.log2(frequencies))


def _model(lowest: int, counts: NDArray[np.float64]) -> Model:
    return Model(lowest, len(counts), constriction.stream.model.Categorical(counts, perfect=False))
