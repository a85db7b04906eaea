"""How pixels of another resolution are made of an image's own, axis by axis. Knows no image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Keys' cubic convolution (1981) with a = -1/2: interpolates, and reproduces quadratic functions.
_SHARPNESS = -0.5
_REACH = 2


@dataclass(frozen=True)
class Resampling:
    """Equal cells along one axis of an image, each a weighted mean of the image's pixels.

    A cell larger than a pixel has the mean over what it covers, parts of pixels by their part; one that is not is
    interpolated at its centre by cubic convolution, where the image goes on with its edge's pixels.
    """

    length: int
    """Pixels of the image along this axis, >= 1."""
    start: float
    """Where the cells begin, in pixels from the image's edge; `stop`, where they end."""
    stop: float
    count: int
    """Number of cells."""

    @property
    def _step(self) -> float:
        return (self.stop - self.start) / self.count

    @property
    def is_identity(self) -> bool:
        """The cells are pixels."""
        return self.start == int(self.start) and self.stop - self.start == self.count

    def needed(self, first: int, last: int) -> tuple[int, int]:
        """First pixel, and the pixel after the last, that cells `first` to before `last` are made of."""
        low, high = self.start + first * self._step, self.start + last * self._step
        if self._step <= 1 and not self.is_identity:
            low, high = low + self._step / 2 - _REACH, high - self._step / 2 + _REACH
        begin = min(max(int(np.floor(low)), 0), self.length - 1)
        return begin, min(max(int(np.ceil(high)), begin + 1), self.length)

    def weights(self, cells: tuple[int, int], pixels: tuple[int, int]) -> NDArray[np.float32]:
        """Weight of each of some pixels (column) in each of some cells (row), float32; over all pixels, rows sum to 1.

        Args:
            cells: the first, and the one after the last.
            pixels: as well.
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
    """`weights @ pixels` along the first axis of the pixels, as a sum over those that a cell is made of.

    A matrix product would mostly multiply by zero, and a BLAS would divide it among threads of its own: where several
    processes decode, each as many as there are cores.

    Args:
        weights: shape (cells, pixels), as of `Resampling.weights`.
        pixels: float32, of any further axes.
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
    """Keys' kernel at distances from 0 to 2."""
    a = _SHARPNESS
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = a * (((distances - 5) * distances + 8) * distances - 4)
    return np.where(distances <= 1, near, far)
