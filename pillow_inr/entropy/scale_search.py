"""Which scale indices and shape code symbols shortest: the writer's choice, which the file then names.

Lengths are estimates in floating point; nothing here has to agree between machines.
"""

import numpy as np
from numpy.typing import NDArray

from .distributions import DECAYS, SCALE_INDEX_MAX, SHAPE_MAX, SHAPES, laplace_frequencies

_SCALES = np.arange(SCALE_INDEX_MAX + 1)
_LOG_DECAYS: NDArray[np.float64] = np.log(np.array(DECAYS) / 2**32)
_SMALLEST_LOG_COUNT = -32 * np.log(2)  # counts are at least 1 of 2^32
_PROBABILITY_BITS = 24


def onesided_scale(values: NDArray[np.int32], magnitude: int) -> int:
    """The scale index under which nonnegative integers below 2^magnitude are shortest as `onesided`."""
    log_counts = _log_counts(0, magnitude)
    log_counts[:, 0] = 0
    counts = np.exp(log_counts)
    lengths = _bits(counts, counts.sum(axis=1), 1 << magnitude)
    return int((_histograms([values], magnitude) @ lengths.T).argmin())


def scale_and_shape(symbols: NDArray[np.int32], magnitude: int) -> tuple[int, int]:
    """The scale index and shape under which the symbols, of magnitudes below 2^magnitude, are shortest."""
    lengths = np.concatenate([scale_lengths([symbols], magnitude, shape) for shape in range(SHAPE_MAX + 1)])
    shape, scale_index = np.unravel_index(lengths.argmin(), lengths.shape)
    return int(scale_index), int(shape)


def offset_scales(
    groups: list[NDArray[np.int32]], magnitude: int, offered: NDArray[np.int64], offset_bits: NDArray[np.float64]
) -> tuple[int, int, list[int] | None]:
    """A scale index and shape for all groups, and by which offset from that scale index each group is shortest.

    Args:
        groups: symbols of magnitudes below 2^magnitude.
        offered: the scale index that each offset (column) from each scale index (row) leads to.
        offset_bits: length of each offset.
    Returns:
        Scale index, shape, and the column in `offered` for each group; None where offsets cost more than they save.
    """
    choices: list[tuple[float, int, int, list[int] | None]] = []
    for shape in range(SHAPE_MAX + 1):
        lengths = scale_lengths(groups, magnitude, shape)
        alike = lengths.sum(axis=0)
        choices.append((float(alike.min()), int(alike.argmin()), shape, None))
        each = lengths[:, offered] + offset_bits
        total = each.min(axis=2).sum(axis=0)
        index = int(total.argmin())
        choices.append((float(total[index]), index, shape, each[:, index].argmin(axis=1).tolist()))
    _, index, shape, columns = min(choices, key=lambda choice: choice[0])
    return index, shape, columns


def viterbi_scales(
    groups: list[NDArray[np.int32]], magnitude: int, difference_bits: NDArray[np.float64]
) -> tuple[list[int], int]:
    """The scale index of each group, and one shape for all, when each is coded as difference from the one before.

    Args:
        groups: symbols of magnitudes below 2^magnitude.
        difference_bits: length of each difference from -63 to 63, shape (127,).
    """
    step_bits = difference_bits[_SCALES[None, :] - _SCALES[:, None] + SCALE_INDEX_MAX]
    paths = [_shortest_path(scale_lengths(groups, magnitude, shape), step_bits) for shape in range(SHAPE_MAX + 1)]
    shape = min(range(SHAPE_MAX + 1), key=lambda shape: paths[shape][0])
    return paths[shape][1], shape


def _shortest_path(lengths: NDArray[np.float64], step_bits: NDArray[np.float64]) -> tuple[float, list[int]]:
    """Viterbi's algorithm: total length in bits, and the scale index of each group.

    Args:
        lengths: bits of each group at each scale index, shape (groups, 64).
        step_bits: bits of the step from one scale index (row) to the next group's (column).
    """
    total = lengths[0]
    origins = []
    for own in lengths[1:]:
        reached = total[:, None] + step_bits
        origins.append(reached.argmin(axis=0))
        total = reached.min(axis=0) + own
    path = [int(total.argmin())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return float(total.min()), path[::-1]


def scale_lengths(groups: list[NDArray[np.int32]], magnitude: int, shape: int) -> NDArray[np.float64]:
    """Length in bits of each group of symbols (row) at each scale index (column) under `shaped`."""
    counts = np.exp(_log_counts(shape, magnitude))
    bits = _bits(counts, 2 * counts.sum(axis=1) - counts[:, 0], (2 << magnitude) - 1)
    return _histograms(groups, magnitude) @ bits.T


def _bits(counts: NDArray[np.float64], totals: NDArray[np.float64], alphabet: int) -> NDArray[np.float64]:
    """Bits of each value under the coder's probabilities, which it never rounds to 0 (docs/format.md section 4.2)."""
    free = 1 - alphabet / 2**_PROBABILITY_BITS
    bits: NDArray[np.float64] = -np.log2(counts / totals[:, None] * free + 2.0**-_PROBABILITY_BITS)
    return bits


def _log_counts(shape: int, magnitude: int) -> NDArray[np.float64]:
    """Logarithms of counts in units of 2^32 in closed form, shape (64, 2^magnitude); `distributions` has them exactly.

    The exact ones take a loop over the magnitudes for each scale index: seconds, where a tensor has large symbols.
    """
    values = np.arange(1 << magnitude)
    offsets = SHAPES[shape]
    if offsets is None:
        log_counts = (2 * values - 1) * _LOG_DECAYS[:, None] + np.log1p(np.exp(_LOG_DECAYS))[:, None]
        log_counts[:, 0] = np.log(2)
    else:
        linear = _LOG_DECAYS[np.minimum(_SCALES + offsets[0], SCALE_INDEX_MAX), None]
        quadratic = _LOG_DECAYS[np.clip(2 * _SCALES - offsets[1], 0, SCALE_INDEX_MAX), None]
        log_counts = 2 * linear * values + quadratic * values**2
    floored: NDArray[np.float64] = np.maximum(log_counts, _SMALLEST_LOG_COUNT)
    return floored


def laplace_bits(scale_index: int, magnitude: int) -> NDArray[np.float64]:
    """Bits of each of -(2^magnitude - 1)..2^magnitude - 1 under `laplace`."""
    counts = laplace_frequencies(scale_index, magnitude)
    bits: NDArray[np.float64] = -np.log2(counts / counts.sum())
    return bits


def _histograms(groups: list[NDArray[np.int32]], magnitude: int) -> NDArray[np.float64]:
    """How often each magnitude occurs in each group, shape (groups, 2^magnitude)."""
    return np.array([np.bincount(np.abs(group).ravel(), minlength=1 << magnitude) for group in groups], np.float64)
