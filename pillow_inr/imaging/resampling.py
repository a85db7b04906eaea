"""Separable resampling: weights that make pixels of another resolution from an image's own. Knows no image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Cubic convolution (Keys 1981, "Cubic convolution interpolation for digital image processing"): a = -1/2 is the only
# parameter with which the interpolation reproduces quadratic functions.
_KEYS_A = -0.5
_REACH = 2


@dataclass(frozen=True)
class Resampling:
    """Equal cells along one axis of an image, each a weighted mean of the image's pixels.

    Cells larger than a pixel are area averages: a pixel's weight is the part of the cell that it covers. Smaller cells
    are interpolated at their centres by cubic convolution; beyond the image its edge pixels are repeated.
    """

    length: int
    """Pixels of the image along this axis, >= 1."""
    start: float
    """Edge of the first cell, in pixels from the image's edge."""
    stop: float
    """Edge of the last cell, in pixels from the image's edge."""
    count: int
    """Number of cells."""

    @property
    def _step(self) -> float:
        return (self.stop - self.start) / self.count

    @property
    def is_identity(self) -> bool:
        """Whether the cells coincide with pixels."""
        return self.start == int(self.start) and self.stop - self.start == self.count

    def needed(self, first: int, last: int) -> tuple[int, int]:
        """The pixels, begin to before end, from which the cells `first` to before `last` are computed."""
        low, high = self.start + first * self._step, self.start + last * self._step
        if self._step <= 1 and not self.is_identity:
            low, high = low + self._step / 2 - _REACH, high - self._step / 2 + _REACH
        begin = min(max(int(np.floor(low)), 0), self.length - 1)
        return begin, min(max(int(np.ceil(high)), begin + 1), self.length)

    def weights(self, cells: tuple[int, int], pixels: tuple[int, int]) -> NDArray[np.float32]:
        """Weight of each pixel (column) in each cell (row).

        Args:
            cells: index of the first cell and index after the last.
            pixels: index of the first pixel and index after the last.
        Returns:
            float32, shape (cells, pixels). A row sums to 1 if the pixels include all that `needed` names.
        """
        index = np.arange(*cells)[:, None]
        places = np.arange(*pixels)
        if self._step > 1:
            low, high = self.start + index * self._step, self.start + (index + 1) * self._step
            covered = np.minimum(high, places + 1) - np.maximum(low, places)
            return np.asarray(np.maximum(covered, 0) / self._step, np.float32)
        centres = self.start + (index + 0.5) * self._step - 0.5
        taps = np.floor(centres).astype(np.int64) + np.arange(1 - _REACH, 1 + _REACH)
        values = _cubic(np.abs(centres - taps))
        taps = taps.clip(0, self.length - 1)
        result = np.zeros((len(index), len(places)))
        for tap in range(2 * _REACH):
            result += values[:, tap, None] * (taps[:, tap, None] == places)
        return result.astype(np.float32)


def mix(weights: NDArray[np.float32], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """`weights @ pixels` along the first axis of the pixels, summed over the nonzero taps of each cell only.

    A matrix product would mostly multiply by zero, and the BLAS would split it among threads of its own: with several
    decoding processes, each would start one for every core.

    Args:
        weights: shape (cells, pixels), as `Resampling.weights` returns them.
        pixels: float32, shape (pixels, ...).
    Returns:
        float32, shape (cells, ...).
    """
    cells, columns = np.arange(len(weights)), np.arange(weights.shape[1])
    used = weights != 0
    first = used.argmax(axis=1)
    taps = np.where(used, columns - first[:, None], -1).max(initial=-1) + 1
    total = np.zeros((len(cells), *pixels.shape[1:]), np.float32)
    for tap in range(taps):
        places = np.minimum(first + tap, columns[-1])
        factors = np.where(places == first + tap, weights[cells, places], np.float32(0))
        total += pixels[places] * factors.reshape(-1, *[1] * (pixels.ndim - 1))
    return total


def _cubic(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel at distances d in 0..2.

    (a + 2) d^3 - (a + 3) d^2 + 1 for d <= 1; a d^3 - 5 a d^2 + 8 a d - 4 a beyond.
    """
    a = _KEYS_A
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = a * (((distances - 5) * distances + 8) * distances - 4)
    return np.where(distances <= 1, near, far)
