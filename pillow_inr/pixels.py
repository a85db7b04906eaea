"""The plane of the network: where an image's pixels, or the points between them, lie in it."""

import numpy as np
from numpy.typing import NDArray


def axis_coordinates(
    length: int, longer: int, start: float = 0.0, stop: float | None = None, count: int | None = None
) -> NDArray[np.float64]:
    """Positions along one axis of the centres of equal cells; by default of the pixels.

    Args:
        length: pixels along this axis, >= 1.
        longer: pixels along the longer axis; one scale for both, so that a non-square image is not stretched.
        start: where the cells begin, in pixels from the image's edge.
        stop: where they end, by default at the other edge.
        count: of cells, by default one a pixel.
    Returns:
        float64, shape (count,), symmetric about 0 for a whole image, whose longer side spans -1..1 from edge to edge.
    Source: docs/format.md section 5.
    """
    end = length if stop is None else stop
    cells = length if count is None else count
    in_pixels = start + (np.arange(cells) + 0.5) * ((end - start) / cells)
    return (2.0 * in_pixels - length) / longer


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
