"""The pixel grid: where its samples lie in the network's plane, and levels <-> network values."""

import numpy as np
from numpy.typing import NDArray

LEVELS = 255


def axis_coordinates(length: int, longer: int, indices: range | None = None) -> NDArray[np.float64]:
    """Positions of the pixel centres along one axis.

    Args:
        length: pixels along this axis, >= 1.
        longer: pixels along the longer axis; one scale for both, so that a non-square image is not stretched.
        indices: consecutive pixels wanted; by default all.
    Returns:
        float64, one position each, symmetric about 0; the image's longer side spans -1..1 from edge to edge.
    Source: docs/format.md section 5.
    """
    wanted = range(length) if indices is None else indices
    return (2.0 * np.arange(wanted.start, wanted.stop) + 1.0 - length) / longer


def encode_axis(positions: NDArray[np.float64], frequencies: int, growth: int) -> NDArray[np.float32]:
    """The input features of one axis: the position itself, then its sines, then its cosines.

    Args:
        positions: shape (n,), as `axis_coordinates` gives them.
        frequencies: number of frequencies, 0 for plain coordinates.
        growth: ratio of successive angular frequencies in hundredths; the first is pi.
    Returns:
        float32, shape (n, 1 + 2 * frequencies).
    Source: docs/format.md section 5; Strümpler et al. 2022, section 3.1 (base 1.4 on [-1, 1]).
    """
    angles = positions[:, None] * (np.pi * (growth / 100.0) ** np.arange(frequencies))
    return np.concatenate([positions[:, None], np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def to_levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Network values to uint8 levels, same shape: rint(255 * clip(value, 0, 1)), ties to even.

    Overwrites `values`. Source: docs/format.md section 5.
    """
    np.clip(values, 0.0, 1.0, out=values)
    np.multiply(values, np.float32(LEVELS), out=values)
    return np.rint(values, out=values).astype(np.uint8)
