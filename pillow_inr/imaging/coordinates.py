"""Coordinates: positions of an image's pixels in the plane of the network, and their Fourier features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """Equal cells side by side along one axis of an image, such as its pixels.

    Positions are computed on demand: an array of all centres of a line of 2^24 pixels would be larger than the image.
    """

    length: int
    """Pixels of the image along this axis, >= 1."""
    longer: int
    """Pixels along the image's longer axis: both axes share one scale, so that pixels stay square."""
    start: float
    """Edge of the first cell, in pixels from the image's edge."""
    stop: float
    """Edge of the last cell, in pixels from the image's edge."""
    count: int
    """Number of cells."""

    @classmethod
    def of_pixels(cls, length: int, longer: int) -> "Axis":
        """The axis whose cells are the pixels."""
        return cls(length, longer, 0.0, length, length)

    def positions(self, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """Positions u = (2 p - length) / longer of the cells' centres, p being the centre in pixels from the edge.

        The image's middle is 0, and its longer side spans -1..1 from edge to edge.

        Args:
            first: index of the first cell.
            last: index after the last cell; by default all that follow.
        Returns:
            float64, shape (last - first,).
        Source: docs/format.md section 5.

        >>> Axis.of_pixels(4, 4).positions().tolist()
        [-0.75, -0.25, 0.25, 0.75]
        """
        return (2.0 * self.centres(first, self.count if last is None else last) - self.length) / self.longer

    def centres(self, first: int, last: int) -> NDArray[np.float64]:
        """Centres of the cells from `first` to before `last`, in pixels from the image's edge; float64."""
        cells = np.arange(first, last, dtype=np.float64)
        return self.start + (cells + 0.5) * ((self.stop - self.start) / self.count)

    def pixels(self, first: int, last: int) -> NDArray[np.intp]:
        """The pixel of the image in which the centre of each cell from `first` to before `last` lies."""
        pixels: NDArray[np.intp] = np.floor(self.centres(first, last)).astype(np.intp).clip(0, self.length - 1)
        return pixels

    def every(self, step: int) -> "Axis":
        """Every `step`-th cell, beginning with the first, with unchanged centres."""
        count = -(-self.count // step)
        cell = (self.stop - self.start) / self.count
        start = self.start - cell * (step - 1) / 2
        return Axis(self.length, self.longer, start, start + cell * step * count, count)


def encode_axis(positions: NDArray[np.float64], frequencies: int, frequency_ratio: int) -> NDArray[np.float32]:
    """Fourier features of one axis: u, sin(w_0 u) … sin(w_(F-1) u), cos(w_0 u) … cos(w_(F-1) u).

    The angular frequencies are w_i = pi (ratio / 100)^i, in radians per unit of position. Angles are computed in
    float64: a float32 angle of a few thousand radians is off by 1e-4.

    Args:
        positions: shape (n,), as `Axis.positions` returns them.
        frequencies: number F of frequencies, 0 for plain coordinates.
        frequency_ratio: ratio of successive frequencies in hundredths, 100..355.
    Returns:
        float32, shape (n, 1 + 2 F).
    Source: docs/format.md section 5; Strümpler et al. 2022, section 3.1 (base 1.4 on [-1, 1]).
    """
    angles = positions[:, None] * (np.pi * (frequency_ratio / 100.0) ** np.arange(frequencies))
    return np.concatenate([positions[:, None], np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
