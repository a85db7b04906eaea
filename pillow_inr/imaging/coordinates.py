"""The plane of the network: where an image's pixels, or the points between them, lie in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """Equal cells side by side along one axis of an image; by default its pixels.

    Not an array of their centres: that of a line of 2^24 pixels would be larger than the image.
    """

    length: int
    """Pixels of the image along this axis, >= 1."""
    longer: int
    """Pixels along its longer axis; one scale for both, so that a non-square image is not stretched."""
    start: float
    """Where the cells begin, in pixels from the image's edge; `stop`, where they end."""
    stop: float
    count: int
    """Number of cells."""

    @classmethod
    def of_pixels(cls, length: int, longer: int) -> "Axis":
        """The pixels themselves."""
        return cls(length, longer, 0.0, length, length)

    def positions(self, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """Positions of the centres of the cells from `first` up to `last`, by default of all.

        Returns:
            float64, one position each, symmetric about 0 for a whole image, whose longer side spans -1..1 from edge to
            edge.
        Source: docs/format.md section 5.
        """
        cells = np.arange(first, self.count if last is None else last)
        in_pixels = self.start + (cells + 0.5) * ((self.stop - self.start) / self.count)
        return (2.0 * in_pixels - self.length) / self.longer

    def every(self, step: int) -> "Axis":
        """Every `step`-th cell, at its own place, from the first on."""
        count = -(-self.count // step)
        cell = (self.stop - self.start) / self.count
        start = self.start - cell * (step - 1) / 2
        return Axis(self.length, self.longer, start, start + cell * step * count, count)


def encode_axis(positions: NDArray[np.float64], frequencies: int, frequency_ratio: int) -> NDArray[np.float32]:
    """The input features of one axis: the position itself, then its sines, then its cosines.

    Args:
        positions: shape (n,), as `Axis.positions` gives them.
        frequencies: number of frequencies, 0 for plain coordinates.
        growth: ratio of successive angular frequencies in hundredths; the first is pi.
    Returns:
        float32, shape (n, 1 + 2 * frequencies).
    Source: docs/format.md section 5; Strümpler et al. 2022, section 3.1 (base 1.4 on [-1, 1]).
    """
    angles = positions[:, None] * (np.pi * (frequency_ratio / 100.0) ** np.arange(frequencies))
    return np.concatenate([positions[:, None], np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
