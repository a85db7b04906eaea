"""The writer's search for the scale indices and shape that code symbols in the fewest bits.

The file names the result, so code lengths may be floating-point estimates: nothing here has to agree between machines.
"""

import numpy as np
from numpy.typing import NDArray

from .distributions import DECAYS, SCALE_INDEX_MAX, SHAPE_MAX, SHAPES, laplace_frequencies

_SCALES = np.arange(SCALE_INDEX_MAX + 1)
_LOG_DECAYS: NDArray[np.float64] = np.log(np.array(DECAYS) / 2**32)
_SMALLEST_LOG_FREQUENCY = -32 * np.log(2)  # frequencies are at least 1, here in units of 2^32
_PROBABILITY_BITS = 24


def onesided_scale(values: NDArray[np.int32], magnitude_bits: int) -> int:
    """The scale index that codes nonnegative integers below 2^magnitude_bits in the fewest bits under `onesided`."""
    log_frequencies = _log_frequencies(0, magnitude_bits)
    log_frequencies[:, 0] = 0
    frequencies = np.exp(log_frequencies)
    lengths = _bits(frequencies, frequencies.sum(axis=1), 1 << magnitude_bits)
    return int((_histograms([values], magnitude_bits) @ lengths.T).argmin())


def scale_and_shape(symbols: NDArray[np.int32], magnitude_bits: int) -> tuple[int, int]:
    """The scale index and shape that code symbols of magnitudes below 2^magnitude_bits in the fewest bits."""
    lengths = np.concatenate([scale_lengths([symbols], magnitude_bits, shape) for shape in range(SHAPE_MAX + 1)])
    shape, scale_index = np.unravel_index(lengths.argmin(), lengths.shape)
    return int(scale_index), int(shape)


def offset_scales(
    groups: list[NDArray[np.int32]],
    magnitude_bits: int,
    candidates: NDArray[np.int64],
    offset_bits: NDArray[np.float64],
) -> tuple[int, int, list[int] | None]:
    """A scale index and shape for all groups together, and the best offset from that scale index for each group.

    An exhaustive search: for every shape and scale index, each group takes the offset with the smallest sum of its
    symbols' bits and the offset's own.

    Args:
        groups: symbols of magnitudes below 2^magnitude_bits.
        candidates: scale index that each offset (column) leads to from each scale index (row), shape (64, offsets).
        offset_bits: code length of each offset, shape (offsets,).
    Returns:
        Scale index, shape, and the column in `candidates` for each group; None where offsets cost more than they save.
    """
    choices: list[tuple[float, int, int, list[int] | None]] = []
    for shape in range(SHAPE_MAX + 1):
        lengths = scale_lengths(groups, magnitude_bits, shape)
        shared = lengths.sum(axis=0)
        choices.append((float(shared.min()), int(shared.argmin()), shape, None))
        each = lengths[:, candidates] + offset_bits
        total = each.min(axis=2).sum(axis=0)
        index = int(total.argmin())
        choices.append((float(total[index]), index, shape, each[:, index].argmin(axis=1).tolist()))
    _, index, shape, columns = min(choices, key=lambda choice: choice[0])
    return index, shape, columns


def viterbi_scales(
    groups: list[NDArray[np.int32]], magnitude_bits: int, difference_bits: NDArray[np.float64]
) -> tuple[list[int], int]:
    """The best sequence of scale indices, each coded as the difference from the one before, and one shape for all.

    For each shape, Viterbi's algorithm minimizes over j_1 … j_n

        sum_i bits(group i | scale index j_i) + sum_(i > 1) difference_bits(j_i - j_(i - 1)).

    Args:
        groups: symbols of magnitudes below 2^magnitude_bits.
        difference_bits: code length of each difference from -63 to 63, shape (127,).
    Returns:
        The scale index of each group, and the shape.
    Source: Viterbi 1967; docs/format.md section 4.8 (kernel 1).
    """
    transition_bits = difference_bits[_SCALES[None, :] - _SCALES[:, None] + SCALE_INDEX_MAX]
    paths = [
        _shortest_path(scale_lengths(groups, magnitude_bits, shape), transition_bits) for shape in range(SHAPE_MAX + 1)
    ]
    shape = min(range(SHAPE_MAX + 1), key=lambda shape: paths[shape][0])
    return paths[shape][1], shape


def _shortest_path(lengths: NDArray[np.float64], transition_bits: NDArray[np.float64]) -> tuple[float, list[int]]:
    """Viterbi's algorithm: total length in bits, and the scale index of each group.

    Args:
        lengths: bits of each group at each scale index, shape (groups, 64).
        transition_bits: bits of going from one scale index (row) to the next group's (column), shape (64, 64).
    """
    total = lengths[0]
    origins = []
    for own in lengths[1:]:
        reached = total[:, None] + transition_bits
        origins.append(reached.argmin(axis=0))
        total = reached.min(axis=0) + own
    path = [int(total.argmin())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return float(total.min()), path[::-1]


def scale_lengths(groups: list[NDArray[np.int32]], magnitude_bits: int, shape: int) -> NDArray[np.float64]:
    """Code length of each group of symbols (row) at each scale index (column) under `generalized_normal`.

    Args:
        groups: symbols of magnitudes below 2^magnitude_bits.
    Returns:
        Bits, shape (groups, 64).
    """
    frequencies = np.exp(_log_frequencies(shape, magnitude_bits))
    bits = _bits(frequencies, 2 * frequencies.sum(axis=1) - frequencies[:, 0], (2 << magnitude_bits) - 1)
    return _histograms(groups, magnitude_bits) @ bits.T


def _bits(frequencies: NDArray[np.float64], totals: NDArray[np.float64], alphabet: int) -> NDArray[np.float64]:
    """Bits of each value: the coder reserves 2^-24 for each and divides the rest (docs/format.md section 4.2)."""
    free = 1 - alphabet / 2**_PROBABILITY_BITS
    bits: NDArray[np.float64] = -np.log2(frequencies / totals[:, None] * free + 2.0**-_PROBABILITY_BITS)
    return bits


def _log_frequencies(shape: int, magnitude_bits: int) -> NDArray[np.float64]:
    """Closed form of ln(frequency / 2^32) of 0..2^magnitude_bits - 1 at each scale index, shape (64, 2^magnitude_bits).

    The exact recurrences in `distributions` loop over all magnitudes for each scale index, which takes seconds where a
    tensor has large symbols.
    """
    values = np.arange(1 << magnitude_bits)
    offsets = SHAPES[shape]
    if offsets is None:
        log_frequencies = (2 * values - 1) * _LOG_DECAYS[:, None] + np.log1p(np.exp(_LOG_DECAYS))[:, None]
        log_frequencies[:, 0] = np.log(2)
    else:
        linear = _LOG_DECAYS[np.minimum(_SCALES + offsets[0], SCALE_INDEX_MAX), None]
        quadratic = _LOG_DECAYS[np.clip(2 * _SCALES - offsets[1], 0, SCALE_INDEX_MAX), None]
        log_frequencies = 2 * linear * values + quadratic * values**2
    floored: NDArray[np.float64] = np.maximum(log_frequencies, _SMALLEST_LOG_FREQUENCY)
    return floored


def laplace_bits(scale_index: int, magnitude_bits: int) -> NDArray[np.float64]:
    """-log2 of the probability of each of -(2^magnitude_bits - 1)..2^magnitude_bits - 1 under `laplace`."""
    frequencies = laplace_frequencies(scale_index, magnitude_bits)
    bits: NDArray[np.float64] = -np.log2(frequencies / frequencies.sum())
    return bits


def _histograms(groups: list[NDArray[np.int32]], magnitude_bits: int) -> NDArray[np.float64]:
    """How often each magnitude occurs in each group, shape (groups, 2^magnitude_bits)."""
    return np.array([np.bincount(np.abs(group).ravel(), minlength=1 << magnitude_bits) for group in groups], np.float64)
