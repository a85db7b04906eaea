"""How many bits each region of an image needs at a rate-distortion slope: what networks are shared out by.

An estimate from transform coding: a region with twice the bits gets twice the networks. `mosaic.BITS_PER_ESTIMATE`
scales it to the bits of a network.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ...encoding.source_image import SourceImage
from .division import Region

SIDE = 8
# Blocks of an image that are looked at, at most: of a larger one every n-th along each axis.
BLOCKS_MAX = 1 << 14


class Detail:
    """The spectra of an image's blocks of 8x8 pixels.

    Attributes:
        tops: first row of each row of blocks, ascending; those beyond a multiple of 8 are in no block.
        lefts: first column of each column of blocks, likewise.
        every: along each axis one block in so many is looked at.
        energies: squared coefficients of normalized samples, float32, shape (rows, columns, 64 channels); those of
            means are 0.
    """

    def __init__(self, source: SourceImage) -> None:
        width, height = source.size
        self.every = max(1, math.ceil(math.sqrt(source.pixels / (SIDE * SIDE * BLOCKS_MAX))))
        self.tops, self.lefts = (np.arange(0, length - SIDE + 1, SIDE * self.every) for length in (height, width))
        self.energies = _energies(source, self.tops, self.lefts)

    def bits(self, rd_lambda: float) -> "BitMap":
        """Bits of each block: the sum of max(0, log2(c^2 / theta) / 2) over its coefficients c.

        theta = 3 lambda / (2 ln 2) is the distortion of a coefficient at the slope lambda of mean squared error against
        bits per pixel of three samples.

        Source: reverse water-filling, Cover and Thomas 2006, "Elements of Information Theory", section 10.3.3.
        """
        theta = 3 * rd_lambda / (2 * math.log(2))
        bits = np.log2(np.maximum(self.energies / np.float32(theta), 1)).sum(axis=2, dtype=np.float64) / 2
        return BitMap(bits * self.every**2, self.tops + SIDE // 2, self.lefts + SIDE // 2)


class BitMap:
    """Bits of an image's blocks.

    Args:
        bits: float64, shape (rows, columns).
        rows: middle of each row of blocks in pixels, ascending.
        columns: middle of each column of blocks, likewise.
    """

    def __init__(self, bits: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        self.rows = rows
        self.columns = columns
        self.sums = np.pad(bits.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    @property
    def total(self) -> float:
        """Bits of the whole image."""
        return float(self.sums[-1, -1])

    def of(self, region: Region) -> float:
        """Bits of the blocks whose middles lie in a region."""
        top, bottom = np.searchsorted(self.rows, (region.top, region.bottom))
        left, right = np.searchsorted(self.columns, (region.left, region.right))
        sums = self.sums
        return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])


def _energies(source: SourceImage, tops: NDArray[np.int64], lefts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Squared coefficients of the blocks at these rows and columns, of channels that are not correlated."""
    energies = np.zeros((len(tops), len(lefts), SIDE * SIDE * source.channels), np.float32)
    if not energies.size:
        return energies
    columns = lefts[:, None] + np.arange(SIDE)
    rotation = _principal_axes(source, columns)
    transform = _cosines()
    for row, top in enumerate(tops):
        # Shape (SIDE, blocks, SIDE, channels).
        blocks = source.scale.to_normalized(source.samples[top : top + SIDE][:, columns]) @ rotation
        coefficients = np.einsum("iy,jx,ybxc->bijc", transform, transform, blocks, optimize=True)
        coefficients[:, 0, 0] = 0
        energies[row] = np.square(coefficients).reshape(len(lefts), -1)
    return energies


def _principal_axes(source: SourceImage, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rotation of colours to channels that are not correlated, shape (channels, channels)."""
    if source.channels == 1:
        return np.ones((1, 1), np.float32)
    some = source.samples[:: max(1, len(source.samples) // 64)][:, columns.ravel()]
    covariance = np.cov(source.scale.to_normalized(some).reshape(-1, source.channels).T)
    return np.linalg.eigh(covariance)[1].astype(np.float32)


def _cosines() -> NDArray[np.float32]:
    """The orthonormal discrete cosine transform, shape (SIDE frequencies, SIDE samples)."""
    frequency, sample = np.ogrid[:SIDE, :SIDE]
    transform = np.cos(np.pi * (2 * sample + 1) * frequency / (2 * SIDE)) * math.sqrt(2 / SIDE)
    transform[0] /= math.sqrt(2)
    return transform.astype(np.float32)
